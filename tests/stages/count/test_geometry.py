import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.count.geometry import Point, Segment, anchor_points

LINE = Segment((100, 100), (300, 100))


@pytest.mark.parametrize(
    ("anchor", "wanted"),
    [
        ("top_left", (10, 20)),
        ("top_center", (20, 20)),
        ("top_right", (30, 20)),
        ("left_center", (10, 50)),
        ("center", (20, 50)),
        ("right_center", (30, 50)),
        ("bottom_left", (10, 80)),
        ("bottom_center", (20, 80)),
        ("bottom_right", (30, 80)),
    ],
)
def test_anchor_points(anchor, wanted):
    boxes = np.array([[10, 20, 30, 80]], np.float32)
    assert anchor_points(boxes, anchor).tolist() == [list(wanted)]


def test_anchor_points_of_no_boxes():
    assert anchor_points(np.empty((0, 4), np.float32), "center").shape == (0, 2)


def test_right_of_a_line_drawn_to_the_right_is_down():
    assert LINE.sides(np.array([[200.0, 150.0], [200.0, 50.0]])).tolist() == [1, -1]


def test_a_point_on_the_line_is_on_its_left_side():
    points = np.array([[200.0, 100.0], [900.0, 100.0]])
    assert LINE.sides(points).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("point", "wanted"),
    [
        ((200, 107), 7),
        ((200, 93), 7),
        ((200, 100), 0),
        ((303, 104), 5),  # past the end: from the end point
        ((90, 100), 10),
    ],
)
def test_distance_is_from_the_segment_not_from_the_infinite_line(point, wanted):
    assert LINE.distances_px(np.array([point], float))[0] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("origin", "target", "share"),
    [
        ((200, 90), (200, 110), 0.5),
        ((200, 110), (200, 90), 0.5),
        ((200, 60), (240, 110), 0.8),
        ((99, 90), (99, 110), None),  # past the start
        ((301, 90), (301, 110), None),  # past the end
        ((100, 90), (100, 110), 0.5),  # exactly through the start
        ((300, 90), (300, 110), 0.5),  # exactly through the end
        ((290, 90), (310, 110), 0.5),  # obliquely through the end
        ((150, 100), (250, 100), None),  # along the line
        ((50, 100), (350, 100), None),  # along the line and past both ends
        ((200, 90), (200, 100), None),  # onto the line from the left: still left
        ((200, 100), (200, 110), 0.0),  # from the line to the right
        ((200, 110), (200, 100), 1.0),  # onto the line from the right
        ((200, 100), (200, 90), None),
    ],
)
def test_crossing(origin: Point, target: Point, share: float | None):
    assert LINE.crossing(origin, target) == share


def test_a_line_of_no_length_is_refused():
    with pytest.raises(ValueError, match=r"two different points, got \(3, 4\) twice"):
        Segment((3, 4), (3, 4))


whole = st.integers(-50, 50)
points = st.tuples(whole, whole)


@settings(max_examples=100, deadline=None)
@given(points, points, points, points)
def test_a_vertex_on_the_line_neither_loses_nor_doubles_a_crossing(start, end, origin, target):
    """A path that meets the segment in its middle crosses it if and only if its ends lie on two sides."""
    assume(start != end)
    line = Segment(start, end)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    before, at, after = line.sides(np.array([origin, middle, target], float))
    net = 0
    if line.crossing(origin, middle) is not None:
        net += at
    if line.crossing(middle, target) is not None:
        net += after
    assert net == (after - before) / 2
