"""One frame's matching: who gets which detection, in small scenes made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.objects import Detections
from stages.track.sightline import motion
from stages.track.sightline.association import Association
from stages.track.sightline.frame import Measured
from stages.track.sightline.looks import FrameLooks, Looks
from stages.track.sightline.rows import CONFIRMED, COUNTS, HITS, ID, NUMBERS, SLOT, Rows
from tests.stages.track.sightline.scenes import DT, Box, box, faces, seen

FACES = faces(3)


def tracks(
    boxes: list[Box], looks: list[int] | None = None, labels: str | list[str] = "person"
) -> tuple[Rows, Looks]:
    """Tracks with a settled filter, standing at the boxes."""
    measured = Measured(seen(boxes, label=labels))
    number = motion.initiate(measured.vector)
    for _ in range(20):
        motion.predict(number, DT)
        motion.correct(number, measured.vector.copy(), measured.corners)
    motion.predict(number, DT)
    count = np.zeros((COUNTS, len(boxes)), np.int64)
    count[ID] = np.arange(1, len(boxes) + 1)
    count[HITS], count[CONFIRMED], count[SLOT] = 20, 1, -1
    memory, rows = Looks(), Rows()
    memory.check(FACES.shape[1])
    if looks is not None:
        count[SLOT] = memory.acquire(len(boxes))
        memory.add(count[SLOT], FACES[looks], np.ones(len(boxes)))
    assert number.shape[0] == NUMBERS
    rows.append(number, count, measured.label)
    return rows, memory


def solve(
    state: tuple[Rows, Looks],
    detections: Detections,
    *,
    absent_s: list[float] | float = DT,
    seek_shift: bool = False,
) -> Association:
    rows, memory = state
    measured = Measured(detections)
    looks = None
    if detections.embedding is not None:
        looks = memory, FrameLooks(detections.embedding, len(measured))
    absent = np.array(np.broadcast_to(absent_s, len(rows)), np.float64)
    found = Association(rows, measured, looks, absent, DT, 0.3)
    found.solve(seek_shift=seek_shift)
    return found


A, B, C = box(100), box(300), box(500)
CASES = [
    # what, tracks, detections, detection of each track, left
    ("each its own", [A, B], [A, B], [0, 1], []),
    ("in another order", [A, B], [B, A], [1, 0], []),
    ("one is missing", [A, B], [B], [-1, 0], []),
    ("one is new", [A], [A, B], [0], [1]),
    ("somebody else", [A], [C], [-1], [0]),
    ("half the size", [A], [box(100, w=20, h=50)], [0], []),
    ("a tenth of the size, beside it", [A], [box(135, w=4, h=10)], [-1], [0]),
    ("the nearer of two", [A], [box(118), box(104)], [1], [0]),
    ("who stands between two is the nearer one's", [A, box(160)], [box(120)], [0, -1], []),
    ("two side by side both move on", [A, box(120)], [box(112), box(132)], [0, 1], []),
]


@pytest.mark.parametrize(("what", "before", "now", "expected", "left"), CASES, ids=[c[0] for c in CASES])
def test_by_motion_alone(what, before, now, expected, left) -> None:
    found = solve(tracks(before), seen(now))
    assert found.detection_of.tolist() == expected
    assert found.left.tolist() == left


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("x", [103, 104, 106, 107])
def test_looks_decide_between_two_who_meet(x: float, swapped: bool) -> None:
    """Both detections are about as near to one track as to the other: only the faces can tell."""
    order = [1, 0] if swapped else [0, 1]
    now = seen([box(x, 199), box(x + 1, 201)], FACES[order])
    assert solve(tracks([box(100), box(110)], [0, 1]), now).detection_of.tolist() == order


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_looks_decide_when_motion_says_exactly_the_same(order: list[int]) -> None:
    now = seen([box(105, 199), box(105, 201)], FACES[order])
    assert solve(tracks([box(100), box(110)], [0, 1]), now).detection_of.tolist() == order


def test_looks_do_not_outweigh_a_sure_motion() -> None:
    """Far apart and exactly where they are expected: a face seen wrongly changes nothing."""
    found = solve(tracks([A, C], [0, 1]), seen([A, C], FACES[[1, 0]]))
    assert found.detection_of.tolist() == [0, 1]


@pytest.mark.parametrize(("face", "found_again"), [(0, True), (1, False)])
def test_a_lost_one_is_found_far_off_by_its_face(face: int, found_again: bool) -> None:
    state = tracks([A], [0])
    motion.predict(state[0].number, 2.0)
    found = solve(state, seen([box(240)], FACES[[face]]), absent_s=2.0)
    assert found.detection_of.tolist() == ([0] if found_again else [-1])


def test_another_label_is_a_reason_to_take_the_other_one() -> None:
    state = tracks([box(100), box(110)], labels=["car", "truck"])
    boxes = [box(105, 199), box(105, 201)]
    for labels, expected in ((["car", "truck"], [0, 1]), (["truck", "car"], [1, 0])):
        assert solve(state, seen(boxes, label=labels)).detection_of.tolist() == expected


def test_of_two_equal_boxes_the_strong_one_is_the_object() -> None:
    boxes = [box(103), box(97)]
    for score, expected in (([0.9, 0.2], 0), ([0.2, 0.9], 1)):
        assert solve(tracks([A]), seen(boxes, score=score)).detection_of.tolist() == [expected]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_equal_rivals_get_a_detection_each(size: int) -> None:
    """The same box several times over, as detectors without suppression give it."""
    found = solve(tracks([A] * size), seen([A] * size))
    assert sorted(found.detection_of.tolist()) == list(range(size))


@pytest.mark.parametrize("places", [[98, 102], [95, 105], [102, 98, 200]])
def test_of_two_equally_near_ones_one_is_left(places: list[float]) -> None:
    found = solve(tracks([A]), seen([box(x) for x in places]))
    assert len(found.left) == len(places) - 1


def test_nobody_is_matched_twice_in_a_crowd() -> None:
    rng = np.random.default_rng(0)
    for n in (5, 60, 400):
        side = 40 * math.sqrt(n)
        place = rng.uniform(0, side, (n, 2))
        now = place + rng.normal(0, 8, (n, 2))
        found = solve(tracks([box(*p) for p in place]), seen([box(*p) for p in now]))
        matched = found.detection_of[found.detection_of >= 0].tolist()
        assert len(set(matched)) == len(matched) > 0.8 * n
        assert sorted(matched + found.left.tolist()) == list(range(n))


@pytest.mark.parametrize("by", [(60.0, 0.0), (-50.0, 30.0)])
def test_a_common_shift_is_undone_when_it_is_sought(by: tuple[float, float]) -> None:
    """Rows of people 80 px apart, all moved by most of that: only together they tell by how much."""
    place = [(80.0 * k, 130.0 * j + 20 * (k % 2)) for k in range(6) for j in range(3)]
    moved = [(x + by[0], y + by[1]) for x, y in place]
    boxes, now = [box(*p) for p in place], seen([box(*p) for p in moved])
    assert solve(tracks(boxes), now, seek_shift=True).detection_of.tolist() == list(range(18))
    assert solve(tracks(boxes), now).detection_of.tolist() != list(range(18))


def test_what_stands_lower_hides_what_is_behind_it() -> None:
    behind, before = box(100, 200), box(110, 230)
    found = solve(tracks([behind, before, C]), seen([behind, before, C]))
    assert found.detection_of.tolist() == [0, 1, 2]
    hidden = found.cover(np.arange(3))
    assert hidden[0] == pytest.approx(30 * 70 / (40 * 100))
    assert hidden[1:].tolist() == [0, 0]
    np.testing.assert_array_equal(found.cover(np.array([2, 0])), hidden[[2, 0]])
