"""Lines with bends: sides, crossings through bends and ends, and what is near."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.count.geometry import Polyline, Segment, anchor_points, joined

examples = settings(max_examples=60, deadline=None)
CORNER = Polyline(((0, 0), (100, 0), (100, 100)))  # to the right, then down: its right side is the inner one

whole = st.integers(-20, 20)
points = st.tuples(whole, whole)


def sound(corners: list) -> bool:
    try:
        Polyline(tuple(corners))
    except ValueError:
        return False
    return True


polylines = (
    st.lists(points, min_size=3, max_size=5).filter(sound).map(lambda corners: Polyline(tuple(corners)))
)


def net(line: Polyline, *path) -> int:
    return sum(meeting.side for a, b in pairwise(path) for meeting in line.crossings(a, b))


@pytest.mark.parametrize(
    ("point", "side"),
    [
        ((50, 10), 1),
        ((50, -10), -1),
        ((90, 50), 1),
        ((110, 50), -1),
        ((110, -10), -1),  # nearest to the bend, outside
        ((130, 5), -1),
        ((-30, 4), 1),  # beyond the end the line goes on in thought
        ((-30, -4), -1),
        ((98, 200), 1),
        ((50, 0), -1),  # on it
        ((100, 0), -1),
    ],
)
def test_sides(point, side):
    assert CORNER.side(point) == side
    assert CORNER.sides(np.array([point], float)).tolist() == [side]


def test_distances_are_from_the_nearest_part():
    points = np.array([[50, 7], [93, 50], [103, -4], [100, 112], [60, 60]], float)
    assert CORNER.distances_px(points).tolist() == [7, 7, 5, 12, 40]


@pytest.mark.parametrize(
    ("origin", "target", "wanted"),
    [
        ((50, -10), (50, 10), [(0.5, 1)]),
        ((120, -20), (80, 20), [(0.5, 1)]),  # exactly through the bend: once
        ((80, 20), (120, -20), [(0.5, -1)]),
        ((90, -10), (110, 10), []),  # along the outside, exactly over the bend: touched, not crossed
        ((50, -10), (150, 90), [(0.1, 1), (0.5, -1)]),  # in by one part, out by the other
        ((100, -10), (100, 20), []),  # from before the line onto it, along it
        ((100, 120), (100, 50), []),
        ((0, -10), (0, 10), [(0.5, 1)]),  # through the first end
        ((90, 100), (110, 100), [(0.5, -1)]),  # through the last end
        ((100, 50), (90, 50), [(0.0, 1)]),
        ((90, 50), (100, 50), [(1.0, -1)]),
        ((10, 20), (60, 80), []),
    ],
)
def test_crossings(origin, target, wanted):
    assert CORNER.crossings(origin, target) == wanted


def test_two_crossings_in_one_step_are_in_order_of_time():
    zigzag = Polyline(((0, 0), (10, 100), (20, 0)))
    shares = [meeting.share for meeting in zigzag.crossings((40, 50), (-20, 50))]
    assert shares == sorted(shares)
    assert [meeting.side for meeting in zigzag.crossings((40, 50), (-20, 50))] == [-1, 1]


@examples
@given(points, points, st.integers(1, 3), points, points)
def test_a_point_between_changes_nothing(start, end, cut, origin, target):
    assume(start != end)
    at = tuple(a + (b - a) * cut / 4 for a, b in zip(start, end, strict=True))
    whole, parted = Segment(start, end), Polyline((start, at, end))
    assert len(parted.crossings(origin, target)) == len(whole.crossings(origin, target)) <= 1
    for (share, side), (wanted, wanted_side) in zip(
        parted.crossings(origin, target), whole.crossings(origin, target), strict=True
    ):
        assert (share, side) == (pytest.approx(wanted), wanted_side)
    assert parted.side(origin) == whole.side(origin)


@examples
@given(points, points, points, points, points)
def test_at_a_bend_crossings_are_changes_of_side(before, bend, after, origin, target):
    """A path that turns exactly on a bend crosses the line if and only if it changes the side there."""
    far = [tuple(b + 1000 * (a - b) for a, b in zip(end, bend, strict=True)) for end in (before, after)]
    assume(sound([far[0], bend, far[1]]))
    line = Polyline((far[0], bend, far[1]))
    assert net(line, origin, bend, target) == (line.side(target) - line.side(origin)) // 2


@examples
@given(polylines, points, points)
def test_the_way_back_undoes_it(line, origin, target):
    assert net(line, origin, target, origin) == 0


@examples
@given(polylines, points, points, points)
def test_a_path_around_no_end_crosses_as_often_each_way(line, a, b, c):
    """A closed path that has neither end within it comes back to the side where it began."""

    def holds(point) -> bool:
        turns = [
            (q[0] - p[0]) * (point[1] - p[1]) - (q[1] - p[1]) * (point[0] - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        return all(turn >= 0 for turn in turns) or all(turn <= 0 for turn in turns)

    assume(not holds(line.start) and not holds(line.end))
    assert net(line, a, b, c, a) == 0


@examples
@given(polylines, points, points, st.floats(0.5, 15))
def test_what_is_within_is_what_is_near(line, origin, target, radius_px):
    shares = np.linspace(0, 1, 200)
    path = np.array(origin) + shares[:, None] * (np.array(target) - np.array(origin))
    distance_px = line.distances_px(path)
    spans = line.within(origin, target, radius_px)
    inside = np.zeros(len(shares), bool)
    for start, end in spans:
        inside |= (shares >= start) & (shares <= end)
    clear = np.abs(distance_px - radius_px) > 1e-9
    assert (inside == (distance_px <= radius_px))[clear].all()
    assert all(0 <= start <= end <= 1 for start, end in spans)
    assert all(end < start for (_, end), (start, _) in pairwise(spans))


def test_a_narrow_band_is_found_from_far_away():
    (span,) = Segment((0, 0), (1000, 3)).within((500, -900), (501, 800), 1e-6)
    assert span[1] - span[0] == pytest.approx(2e-6 / 1700, rel=1e-3)


@pytest.mark.parametrize(
    ("corners", "says"),
    [
        ([(1, 1)], "at least two points, got 1"),
        ([(1, 1), (1, 1), (5, 5)], r"two different points, got \(1, 1\) twice in a row"),
        ([(0, 0), (10, 0), (5, 0)], "part 1 from .* meets part 2"),
        ([(0, 0), (10, 0), (10, 10), (5, -5)], "part 1 from .* meets part 3"),
        ([(0, 0), (10, 0), (10, 10), (0, 0)], "touch itself"),
        ([(0, 0), (10, 0), (20, 0), (20, 5), (5, 0)], "touch itself"),
    ],
)
def test_lines_that_are_none(corners, says):
    with pytest.raises(ValueError, match=says):
        Polyline(tuple(corners))


def test_a_straight_line_may_have_points_between():
    assert Polyline(((0, 0), (10, 0), (20, 0), (20, 5))).crossings((15, -1), (15, 1)) == [(0.5, 1)]


def test_a_free_anchor_is_a_share_of_the_box():
    boxes = np.array([[10, 20, 30, 80]], np.float32)
    assert anchor_points(boxes, (0.25, 0.9)).tolist() == [[15, 74]]


def test_joined():
    assert joined([(0.5, 0.6), (0.1, 0.2), (0.2, 0.3), (0.15, 0.25)]) == [(0.1, 0.3), (0.5, 0.6)]
