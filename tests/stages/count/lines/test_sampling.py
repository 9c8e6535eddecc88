"""A path counts the same however densely it is sampled, and as a slow walk along it says."""

from itertools import pairwise

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.count.geometry import Polyline
from stages.count.line_counter import LineCounter
from tests.stages.count.paths import follow
from tests.stages.count.test_polyline import polylines

BAND_PX, HOLD_S = 3.3, 0.1537  # no sum of steps ends exactly there
LONG_S = 1e9
examples = settings(max_examples=60, deadline=None)

whole = st.integers(-30, 30)
points = st.tuples(whole, whole)
straight = st.tuples(points, points).filter(lambda ends: ends[0] != ends[1]).map(Polyline)
lines = st.one_of(straight, polylines)
paths = st.lists(st.tuples(st.sampled_from([0.125, 0.25, 1.0]), points), min_size=2, max_size=12)


def timed(steps):
    times = np.cumsum([step_s for step_s, _ in steps]).tolist()
    return [(time_s, float(x), float(y)) for time_s, (_, (x, y)) in zip(times, steps, strict=True)]


def counted(line: Polyline, path) -> list[tuple[bool, float, float, float]]:
    counter = LineCounter(line, band_px=BAND_PX, hold_s=HOLD_S, vanished_s=LONG_S, forget_s=LONG_S)
    found = follow(counter, path) + counter.finish()
    return [(crossing.to_right, crossing.time_s, *crossing.position) for crossing in found]


@examples
@given(lines, paths, st.data())
def test_further_points_on_the_straight_parts_change_nothing(line, steps, data):
    path = timed(steps)
    denser = [path[0]]
    for (t, x, y), (to_t, to_x, to_y) in pairwise(path):
        for eighth in sorted(data.draw(st.sets(st.integers(1, 7)))):
            share = eighth / 8
            denser.append((t + (to_t - t) * share, x + (to_x - x) * share, y + (to_y - y) * share))
        denser.append((to_t, to_x, to_y))
    wanted, got = counted(line, path), counted(line, denser)
    assert [one[0] for one in got] == [one[0] for one in wanted]
    np.testing.assert_allclose(np.array(got), np.array(wanted), atol=1e-6)


def walked(line: Polyline, path, *, band_px: float, hold_s: float, steps: int = 200) -> str:
    """Count by walking along the path in little steps; what is decided where is the definition, in words."""
    dense = [path[0]]
    for a, b in pairwise(path):
        dense += [
            tuple(p + (q - p) * i / steps for p, q in zip(a, b, strict=True)) for i in range(1, steps + 1)
        ]
    at = np.array(dense)
    beyond = (line.distances_px(at[:, 1:]) > band_px).tolist()
    sides = line.sides(at[:, 1:]).tolist()
    counts, home, net, left_s = "", 0, 0, None
    for i, (time_s, *_) in enumerate(dense):
        if i and not (beyond[i] and beyond[i - 1]):
            net += sum(meeting.side for meeting in line.crossings(dense[i - 1][1:], dense[i][1:]))
        if not beyond[i]:
            left_s = None
            continue
        came_out = i == 0 or not beyond[i - 1]
        if came_out and home == -sides[i] and net * sides[i] > 0:
            left_s = time_s
        if left_s is None:
            home, net = sides[i], 0
        elif time_s - left_s >= hold_s:
            counts += "R" if home < 0 else "L"
            home, net, left_s = sides[i], 0, None
    if left_s is not None:
        counts += "R" if home < 0 else "L"
    return counts


def hops_out(line: Polyline, origin, target) -> bool:
    """Whether the path leaves the band for less than the walk's steps can tell."""
    spans = line.within(origin, target, BAND_PX)
    return any(start - end < 0.05 for (_, end), (start, _) in pairwise(spans))


@settings(max_examples=30, deadline=None)
@given(lines, paths)
def test_a_slow_walk_along_the_path_counts_the_same(line, steps):
    """Compared where a little more or less band and hold time would change nothing: there it must agree."""
    path = timed(steps)
    assume(not any(hops_out(line, a[1:], b[1:]) for a, b in pairwise(path)))
    said = {
        walked(line, path, band_px=BAND_PX * (1 + a), hold_s=HOLD_S * (1 + b))
        for a in (-0.02, 0.02)
        for b in (-0.02, 0.02)
    }
    if len(said) == 1:
        assert {"".join("R" if to_right else "L" for to_right, *_ in counted(line, path))} == said
