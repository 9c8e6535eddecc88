"""What the four overlap trackers promise: who keeps which id, and when tracks begin and end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.objects import Detections, Tracks
from stages.track.overlap.settings import Settings
from stages.track.overlap.tracker import OverlapTracker

DT = 1 / 30
RED, BLUE = np.eye(4, dtype=np.float32)[:2]
RECIPES = {
    "sort": Settings.sort(),
    "bytetrack": Settings.bytetrack(),
    "ocsort": Settings.ocsort(),
    "ocsort+byte": replace(Settings.ocsort(), low_score=0.1),
    "botsort": Settings.botsort(),
}
BOTH_SCORES = ["bytetrack", "ocsort+byte", "botsort"]
Box = tuple[float, float, float, float]
all_recipes = pytest.mark.parametrize("name", RECIPES)


def box(x: float, y: float = 200.0, w: float = 40.0, h: float = 100.0) -> Box:
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def seen(
    boxes: Iterable[Box], score: object = 0.9, looks: object = None, label: object = "person"
) -> Detections:
    xyxy = np.array(list(boxes), np.float32).reshape(-1, 4)
    n = len(xyxy)
    embedding = None if looks is None else np.asarray(looks, np.float32)
    return Detections(
        xyxy, np.broadcast_to(np.float32(score), n), np.broadcast_to(np.str_(label), n), embedding
    )


def play(
    tracker: OverlapTracker, frames: Iterable[Detections], start: int = 0, dt_s: float = DT
) -> list[Tracks]:
    return [tracker.update(detections, k * dt_s) for k, detections in enumerate(frames, start=start)]


def ids(history: Iterable[Tracks]) -> list[list[int]]:
    return [tracks.id.tolist() for tracks in history]


@all_recipes
def test_two_who_cross_keep_their_ids(name: str) -> None:
    frames = [seen([box(100 + 6 * k), box(460 - 6 * k, y=230)]) for k in range(60)]
    for tracks in play(OverlapTracker(RECIPES[name]), frames):
        assert dict(zip(tracks.detection.tolist(), tracks.id.tolist(), strict=True)) == {0: 1, 1: 2}


@pytest.mark.parametrize(
    ("name", "reported_after"), [("sort", 3), ("ocsort", 3), ("bytetrack", 1), ("botsort", 1)]
)
def test_a_new_track_is_reported_after_its_probation(name: str, reported_after: int) -> None:
    """Tracks of the first frames have none; min_hits of SORT counts what follows the first detection."""
    first = play(OverlapTracker(RECIPES[name]), [seen([box(100)])] * 6)
    assert ids(first) == [[1]] * 6
    late = OverlapTracker(RECIPES[name])
    play(late, [Detections.empty()] * 5)
    assert ids(play(late, [seen([box(100)])] * 6, 5)) == [[]] * reported_after + [[1]] * (6 - reported_after)


@pytest.mark.parametrize("name", ["sort", "ocsort"])
def test_sort_counts_hits_in_a_row(name: str) -> None:
    tracker = OverlapTracker(RECIPES[name])
    play(tracker, [seen([box(100)])] * 8)
    play(tracker, [Detections.empty()], 8)
    assert ids(play(tracker, [seen([box(100)])] * 4, 9)) == [[], [], [1], [1]]


@pytest.mark.parametrize("name", ["bytetrack", "botsort"])
def test_a_tentative_track_ends_at_its_first_miss(name: str) -> None:
    tracker = OverlapTracker(RECIPES[name])
    play(tracker, [Detections.empty(), seen([box(100)]), Detections.empty()])
    assert len(tracker) == 0


@pytest.mark.parametrize(
    ("name", "missed", "same"),
    [
        ("sort", 1, True),
        ("sort", 2, False),
        ("ocsort", 30, True),
        ("ocsort", 31, False),
        ("bytetrack", 30, True),
        ("bytetrack", 31, False),
        ("botsort", 30, True),
        ("botsort", 31, False),
    ],
)
def test_the_memory_is_the_published_number_of_frames(name: str, missed: int, same: bool) -> None:
    tracker = OverlapTracker(RECIPES[name])
    play(tracker, [seen([box(100)])] * 10)
    play(tracker, [Detections.empty()] * missed, 10)
    assert len(tracker) == int(same)
    after = play(tracker, [seen([box(100)])] * 5, 10 + missed)
    assert after[-1].id.tolist() == ([1] if same else [2])


@pytest.mark.parametrize("rate_hz", [5, 12.5, 120])
@pytest.mark.parametrize(("missing_s", "same"), [(0.8, True), (1.4, False)])
def test_the_memory_is_in_seconds(rate_hz: float, missing_s: float, same: bool) -> None:
    tracker = OverlapTracker(RECIPES["bytetrack"])
    play(tracker, [seen([box(100)])] * 5, dt_s=1 / rate_hz)
    empty = math.ceil(missing_s * rate_hz)
    play(tracker, [Detections.empty()] * empty, 5, 1 / rate_hz)
    after = play(tracker, [seen([box(100)])] * 5, 5 + empty, 1 / rate_hz)
    assert after[-1].id.tolist() == ([1] if same else [2])


@all_recipes
def test_a_low_frame_rate_still_makes_tracks(name: str) -> None:
    frames = [seen([box(100 + 5 * k)]) if k != 8 else Detections.empty() for k in range(20)]
    history = play(OverlapTracker(RECIPES[name]), frames, dt_s=1 / 5)
    assert {i for row in ids(history) for i in row} == {1}


@all_recipes
@pytest.mark.parametrize(("gap_s", "same"), [(0.9, True), (1.1, False), (3600.0, False)])
def test_a_gap_between_frames(name: str, gap_s: float, same: bool) -> None:
    tracker = OverlapTracker(RECIPES[name])
    play(tracker, [seen([box(100)])] * 6)
    for k in range(6):
        last = tracker.update(seen([box(100)]), 5 * DT + gap_s + k * DT)
    assert last.id.tolist() == ([1] if same else [2])
    assert len(tracker) == 1


@pytest.mark.parametrize("name", BOTH_SCORES)
def test_a_low_score_continues_a_track_but_starts_none(name: str) -> None:
    tracker = OverlapTracker(RECIPES[name])
    assert ids(play(tracker, [seen([box(100)], 0.3)] * 5)) == [[]] * 5
    strong = play(tracker, [seen([box(100)])] * 6, 5)
    weak = play(tracker, [seen([box(100 + 2 * k)], 0.3) for k in range(30)], 11)
    assert strong[-1].id.tolist() == [1]
    assert ids(weak) == [[1]] * 30
    assert ids(play(tracker, [seen([box(160)], 0.05)] * 3, 41)) == [[]] * 3


@pytest.mark.parametrize("name", ["sort", "ocsort"])
def test_recipes_of_one_threshold_pass_low_scores_over(name: str) -> None:
    tracker = OverlapTracker(RECIPES[name])
    play(tracker, [seen([box(100)])] * 6)
    assert ids(play(tracker, [seen([box(100)], 0.3)] * 3, 6)) == [[]] * 3


@pytest.mark.parametrize(("name", "same"), [("bytetrack", False), ("botsort", False), ("ocsort+byte", True)])
def test_whether_a_low_score_finds_a_lost_track_again(name: str, same: bool) -> None:
    tracker = OverlapTracker(RECIPES[name])
    play(tracker, [seen([box(100)])] * 6)
    play(tracker, [Detections.empty()] * 3, 6)
    assert bool(sum(map(len, play(tracker, [seen([box(100)], 0.3)] * 5, 9)))) is same


def test_a_weak_detection_does_not_take_the_track_of_a_strong_one() -> None:
    tracker = OverlapTracker(RECIPES["bytetrack"])
    play(tracker, [seen([box(100)])] * 6)
    assert tracker.update(seen([box(100), box(106)], [0.3, 0.9]), 6 * DT).detection.tolist() == [1]


@pytest.mark.parametrize(("recover", "same"), [(0.3, True), (None, False)])
def test_recovery_finds_who_stopped_while_unseen(recover: float | None, same: bool) -> None:
    """It ran at 12 px a frame, stopped behind a pillar, and comes out where it went in."""
    tracker = OverlapTracker(replace(Settings.ocsort(), recover_overlap=recover))
    play(tracker, [seen([box(100 + 12 * k)]) for k in range(15)])
    play(tracker, [Detections.empty()] * 15, 15)
    after = play(tracker, [seen([box(100 + 12 * 14)])] * 5, 30)
    assert (after[-1].id.tolist() == [1]) is same


@pytest.mark.parametrize(("weight", "first"), [(0.2, 1), (0.0, 2)])
def test_momentum_decides_where_overlap_hardly_differs(weight: float, first: int) -> None:
    """One goes right, one down, to the same place: there each box fits the other's track a bit better."""
    tracker = OverlapTracker(replace(Settings.ocsort(), direction_weight=weight, recover_overlap=None))
    play(tracker, [seen([box(100 - m, 200.2), box(100.2, 200 - m)]) for m in range(40, 0, -1)])
    tracks = tracker.update(seen([box(103, 200), box(100, 203)]), 40 * DT)
    assert tracks.id[tracks.detection == 0].tolist() == [first]


def test_after_a_re_update_the_filter_is_as_sure_as_if_it_had_seen_all() -> None:
    spread = {}
    for re_update in (True, False):
        tracker = OverlapTracker(replace(Settings.ocsort(), re_update=re_update))
        play(tracker, [seen([box(100 + 6 * k)]) for k in range(20)])
        always = tracker._tracks.state[2, 0].copy()
        play(tracker, [Detections.empty()] * 10, 20)
        play(tracker, [seen([box(214 - 11)])], 30)
        assert len(tracker) == 1
        spread[re_update] = tracker._tracks.state[2, 0] / always
    assert (spread[True] <= 1.01).all()
    assert spread[False].max() > 1.2


@pytest.mark.parametrize(("use", "same"), [(True, True), (False, False)])
def test_the_camera_jumps_by_100_px(use: bool, same: bool) -> None:
    tracker = OverlapTracker(replace(Settings.botsort(), camera=use))
    play(tracker, [seen([box(100 + k), box(400)]) for k in range(10)])
    jump = np.array([[1.0, 0, 100], [0, 1, -100]])
    tracks = tracker.update(seen([box(210, 100), box(500, 100)]), 10 * DT, camera=jump)
    assert (tracks.id.tolist() == [1, 2]) is same


def test_the_camera_takes_lost_tracks_along() -> None:
    settings = replace(Settings.ocsort(), camera=True)
    tracker = OverlapTracker(settings)
    play(tracker, [seen([box(100)])] * 10)
    tracker.update(Detections.empty(), 10 * DT, camera=np.array([[1.0, 0, 300], [0, 1, 0]]))
    after = play(tracker, [seen([box(400)])] * 3, 11)
    assert after[-1].id.tolist() == [1]


@pytest.mark.parametrize(
    "camera", [np.eye(3), np.zeros((2, 3)), np.full((2, 3), np.nan), np.ones((2, 3))], ids=str
)
def test_an_affine_that_is_none_is_refused(camera: np.ndarray) -> None:
    tracker = OverlapTracker(Settings.botsort())
    play(tracker, [seen([box(100)])] * 3)
    with pytest.raises(ValueError, match="invertible"):
        tracker.update(seen([box(100)]), 3 * DT, camera=camera)
    assert tracker.update(seen([box(100)]), 3 * DT).id.tolist() == [1]


@pytest.mark.parametrize(("appearance", "first_id"), [(0.75, 2), (None, 1)])
def test_appearance_decides_between_near_boxes(appearance: float | None, first_id: int) -> None:
    """Two side by side exchange places between two frames; each place still overlaps with both."""
    tracker = OverlapTracker(replace(Settings.botsort(), appearance=appearance))
    play(tracker, [seen([box(100), box(108)], 0.9, [RED, BLUE])] * 10)
    tracks = tracker.update(seen([box(102), box(106)], 0.9, [BLUE, RED]), 10 * DT)
    assert tracks.id[tracks.detection == 0].tolist() == [first_id]


def test_appearance_does_not_reach_beyond_the_proximity() -> None:
    tracker = OverlapTracker(Settings.botsort())
    play(tracker, [seen([box(100)], 0.9, [RED])] * 10)
    assert len(tracker.update(seen([box(136)], 0.9, [RED]), 10 * DT)) == 0


@pytest.mark.parametrize(
    ("embedding", "message"),
    [(np.ones((1, 3)), "keep their length: it was 4, now 3"), (np.full((1, 4), np.nan), "finite")],
)
def test_bad_embeddings_leave_the_tracker_as_it_was(embedding: np.ndarray, message: str) -> None:
    tracker = OverlapTracker(Settings.botsort())
    play(tracker, [seen([box(100)], 0.9, [RED])] * 5)
    with pytest.raises(ValueError, match=message):
        tracker.update(seen([box(100)], 0.9, embedding), 5 * DT)
    assert tracker.update(seen([box(100)], 0.9, [RED]), 5 * DT).id.tolist() == [1]


def test_embeddings_may_come_and_go_and_be_zero() -> None:
    looks = [[RED], None, [np.zeros(4)], [RED], None]
    history = play(OverlapTracker(Settings.botsort()), [seen([box(100)], 0.9, look) for look in looks * 4])
    assert ids(history) == [[1]] * 20


def test_of_two_tracks_on_one_object_the_younger_ends() -> None:
    """A second track was born on the same object; one is seen, the other lies unseen on it."""
    for keep, expected in ((0.85, 1), (None, 2)):
        tracker = OverlapTracker(replace(Settings.bytetrack(), duplicate_overlap=keep))
        play(tracker, [seen([box(100)])] * 5)
        play(tracker, [seen([box(100), box(125)])] * 3, 5)
        play(tracker, [seen([box(100), box(125 - 3 * k)]) for k in range(9)], 8)
        assert len(tracker) == 2
        play(tracker, [seen([box(100)])], 17)
        assert len(tracker) == expected


@all_recipes
@pytest.mark.parametrize("report_s", [0.0, 0.1])
def test_predictions_are_reported_only_when_asked_for(name: str, report_s: float) -> None:
    tracker = OverlapTracker(replace(RECIPES[name], report_predicted_s=report_s, max_age_s=1.0))
    play(tracker, [seen([box(100 + 5 * k)]) for k in range(30)])
    missed = play(tracker, [Detections.empty()] * 6, 30)
    shown = [tracks for tracks in missed if len(tracks)]
    assert len(shown) == round(report_s / DT)
    for k, tracks in enumerate(shown, start=1):
        assert tracks.detection.tolist() == [-1]
        assert tracks.missed_s.tolist() == pytest.approx([k * DT])
        assert tracks.xyxy[0] == pytest.approx(box(100 + 5 * (29 + k)), abs=5)


def test_filtered_boxes_are_smoother() -> None:
    own, filtered = (
        OverlapTracker(replace(Settings.sort(), report_filtered=False)),
        OverlapTracker(Settings.sort()),
    )
    rng = np.random.default_rng(0)
    frames = [seen([box(100 + 3 * k + rng.normal(0, 3))]) for k in range(60)]
    a, b = play(own, frames), play(filtered, frames)
    centre = [np.array([t.xyxy[0, ::2].mean() for t in history]) for history in (a, b)]
    roughness = [np.abs(np.diff(c, 2)[10:]).mean() for c in centre]
    assert roughness[1] < 0.8 * roughness[0]
    np.testing.assert_array_equal(a[-1].xyxy, frames[-1].xyxy)
