"""What must hold for every line and every path."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.count.geometry import Segment
from stages.count.line_counter import LineCounter
from tests.stages.count.paths import directions, every, follow

BAND_PX = 3.3  # no two points of whole pixels are that far apart, so rounding decides nothing
examples = settings(max_examples=100, deadline=None)

whole = st.integers(-60, 60)
points = st.tuples(whole, whole)
segments = st.tuples(points, points).filter(lambda ends: ends[0] != ends[1])
paths = st.lists(points, min_size=2, max_size=40)


def counted(start, end, path, *, scale=1.0, step_s=0.1):
    """Return (direction, time, position) of all crossings."""
    counter = LineCounter(Segment(start, end), band_px=BAND_PX * scale, hold_s=0.15)
    found = follow(counter, every(step_s, path)) + counter.finish()
    return [(crossing.to_right, crossing.time_s, crossing.position) for crossing in found]


def distance_px(start, end, point):
    return Segment(start, end).distances_px(np.array([point], float))[0]


@examples
@given(segments, paths)
def test_reversing_the_line_swaps_the_directions(ends, path):
    on_line = Segment(*ends).sides(np.array(path, float)) == Segment(*ends[::-1]).sides(np.array(path, float))
    assume(not on_line.any())  # a point on the line is left of it, whichever way it runs
    forward, backward = counted(*ends, path), counted(*ends[::-1], path)
    assert [not to_right for to_right, _, _ in backward] == [to_right for to_right, _, _ in forward]
    assert np.allclose([time_s for _, time_s, _ in forward], [time_s for _, time_s, _ in backward])


moves = {
    "translation": (1.0, lambda point: (point[0] + 37, point[1] - 211)),
    "scale": (8.0, lambda point: (point[0] * 8, point[1] * 8)),
    "shrinkage": (0.25, lambda point: (point[0] * 0.25, point[1] * 0.25)),
    "a quarter turn": (1.0, lambda point: (-point[1], point[0])),
}


@examples
@given(segments, paths, st.sampled_from(sorted(moves)))
def test_moving_line_and_path_together_changes_nothing(ends, path, name):
    scale, move = moves[name]
    still = counted(*ends, path)
    moved = counted(*map(move, ends), [move(point) for point in path], scale=scale)
    assert [to_right for to_right, _, _ in moved] == [to_right for to_right, _, _ in still]
    for (_, time_s, position), (_, moved_time_s, moved_position) in zip(still, moved, strict=True):
        assert np.isclose(moved_time_s, time_s)
        assert np.allclose(moved_position, move(position))


@examples
@given(segments, st.floats(0.02, 0.98), st.floats(0.2, 2.9), st.data())
def test_however_a_path_is_sampled_it_crosses_once(ends, along, angle, data):
    (ax, ay), (bx, by) = ends
    x, y = ax + along * (bx - ax), ay + along * (by - ay)
    heading = np.arctan2(by - ay, bx - ax) + angle  # to the right, as y points down
    times_s = data.draw(st.lists(st.floats(-0.999, 0.999), min_size=0, max_size=80, unique=True))
    path = [
        (t + 2, x + 200 * t * np.cos(heading), y + 200 * t * np.sin(heading))
        for t in sorted([-1.2, -1.0, *times_s, 1.0, 1.2])
    ]
    counter = LineCounter(Segment(*ends), band_px=BAND_PX, hold_s=0.15)
    (crossing,) = follow(counter, path)
    assert crossing.to_right
    assert np.allclose(crossing.position, (x, y))
    assert np.isclose(crossing.time_s, 2.0)
    assert counter.finish() == []


def true_crossings(start, end, path):
    """Return the directions of a path's crossings, solved for in exact fractions."""
    (ax, ay), (dx, dy) = start, (end[0] - start[0], end[1] - start[1])
    found = ""
    for (px, py), (qx, qy) in pairwise(path):
        ex, ey = qx - px, qy - py
        turn = dx * ey - dy * ex  # positive when the path goes to the line's right
        if turn == 0:
            continue
        on_path = Fraction((ax - px) * dy - (ay - py) * dx, -turn)
        on_line = Fraction((ax - px) * ey - (ay - py) * ex, -turn)
        if 0 <= on_path <= 1 and 0 <= on_line <= 1:
            found += "R" if turn > 0 else "L"
    return found


@examples
@given(segments, paths)
def test_between_positions_well_beyond_the_band_every_true_crossing_counts(ends, path):
    path = [point for point in path if distance_px(*ends, point) > 2 * BAND_PX]
    counter = LineCounter(Segment(*ends), band_px=BAND_PX, hold_s=0.15)
    found = follow(counter, every(10.0, path)) + counter.finish()
    assert directions(found) == true_crossings(*ends, path)


@examples
@given(segments, points, st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(-1, 1)), max_size=60))
def test_dithering_within_the_band_never_counts(ends, first, dither):
    (ax, ay), (bx, by) = ends
    dx, dy = bx - ax, by - ay
    length = np.hypot(dx, dy)
    within = [
        (ax + u * dx - v * BAND_PX * dy / length, ay + u * dy + v * BAND_PX * dx / length) for u, v in dither
    ]
    within = [point for point in within if distance_px(*ends, point) <= BAND_PX]
    assert counted(*ends, [first, *within]) == []
    assert counted(*ends, [first, *within, *within[:1], first, first, first]) == [], "back as it came"


@examples
@given(segments, st.floats(0, 1), st.floats(-0.9, 0.9), points)
def test_who_is_first_seen_within_the_band_does_not_count_for_leaving(ends, along, offset, target):
    (ax, ay), (bx, by) = ends
    dx, dy = bx - ax, by - ay
    aside = offset * BAND_PX / np.hypot(dx, dy)
    first = (ax + along * dx - aside * dy, ay + along * dy + aside * dx)
    assert counted(*ends, [first, target, target, target]) == []
