"""Bad input: refused in plain words or handled as promised, and the tracker goes on as if it had not been."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.objects import Detections
from stages.track.sightline.settings import Settings
from stages.track.sightline.tracker import Sightline
from tests.stages.track.sightline.scenes import (
    DT,
    EMPTY,
    box,
    checked,
    crowd,
    faces,
    follow,
    ids,
    links,
    play,
    same_tracks,
    seen,
)


@pytest.mark.parametrize(
    ("xyxy", "score", "message"),
    [
        ([0, 0, math.nan, 10], 0.9, r"xyxy must be finite, got \[0\.0, 0\.0, nan, 10\.0\]"),
        ([0, 0, math.inf, 10], 0.9, "xyxy must be finite"),
        ([10, 0, 0, 10], 0.9, r"xyxy must be \(left, top, right, bottom\), got \[10\.0, 0\.0, 0\.0, 10\.0\]"),
        ([0, 10, 10, 0], 0.9, r"xyxy must be \(left, top, right, bottom\)"),
        ([0, 0, 10, 10], 1.5, r"score must be within 0\.\.1, got 1\.5"),
        ([0, 0, 10, 10], -0.1, r"score must be within 0\.\.1, got -0\.1"),
        ([0, 0, 10, 10], math.nan, r"score must be within 0\.\.1, got nan"),
    ],
)
def test_tables_that_are_none_are_refused_at_the_door(xyxy: list[float], score: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seen([xyxy], score=score)  # type: ignore[list-item]


FACES = faces(2)
BAD_LOOKS = np.full((2, 32), np.nan, np.float32)


def scene(k: int) -> Detections:
    return seen([box(100 + 3 * k), box(500 - 3 * k, 215)], FACES)


def bare(k: int) -> Detections:
    return seen([box(100 + 3 * k), box(500 - 3 * k, 215)])


NOW = 20 * DT
Call = Callable[[Sightline], Any]
REFUSED: dict[str, tuple[Call, str]] = {
    "time stands still": (lambda t: t.update(scene(20), 19 * DT), "time must advance: a frame at 0.63"),
    "time goes back": (lambda t: t.update(scene(20), -4.0), "time must advance: a frame at -4.0 s after"),
    "time is NaN": (lambda t: t.update(scene(20), math.nan), "time must advance: a frame at nan s after"),
    "time never ends": (lambda t: t.update(scene(20), math.inf), "time must advance: a frame at inf s"),
    "other embeddings": (
        lambda t: t.update(seen([box(160), box(440)], faces(2, 16)), NOW),
        "embeddings must keep their length: it was 32, now 16",
    ),
    "embeddings without length": (
        lambda t: t.update(seen([box(160), box(440)], np.zeros((2, 0))), NOW),
        "embeddings must keep their length: it was 32, now 0",
    ),
    "embeddings of NaN": (
        lambda t: t.update(seen([box(160), box(440)], BAD_LOOKS), NOW),
        "embeddings must be finite",
    ),
    "a camera of NaN": (lambda t: t.update(scene(20), NOW, camera=np.full((2, 3), math.nan)), "camera"),
    "a camera that flattens": (lambda t: t.update(scene(20), NOW, camera=np.zeros((2, 3))), "camera"),
    "a camera of another shape": (lambda t: t.update(scene(20), NOW, camera=np.eye(3)), "camera"),
}
# What `embed` makes is seen only in the midst of a frame.
MADE: dict[str, tuple[Call, str]] = {
    "made embeddings of NaN": (
        lambda t: t.update(bare(20), NOW, embed=lambda rows: BAD_LOOKS[rows]),
        "embeddings must be finite",
    ),
    "made embeddings of another length": (
        lambda t: t.update(bare(20), NOW, embed=lambda rows: faces(2, 16)[rows]),
        "embeddings must keep their length: it was 32, now 16",
    ),
    "one embedding too few": (
        lambda t: t.update(bare(20), NOW, embed=lambda rows: faces(2, 32)[rows[1:]]),
        r"embed must return \(\d, D\) embeddings",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_a_refused_call_leaves_the_tracker_as_it_was(call: Call, message: str) -> None:
    """Compared with a twin that never got it, to the last bit, for a second."""
    one, two = Sightline(), Sightline()
    play(one, [scene(k) for k in range(20)])
    play(two, [scene(k) for k in range(20)])
    with pytest.raises(ValueError, match=message):
        call(one)
    for k in range(20, 50):
        assert same_tracks(one.update(scene(k), k * DT), two.update(scene(k), k * DT))


@pytest.mark.parametrize(("call", "message"), MADE.values(), ids=MADE)
def test_a_frame_whose_looks_fail_passes_as_an_empty_one(call: Call, message: str) -> None:
    tracker = Sightline()
    play(tracker, [scene(k) for k in range(20)])
    with pytest.raises(ValueError, match=message):
        call(tracker)
    for k in range(21, 50):
        assert links(checked(tracker.update(scene(k), k * DT))) == {0: 1, 1: 2}


@pytest.mark.parametrize("pts_s", [math.nan, math.inf, -math.inf])
def test_a_first_frame_needs_a_time(pts_s: float) -> None:
    with pytest.raises(ValueError, match="time must advance"):
        Sightline().update(scene(0), pts_s)


def test_refused_first_embeddings_fix_no_length() -> None:
    tracker = Sightline()
    with pytest.raises(ValueError, match="embeddings must be finite"):
        tracker.update(seen([box(100)], np.full((1, 16), np.nan)), 0.0)
    assert len(play(tracker, [scene(k) for k in range(5)])[-1]) == 2


@pytest.mark.parametrize(
    "area",
    [
        (50, 50, 50, 90), (7, 7, 7, 7), (5, 5, 5.5, 60), (5, 5, 60, 5.9),
    ],
)  # fmt: skip
@pytest.mark.parametrize("looks", [False, True])
def test_boxes_without_area_are_passed_over(area: tuple[float, ...], looks: bool) -> None:
    """They start nothing, and the rows of the others are still those of the whole table."""
    embedding = faces(3)[[2, 0, 2, 1]] if looks else None
    table = seen([area, box(100), area, box(300)], embedding)  # type: ignore[list-item]
    history = follow([table] * 6)
    assert links(history[-1]) == {1: 1, 3: 2}
    assert ids(follow([seen([area], None if embedding is None else embedding[:1])] * 6)) == [[]] * 6  # type: ignore[list-item]


def test_nan_looks_of_a_box_that_is_passed_over_do_no_harm() -> None:
    table = seen([box(100), (5, 5, 5, 5)], np.vstack([FACES[:1], BAD_LOOKS[:1]]))
    assert links(follow([table] * 5)[-1]) == {0: 1}


def test_embeddings_of_zeros_are_no_looks() -> None:
    """Followed like boxes alone, and known again by their looks once they have some."""
    none = np.zeros((2, 32), np.float32)
    tracker = Sightline()
    assert ids(play(tracker, [seen([box(100), box(300)], none)] * 10))[-1] == [1, 2]
    assert ids(play(tracker, [seen([box(100), box(300)], FACES)] * 10, start_s=1.0))[-1] == [1, 2]
    assert ids(play(tracker, [seen([box(100), box(300)], none)] * 10, start_s=2.0))[-1] == [1, 2]


def test_embeddings_that_come_later_or_not_in_every_frame() -> None:
    """A detector may begin to give embeddings, and a network may be switched off for a while."""
    tracker = Sightline()
    play(tracker, [bare(k) for k in range(20)])
    play(tracker, [scene(k) for k in range(20, 40)], start_s=20 * DT)
    with_new = seen([box(100 + 3 * 40), box(500 - 3 * 40, 215), box(900)])
    play(tracker, [with_new] * 4, start_s=40 * DT)
    last = play(tracker, [seen([box(220), box(380, 215), box(900)], faces(3))] * 4, start_s=44 * DT)[-1]
    assert links(last) == {0: 1, 1: 2, 2: 3}


@pytest.mark.parametrize(("gap_s", "same"), [(4.9, True), (5.1, False), (3600.0, False), (1e7, False)])
def test_a_gap_counts_at_its_true_length(gap_s: float, same: bool) -> None:
    tracker, table = Sightline(), seen([box(100), box(600)], FACES)
    play(tracker, [table] * 30)
    after = play(tracker, [table] * 4, start_s=29 * DT + gap_s)
    assert ids(after)[-1] == ([1, 2] if same else [3, 4])
    assert len(tracker) == 2


@pytest.mark.parametrize("gap_s", [5.1, 5.5])
def test_what_was_hardly_seen_is_forgotten_in_a_gap_too(gap_s: float) -> None:
    """Two detections, longer than the memory nothing, and one more: not an object seen three times."""
    tracker = Sightline()
    play(tracker, [seen([box(100)])] * 2)
    assert len(play(tracker, [seen([box(100)])], start_s=DT + gap_s)[0]) == 0


@pytest.mark.parametrize("start_s", [-100.0, 0.0, 1.8e9])
def test_any_clock_will_do(start_s: float) -> None:
    """Seconds before zero, since the start, or since 1970."""
    history = play(Sightline(), [scene(k) for k in range(60)], start_s=start_s)
    assert links(history[-1]) == {0: 1, 1: 2}


def test_frames_a_microsecond_apart() -> None:
    tables = crowd(0, 20)
    tracker = Sightline()
    for k, table in enumerate(tables):
        checked(tracker.update(table, 1e-7 * k))


@pytest.mark.parametrize("n", [0, 1, 5000])
def test_any_number_of_detections(n: int) -> None:
    boxes = [box(60.0 * (k % 100), 150.0 * (k // 100)) for k in range(n)]
    history = follow([seen(boxes)] * 3 + [EMPTY], max_tracks=6000)
    assert [len(tracks) for tracks in history] == [0, 0, n, n]


@pytest.mark.parametrize("scale", [1e-2, 1e4, 1e12, 1e30])
def test_pictures_of_any_size(scale: float) -> None:
    tables = [seen(scale * 100 * np.array([box(100 + 2 * k), box(400, 300)])) for k in range(20)]
    assert links(follow(tables)[-1]) == {0: 1, 1: 2}


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("max_age_s", -1.0, "max_age_s must be a finite number of at least 0, got -1.0"),
        ("max_age_s", math.inf, "max_age_s must be a finite number of at least 0, got inf"),
        ("max_age_s", math.nan, "max_age_s must be a finite number of at least 0, got nan"),
        ("min_score", -0.5, "min_score must be a finite number from 0 to 1, got -0.5"),
        ("report_predicted_s", math.nan, "report_predicted_s must be a finite number of at least 0, got nan"),
        ("n_init", 0, "n_init must be a whole number of at least 1, got 0"),
        ("max_tracks", 0, "max_tracks must be a whole number of at least 1, got 0"),
        ("max_tracks", -3, "max_tracks must be a whole number of at least 1, got -3"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Settings(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("min_score", 1.5), ("n_init", math.nan), ("n_init", 2.5),
        ("max_tracks", math.nan), ("max_tracks", math.inf), ("max_tracks", 2.5),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        Settings(**{setting: value})


@pytest.mark.parametrize(("max_age_s", "rate_hz"), [(0.0, 30), (0.5, 1), (0.15, 5)])
def test_an_object_seen_in_every_frame_is_never_lost(max_age_s: float, rate_hz: float) -> None:
    history = follow([seen([box(100)])] * 20, 1 / rate_hz, max_age_s=max_age_s)
    assert ids(history)[2:] == [[1]] * 18
