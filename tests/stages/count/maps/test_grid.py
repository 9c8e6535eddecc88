"""Maps against drawn paths, whose dwell, visitors and directions are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.count.maps.grid import PathGrid

Path = Callable[[float], tuple[float, float]]


def drawn(grid: PathGrid, paths: dict[int, Path], seconds: float, rate_hz: float = 20.0) -> None:
    for n in range(round(seconds * rate_hz) + 1):
        time_s = n / rate_hz
        grid.add(time_s, list(paths), np.array([path(time_s) for path in paths.values()], np.float64))


def test_a_straight_drive_is_known_everywhere() -> None:
    """From (5, 45) to the right at 20 px/s, over cells of 10 px: half a second in each."""
    grid = PathGrid(100, 100, 10)
    drawn(grid, {1: lambda t: (5 + 20 * t, 45)}, seconds=4.5)
    sums = grid.sums
    assert sums.dwell_s[4] == pytest.approx([0.25] + [0.5] * 8 + [0.25])
    assert sums.dwell_s.sum() == pytest.approx(4.5)
    assert sums.visitors[4].tolist() == [1] * 10
    assert np.delete(sums.visitors, 4, axis=0).sum() == 0
    assert sums.velocity_px_s[4] == pytest.approx(np.tile([20.0, 0.0], (10, 1)), rel=1e-5)
    assert sums.speed_px_s[4] == pytest.approx([20.0] * 10, rel=1e-5)
    assert sums.direction_deg[4] == pytest.approx([0.0] * 10)
    assert sums.agreement[4] == pytest.approx([1.0] * 10)
    assert np.isnan(sums.velocity_px_s[5]).all()


def test_who_stands_dwells_in_one_cell() -> None:
    grid = PathGrid(100, 100, 10)
    drawn(grid, {1: lambda t: (33, 77), 2: lambda t: (34, 78)}, seconds=60)
    assert grid.sums.dwell_s[7, 3] == pytest.approx(120)
    assert grid.sums.dwell_s.sum() == pytest.approx(120)
    assert grid.sums.visitors[7, 3] == 2
    assert grid.sums.speed_px_s[7, 3] == 0
    assert math.isnan(grid.sums.direction_deg[7, 3])


def test_traffic_both_ways_cancels_and_says_so() -> None:
    grid = PathGrid(100, 100, 10)
    drawn(grid, {1: lambda t: (5 + 20 * t, 45), 2: lambda t: (95 - 20 * t, 45)}, seconds=4.5)
    assert grid.sums.agreement[4] == pytest.approx([0.0] * 10, abs=0.05)
    assert grid.sums.speed_px_s[4] == pytest.approx([20.0] * 10, rel=1e-5)
    assert grid.sums.visitors[4].tolist() == [2] * 10


def test_a_circle_turns_with_the_clock() -> None:
    """y points down, so a positive angle is clockwise: at its right it goes down, at its top to the right."""
    grid = PathGrid(200, 200, 20)
    drawn(grid, {1: lambda t: (100 + 80 * math.cos(t), 100 + 80 * math.sin(t))}, seconds=2 * math.pi)
    direction = grid.sums.direction_deg
    for (row, column), wanted in {(10, 17): 90, (17, 10): 180, (10, 2): 270, (2, 10): 0}.items():
        off = (direction[row, column] - wanted + 180) % 360 - 180
        assert abs(off) < 12, (row, column, direction[row, column])
    assert np.nanmedian(grid.sums.speed_px_s) == pytest.approx(80, rel=0.01)


def test_a_fast_object_leaves_no_holes() -> None:
    """At 5 pictures a second it jumps over three cells each time."""
    grid = PathGrid(100, 100, 10)
    drawn(grid, {1: lambda t: (2 + 150 * t, 45)}, seconds=0.6, rate_hz=5)
    assert grid.sums.visitors[4, :9].tolist() == [1] * 9
    assert grid.sums.dwell_s[4, 1:8] == pytest.approx([10 / 150] * 7, abs=0.02)


def test_who_comes_back_is_one_visitor_a_new_interval_counts_anew() -> None:
    grid = PathGrid(100, 100, 10)
    path: Path = lambda t: (50 + 40 * math.sin(t), 45)  # noqa: E731
    drawn(grid, {1: path}, seconds=20)
    assert grid.sums.visitors.max() == 1
    first = grid.restart()
    grid.add(20.04, [1], np.array([[50.0, 45.0]]))
    assert (first.visitors.max(), grid.sums.visitors.sum() >= 1) == (1, True)
    assert grid.sums.dwell_s.sum() == pytest.approx(0.04)


@pytest.mark.parametrize(("gap_s", "dwell_s"), [(0.9, 0.9), (1.1, 0.0)])
def test_a_long_silence_is_not_filled(gap_s: float, dwell_s: float) -> None:
    grid = PathGrid(100, 100, 10)
    grid.add(0.0, [1], np.array([[5.0, 5.0]]))
    grid.add(gap_s, [1], np.array([[95.0, 95.0]]))
    assert grid.sums.dwell_s.sum() == pytest.approx(dwell_s)
    assert grid.sums.visitors[9, 9] == 1


def test_memory_ends_with_the_objects() -> None:
    grid = PathGrid(640, 360, 64)
    for n in range(500):
        ids = [n, n + 1]
        grid.add(n * 0.1, ids, np.array([[n % 640, 100.0], [300.0, n % 360]], np.float64))
        grid.forget([n - 1])
        assert len(grid) <= 3
        assert len(grid._visited) <= 3


@settings(max_examples=30, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-50, 700), st.floats(-50, 400)), min_size=2, max_size=20),
    columns=st.integers(1, 100),
)
def test_no_time_is_lost_or_made_within_the_picture(points: list[tuple[float, float]], columns: int) -> None:
    grid = PathGrid(640, 360, columns)
    for n, point in enumerate(points):
        grid.add(n * 0.5, [7], np.array([point]))
    total_s = (len(points) - 1) * 0.5
    all_inside = all(0 <= x < 640 and 0 <= y < 360 for x, y in points)
    if all_inside:
        assert grid.sums.dwell_s.sum() == pytest.approx(total_s)
        assert grid.sums.shift_px.sum(axis=(0, 1)) == pytest.approx(
            np.subtract(points[-1], points[0]), abs=1e-6
        )
    assert grid.sums.dwell_s.sum() <= total_s + 1e-9
    assert grid.sums.visitors.max(initial=0) <= 1
    assert ((grid.sums.dwell_s > 0) <= (grid.sums.visitors > 0)).all()
