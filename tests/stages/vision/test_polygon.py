import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.vision.polygon import area, crosses_itself, inside

coordinate = st.integers(0, 40).map(float)
corner = st.tuples(coordinate, coordinate)


@settings(derandomize=True, deadline=None)
@given(st.lists(corner, min_size=3, max_size=8), st.lists(corner, min_size=1, max_size=20))
def test_points_lie_inside_where_opencv_says_so(polygon: list, points: list) -> None:
    contour = np.array(polygon, np.float32)
    sides = [cv2.pointPolygonTest(contour, (x + 0.25, y + 0.125), measureDist=False) for x, y in points]
    found = inside(np.add(points, (0.25, 0.125)), polygon)
    assert [bool(f) for f, side in zip(found, sides, strict=True) if side] == [s > 0 for s in sides if s]


@settings(derandomize=True, deadline=None)
@given(st.lists(corner, min_size=1, max_size=20))
def test_of_two_that_share_an_edge_a_point_lies_in_at_most_one(points: list) -> None:
    left, right = [(0, 0), (20, 0), (20, 41), (0, 41)], [(20, 0), (41, 0), (41, 41), (20, 41)]
    both = inside(np.array(points), left).astype(int) + inside(np.array(points), right)
    assert (both == 1).all()


@pytest.mark.parametrize(
    ("polygon", "crosses"),
    [
        ([(0, 0), (10, 0), (10, 10), (0, 10)], False),
        ([(0, 0), (10, 10), (10, 0), (0, 10)], True),
        ([(0, 0), (10, 0), (5, 5), (10, 10), (0, 10)], False),
        ([(0, 0), (10, 0), (0, 5), (10, 10), (0, 10)], True),
        ([(0, 0), (10, 0), (10, 10)], False),
    ],
)
def test_polygons_that_cross_themselves_are_told(polygon: list, crosses: bool) -> None:
    assert crosses_itself(polygon) is crosses


def test_area() -> None:
    assert area([(0, 0), (10, 0), (10, 5), (0, 5)]) == 50
    assert area([(0, 0), (0, 10), (10, 0)]) == 50
