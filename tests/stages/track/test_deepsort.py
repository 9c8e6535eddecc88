"""What the tracker promises: who keeps which id, when tracks begin and end, and that nothing grows."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from pipeline.objects import Detections, Tracks
from stages.track.deepsort import DeepSort, Settings

DT = 1 / 30
RED, BLUE = np.eye(4, dtype=np.float32)[:2]
Box = tuple[float, float, float, float]


def box(x: float, y: float = 200.0, w: float = 40.0, h: float = 100.0) -> Box:
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def seen(boxes: Iterable[Box], looks: Iterable[np.ndarray] | None = None, **columns: object) -> Detections:
    xyxy = np.array(list(boxes), np.float32).reshape(-1, 4)
    embedding = None if looks is None else np.array(list(looks), np.float32)
    score = columns.get("score", np.full(len(xyxy), 0.9))
    label = columns.get("label", np.full(len(xyxy), "person"))
    return Detections(xyxy, np.asarray(score, np.float32), np.asarray(label, np.str_), embedding)


def play(
    tracker: DeepSort, frames: Iterable[Detections], dt_s: float = DT, start_s: float = 0.0
) -> list[Tracks]:
    return [tracker.update(detections, start_s + k * dt_s) for k, detections in enumerate(frames)]


@pytest.mark.parametrize("n_init", [1, 2, 3, 6])
def test_a_track_is_confirmed_by_n_init_detections(n_init: int) -> None:
    history = play(DeepSort(Settings(n_init=n_init)), [seen([box(100)])] * 8)
    assert [len(tracks) for tracks in history] == [0] * (n_init - 1) + [1] * (9 - n_init)


def test_a_tentative_track_ends_at_its_first_miss() -> None:
    hit, miss = seen([box(100)]), Detections.empty()
    history = play(DeepSort(Settings(n_init=3)), [hit, hit, miss, hit, hit, hit])
    assert [tracks.id.tolist() for tracks in history] == [[], [], [], [], [], [2]]


@pytest.mark.parametrize("rate_hz", [5, 12.5, 30, 120])
@pytest.mark.parametrize(("missing_s", "same"), [(0.4, True), (0.8, True), (1.3, False), (3.0, False)])
def test_max_age_is_in_seconds(rate_hz: float, missing_s: float, same: bool) -> None:
    tracker = DeepSort(Settings(max_age_s=1.0))
    before = play(tracker, [seen([box(100)])] * 5, 1 / rate_hz)
    empty = [Detections.empty()] * (math.ceil(missing_s * rate_hz) - 1)
    play(tracker, empty, 1 / rate_hz, 5 / rate_hz)
    after = play(tracker, [seen([box(100)])] * 5, 1 / rate_hz, (5 + len(empty)) / rate_hz)
    assert (after[-1].id.tolist() == before[-1].id.tolist()) is same


@pytest.mark.parametrize(("gap_s", "same"), [(0.9, True), (1.1, False), (3600.0, False)])
def test_a_gap_counts_at_its_true_length(gap_s: float, same: bool) -> None:
    tracker = DeepSort(Settings(max_age_s=1.0))
    before = play(tracker, [seen([box(100)])] * 5)
    after = play(tracker, [seen([box(100)])] * 5, start_s=4 * DT + gap_s)
    assert (after[-1].id.tolist() == before[-1].id.tolist()) is same
    assert len(tracker) == 1


def test_a_moving_object_is_found_where_it_must_be_after_a_gap() -> None:
    """300 px/s for 0.5 s: almost four widths away, so only the predicted position can tell."""
    tracker = DeepSort()
    play(tracker, [seen([box(100 + 10 * k)]) for k in range(30)])
    after = tracker.update(seen([box(100 + 10 * 44)]), 44 * DT)
    assert after.id.tolist() == [1]


@pytest.mark.parametrize("appearance", [True, False])
def test_two_who_cross_keep_their_ids(appearance: bool) -> None:
    frames = []
    for k in range(60):
        left, right = box(100 + 6 * k), box(460 - 6 * k, y=215)
        looks = [RED, BLUE] if appearance else None
        frames.append(seen([left, right], looks))
    history = play(DeepSort(), frames)
    for tracks in history[3:]:
        assert dict(zip(tracks.detection.tolist(), tracks.id.tolist(), strict=True)) == {0: 1, 1: 2}


def test_appearance_tells_who_comes_back() -> None:
    """Two stand side by side, are hidden for 29 frames, and come back with places exchanged."""
    tracker = DeepSort()
    play(tracker, [seen([box(100), box(150)], [RED, BLUE])] * 10)
    play(tracker, [Detections.empty()] * 29, start_s=10 * DT)
    back = tracker.update(seen([box(100), box(150)], [BLUE, RED]), 39 * DT)
    assert dict(zip(back.detection.tolist(), back.id.tolist(), strict=True)) == {0: 2, 1: 1}


def test_without_appearance_a_miss_does_not_end_the_track() -> None:
    """DeepSORT's overlap stage alone takes only tracks seen in the frame before."""
    frames = [seen([box(100 + 3 * k)]) if k % 4 else Detections.empty() for k in range(1, 80)]
    history = play(DeepSort(), frames)
    assert {i for tracks in history for i in tracks.id.tolist()} == {1}


def test_the_track_seen_last_is_served_first() -> None:
    """The cascade: of two tracks that look the same, a lost one does not take the other's detection."""
    tracker = DeepSort()
    play(tracker, [seen([box(100), box(130)], [RED, RED])] * 10)
    play(tracker, [seen([box(100)], [RED])] * 15, start_s=10 * DT)
    last = tracker.update(seen([box(116)], [RED]), 25 * DT)
    assert last.id[~last.predicted].tolist() == [1]


@pytest.mark.parametrize(
    ("what", "size"),
    [
        ("two blobs merge: twice as wide", {"w": 80.0}),
        ("a fragment: half as high", {"h": 50.0}),
        ("a shadow: a third longer", {"h": 135.0}),
    ],
)
def test_a_box_that_changes_its_size_keeps_its_id(what: str, size: dict[str, float]) -> None:
    normal = [seen([box(100 + 2 * k)]) for k in range(20)]
    odd = [seen([box(100 + 2 * k, **size)]) for k in range(20, 30)]
    after = [seen([box(100 + 2 * k)]) for k in range(30, 40)]
    history = play(DeepSort(), [*normal, *odd, *after])
    assert history[-1].id.tolist() == [1], what
    assert len({i for tracks in history for i in tracks.id.tolist()}) == 1, what


def test_rows_link_to_their_detections() -> None:
    rng = np.random.default_rng(3)
    tracker = DeepSort()
    for k in range(120):
        present = [n for n in range(8) if (k + 13 * n) % 40 > 5]
        order = rng.permutation(len(present))
        detections = seen([box(100 + 150 * present[i], 200 + k) for i in order])
        tracks = tracker.update(detections, k * DT)
        hit = ~tracks.predicted
        np.testing.assert_array_equal(tracks.xyxy[hit], detections.xyxy[tracks.detection[hit]])
        np.testing.assert_array_equal(tracks.score[hit], detections.score[tracks.detection[hit]])
        assert (tracks.missed_s[hit] == 0).all()
        assert (tracks.missed_s[~hit] > 0).all()
        assert len(set(tracks.detection[hit])) == hit.sum()
        assert (np.diff(tracks.id) > 0).all()


@pytest.mark.parametrize("report_s", [0.0, 0.1, 0.5])
def test_predicted_tracks_are_reported_for_a_while(report_s: float) -> None:
    tracker = DeepSort(Settings(report_predicted_s=report_s))
    play(tracker, [seen([box(100 + 5 * k)]) for k in range(30)])
    history = play(tracker, [Detections.empty()] * 30, start_s=30 * DT)
    reported = [tracks for tracks in history if len(tracks)]
    assert len(reported) == round(report_s / DT)
    for k, tracks in enumerate(reported, start=1):
        assert tracks.detection.tolist() == [-1]
        assert tracks.missed_s.tolist() == pytest.approx([k * DT])
        assert tracks.xyxy[0] == pytest.approx(box(100 + 5 * (29 + k)), abs=4)


@pytest.mark.parametrize(
    ("labels", "vote"),
    [
        (["car"] * 5, "car"),
        (["car", "truck", "car", "truck", "car"], "car"),
        (["truck"] * 2 + ["car"] * 8, "car"),
        (["car"] * 20 + ["articulated lorry"] * 3, "car"),
        (["car"] * 20 + ["articulated lorry"] * 30, "articulated lorry"),
    ],
)
def test_the_label_is_voted(labels: list[str], vote: str) -> None:
    history = play(DeepSort(), [seen([box(100)], label=[label]) for label in labels])
    assert history[-1].id.tolist() == [1]
    assert history[-1].label.tolist() == [vote]


def test_weak_detections_continue_tracks_but_start_none() -> None:
    tracker = DeepSort(Settings(min_score=0.5))
    assert [len(t) for t in play(tracker, [seen([box(100)], score=[0.4])] * 5)] == [0] * 5
    strong = play(tracker, [seen([box(100)], score=[0.6])] * 5, start_s=5 * DT)
    weak = play(tracker, [seen([box(100)], score=[0.1])] * 5, start_s=10 * DT)
    assert strong[-1].id.tolist() == weak[-1].id.tolist() == [1]
    assert not weak[-1].predicted.any()


def wandering(seed: int, offset: tuple[float, float] = (0.0, 0.0)) -> list[Detections]:
    """30 objects for 80 frames, with misses, noise and false detections."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 1500, (30, 2)), rng.normal(0, 4, (30, 2))
    looks = rng.standard_normal((30, 16)) + 0.5
    frames = []
    for k in range(80):
        shown = rng.random(30) < 0.85
        centre = place[shown] + k * speed[shown] + rng.normal(0, 2, (shown.sum(), 2)) + offset
        noise = 0.3 * rng.standard_normal((shown.sum(), 16))
        # Quarter pixels are exact in float32, so moving the scene changes no digit.
        frames.append(seen([box(*np.round(4 * c) / 4) for c in centre], looks[shown] + noise))
    return frames


def test_the_same_frames_give_the_same_tracks() -> None:
    for first, second in zip(play(DeepSort(), wandering(1)), play(DeepSort(), wandering(1)), strict=True):
        for column in ("id", "xyxy", "score", "label", "detection", "missed_s"):
            np.testing.assert_array_equal(getattr(first, column), getattr(second, column))


def test_place_and_clock_do_not_matter() -> None:
    here = play(DeepSort(), wandering(2))
    there = play(DeepSort(), wandering(2, (512.0, -256.0)), start_s=1024.0)
    assert sum(len(tracks) for tracks in here) > 1500
    for a, b in zip(here, there, strict=True):
        assert a.id.tolist() == b.id.tolist()
        assert a.detection.tolist() == b.detection.tolist()
        np.testing.assert_allclose(a.xyxy + np.array([512, -256, 512, -256]), b.xyxy, atol=1e-2)


def test_instances_share_nothing() -> None:
    one, two = DeepSort(), DeepSort()
    play(one, [seen([box(100), box(300)])] * 5)
    assert play(two, [seen([box(100)])] * 5)[-1].id.tolist() == [1]


Bad = Callable[[DeepSort], object]


def table(xyxy: Box, score: float = 0.9, look: object = RED) -> Detections:
    return Detections(np.array([xyxy]), np.array([score]), np.array(["person"]), np.array([look], np.float32))


def at(pts_s: float, detections: Detections | None = None, **keywords: object) -> Bad:
    return lambda tracker: tracker.update(detections or table(box(100)), pts_s, **keywords)


NEXT_S = 1.0 + DT
REFUSED: dict[str, tuple[Bad, str]] = {
    "NaN in a box": (lambda _: table((math.nan, 0, 10, 10)), "xyxy must be finite"),
    "infinite box": (lambda _: table((0, 0, math.inf, 10)), "xyxy must be finite"),
    "corners swapped": (lambda _: table((50, 0, 10, 10)), "must be .left, top, right, bottom."),
    "score above 1": (lambda _: table(box(100), 1.5), "score must be within 0..1, got 1.5"),
    "score below 0": (lambda _: table(box(100), -0.1), "score must be within 0..1, got -0.1"),
    "score NaN": (lambda _: table(box(100), math.nan), "score must be within 0..1"),
    "other length": (at(NEXT_S, table(box(100), look=np.ones(3))), "keep their length: it was 4, now 3"),
    "no length": (at(NEXT_S, table(box(100), look=[])), "keep their length: it was 4, now 0"),
    "NaN embedding": (at(NEXT_S, table(box(100), look=[math.nan, 0, 0, 0])), "embeddings must be finite"),
    "infinite embedding": (
        at(NEXT_S, table(box(100), look=[math.inf, 0, 0, 0])),
        "embeddings must be finite",
    ),
    "time stands still": (at(1.0), "time must advance: a frame at 1.0 s after one at 1.0"),
    "time goes back": (at(0.9), "time must advance: a frame at 0.9 s after one at 1.0"),
    "negative time": (at(-5.0), "time must advance: a frame at -5.0"),
    "time NaN": (at(math.nan), "time must advance: a frame at nan"),
    "time infinite": (at(math.inf), "time must advance: a frame at inf"),
    "camera of another shape": (at(NEXT_S, camera=np.eye(3)), "invertible .2, 3. affine, got"),
    "camera NaN": (at(NEXT_S, camera=np.full((2, 3), math.nan)), "invertible .2, 3. affine, got"),
    "camera that flattens": (at(NEXT_S, camera=np.zeros((2, 3))), "invertible .2, 3. affine, got"),
}


@pytest.mark.parametrize(("bad", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_the_tracker_as_it_was(bad: Bad, message: str) -> None:
    tracker, untouched = DeepSort(), DeepSort()
    for each in (tracker, untouched):
        play(each, [seen([box(100)], [RED])] * 5, start_s=1.0 - 4 * DT)
    for _ in range(3):
        with pytest.raises(ValueError, match=message):
            bad(tracker)
    after = [play(each, [seen([box(103)], [RED])] * 5, start_s=NEXT_S)[-1] for each in (tracker, untouched)]
    assert after[0].id.tolist() == after[1].id.tolist() == [1]
    np.testing.assert_array_equal(tracker._tracks.state, untouched._tracks.state)


HANDLED: dict[str, Detections] = {
    "nothing": Detections.empty(),
    "no area": seen([(50, 50, 50, 90), (7, 7, 7, 7)], [RED, RED]),
    "thinner than a pixel": seen([(100, 150, 100.5, 250)], [RED]),
    "outside the picture": seen([(-500, -900, -300, -100)], [RED]),
    "as large as float32 allows": seen([(-1e18, -1e18, 1e18, 1e18)], [RED]),
    "all zero embedding": seen([box(103)], [np.zeros(4)]),
    "tiny embedding": seen([box(103)], [np.full(4, 1e-30)]),
    "no embeddings": seen([box(103)]),
    "hundreds in one place": seen([box(900)] * 300, np.tile(BLUE, (300, 1))),
    "thousands everywhere": seen(
        [box(x, y) for x, y in np.random.default_rng(0).uniform(1e3, 1e5, (5000, 2))],
        np.tile(BLUE, (5000, 1)),
    ),
}


@pytest.mark.parametrize("odd", HANDLED.values(), ids=HANDLED)
def test_what_is_odd_does_not_disturb_the_others(odd: Detections) -> None:
    tracker = DeepSort()
    play(tracker, [seen([box(100), box(400)], [RED, BLUE])] * 5, start_s=1.0 - 4 * DT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(4):
            tracker.update(odd, NEXT_S + k * DT)
            assert np.isfinite(tracker._tracks.state).all()
            assert len(tracker) <= 2000
    after = play(tracker, [seen([box(106), box(406)], [RED, BLUE])] * 5, start_s=NEXT_S + 4 * DT)
    for tracks in after:
        seen_now = tracks[~tracks.predicted]
        assert dict(zip(seen_now.detection.tolist(), seen_now.id.tolist(), strict=True)) == {0: 1, 1: 2}


def test_a_gap_of_an_hour_ends_all_tracks_and_nothing_else() -> None:
    tracker = DeepSort()
    play(tracker, [seen([box(100), box(400)], [RED, BLUE])] * 5)
    after = play(tracker, [seen([box(100), box(400)], [RED, BLUE])] * 5, start_s=3600.0)
    assert [len(tracks) for tracks in after] == [0, 0, 2, 2, 2]
    assert after[-1].id.tolist() == [3, 4]
    assert np.isfinite(tracker._tracks.state).all()


def rotated(degrees: float, zoom: float, x: float, y: float) -> np.ndarray:
    c, s = zoom * math.cos(math.radians(degrees)), zoom * math.sin(math.radians(degrees))
    return np.array([[c, -s, x], [s, c, y]])


@pytest.mark.parametrize(
    ("camera", "needed"),
    [
        (rotated(0, 1, 90, -40), True),
        (rotated(0, 1.1, -60, -45), True),
        (rotated(5, 1, 30, -40), False),
        (rotated(-1, 0.97, 15, 12), False),
    ],
    ids=["pan", "zoom", "roll", "a little of all"],
)
@pytest.mark.parametrize("known", [True, False])
def test_tracks_follow_a_known_camera(camera: np.ndarray, needed: bool, known: bool) -> None:
    """Four stand still; after frame 10 the camera moves, mostly too far for the gate to follow by itself."""
    tracker = DeepSort()
    place, height = np.array([[300.0, 300.0], [450, 310], [300, 460], [450, 450]]), 100.0
    zoom = math.sqrt(np.linalg.det(camera[:, :2]))
    for k in range(20):
        moving = k >= 10
        if moving:
            place, height = place @ camera[:, :2].T + camera[:, 2], height * zoom
        boxes = [box(x, y, 0.4 * height, height) for x, y in place]
        tracks = tracker.update(seen(boxes, np.eye(4)), k * DT, camera=camera if known and moving else None)
    assert (tracks.id.tolist() == [1, 2, 3, 4]) is (known or not needed)


def test_a_still_camera_changes_nothing() -> None:
    frames = wandering(5)
    still, unknown = DeepSort(), DeepSort()
    for k, detections in enumerate(frames):
        a = still.update(detections, k * DT, camera=np.eye(2, 3))
        b = unknown.update(detections, k * DT)
        assert a.id.tolist() == b.id.tolist()
        np.testing.assert_allclose(a.xyxy, b.xyxy, atol=1e-3)


def test_embeddings_may_come_and_go_and_be_zero() -> None:
    looks = [[RED], None, [np.zeros(4)], [RED], None]
    history = play(DeepSort(), [seen([box(100)], look) for look in looks * 4])
    assert history[-1].id.tolist() == [1]
    assert len({i for tracks in history for i in tracks.id.tolist()}) == 1


def test_boxes_without_area_are_passed_over() -> None:
    frames = [seen([(50, 50, 50, 90), box(100), (7, 7, 7, 7), (5, 5, 5.5, 60)])] * 5
    last = play(DeepSort(), frames)[-1]
    assert last.id.tolist() == [1]
    assert last.detection.tolist() == [1]


def test_memory_does_not_grow_with_the_objects_that_passed() -> None:
    """100,000 confirmed tracks, 200 of them new in each frame."""
    tracker = DeepSort(Settings(n_init=1, max_age_s=0.05, gallery_budget=10))
    alive, capacity = [], []
    for k in range(500):
        boxes = [box(1e4 * (k % 10) + 80 * (n % 20), 150 * (n // 20)) for n in range(200)]
        tracks = tracker.update(seen(boxes, np.tile(RED, (200, 1))), k * DT)
        alive.append(len(tracker))
        capacity.append(tracker._gallery.capacity)
    assert tracks.id.max() == 100_000
    assert max(alive) == 400
    assert capacity[-1] == capacity[5] <= 800


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_the_number_of_tracks_is_bounded(count: int) -> None:
    tracker = DeepSort(Settings(max_tracks=50, n_init=2))
    steady = [box(100), box(300)]
    play(tracker, [seen(steady)] * 3)
    rng = np.random.default_rng(0)
    for k in range(3, 8):
        crowd = [box(x, y) for x, y in rng.uniform(1000, 1e6, (count, 2))]
        tracks = tracker.update(seen([*steady, *crowd]), k * DT)
        assert len(tracker) <= 50
        assert {1, 2} <= set(tracks.id.tolist())


def test_the_default_settings_are_the_papers() -> None:
    settings = Settings()
    assert settings.max_age_s == pytest.approx(30 / 30)
    assert settings.report_predicted_s == pytest.approx(1 / 30)
    assert (settings.position_std, settings.velocity_std) == (1 / 20, 1 / 160)
    assert (settings.n_init, settings.gallery_budget) == (3, 100)
    assert (settings.max_cosine_distance, settings.max_iou_distance) == (0.2, 0.7)


def held(value: object, known: set[int]) -> int:
    """Bytes of all arrays and elements of all containers that an object holds."""
    if id(value) in known or value is None or isinstance(value, str | int | float | type):
        return 0
    known.add(id(value))
    if isinstance(value, np.ndarray):
        return value.nbytes + held(value.base, known)
    parts: list[object] = []
    if isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set):
        parts = list(value)
    else:
        parts = [
            getattr(value, name)
            for name in [*getattr(value, "__dict__", {}), *getattr(value, "__slots__", ())]
        ]
    return len(parts) + sum(held(part, known) for part in parts)


@pytest.mark.slow
def test_a_million_ids_take_no_more_room_than_the_first_thousands() -> None:
    """Each object is there for two frames; of 1,000 new ones in each frame all are confirmed.

    Room is what the tracker holds and what Python allocates; work is the size of what it goes through.
    """
    tracker = DeepSort(Settings(n_init=1, max_age_s=0.04, gallery_budget=5))
    x = 60.0 * np.arange(1000)
    places = [np.stack([x, x * 0 + y, x + 40, x * 0 + y + 100], axis=1) for y in (0.0, 1e4, 2e4, 3e4)]
    looks = np.random.default_rng(0).standard_normal((1000, 8))
    frames = [seen(map(tuple, place), looks) for place in places]
    room, alive, traced = [], [], []
    tracemalloc.start()
    for k in range(1000):
        tracks = tracker.update(frames[k % 4], k * DT)
        if k % 100 == 99:
            room.append(held(tracker, set()))
            alive.append((len(tracker), len(tracker._tracks.state[0]), tracker._gallery.capacity))
            traced.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert tracks.id.max() == 1_000_000
    assert len(set(room)) == len(set(alive)) == 1
    # 900,000 ids later: a quarter of a byte for each would be memory of them; Python's own caches take less.
    assert max(traced) - traced[0] < 225_000
    assert alive[0][0] == 2000
