"""Real trajectories over random lines: what counts is exactly what the geometry says."""

from collections import defaultdict

import numpy as np
import pytest

from stages.count.geometry import Segment
from stages.count.lines.counters import LineCounters
from stages.count.lines.watch import LineWatch
from tests.stages.count.mot import NAMES, Truth, truth_of

LINES = 1000
FOREVER_S = 1e9
GRID = 1024  # paths are laid on whole 1024ths of a pixel: exact as floats, and exact as whole numbers


def random_lines(truth: Truth, seed: int) -> np.ndarray:
    """(LINES, 4) whole px: any two points of the picture; of every five one is upright and one is level.

    Levels and uprights lie on whole pixels, as do the feet of many boxes, so touching is not rare.
    """
    random = np.random.default_rng(seed)
    ends = random.integers(0, [truth.width, truth.height] * 2, (2 * LINES, 4))
    ends[::5, 3] = ends[::5, 1]
    ends[1::5, 2] = ends[1::5, 0]
    ends = ends[np.hypot(ends[:, 0] - ends[:, 2], ends[:, 1] - ends[:, 3]) >= 3]
    return ends[:LINES]


def turn(ax, ay, bx, by, cx, cy) -> np.ndarray:
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


class Steps:
    """All steps of a sequence's trajectories in whole 1024ths of a pixel, track by track."""

    def __init__(self, truth: Truth) -> None:
        order = np.lexsort((truth.frame, truth.id))
        ids, frames = truth.id[order], truth.frame[order]
        whole = np.rint(truth.feet[order] * GRID).astype(np.int64)
        same = ids[1:] == ids[:-1]
        self.ids = ids[1:][same]
        self.origin, self.target = whole[:-1][same], whole[1:][same]
        self.from_s, self.to_s = (frames[:-1][same] / truth.rate_hz, frames[1:][same] / truth.rate_hz)
        self.feet, self.frames, self.all_ids = whole / GRID, frames, ids

    def true_crossings(self, line: np.ndarray) -> list[tuple[int, int, float]]:
        """(id, +1 to the right or -1, time) of each crossing, by signs of whole numbers alone.

        A point on the line is on its left. Who touches the line and turns back, and who is first or last seen
        exactly on it, did not cross it.
        """
        ax, ay, bx, by = (line * GRID).tolist()
        (px, py), (qx, qy) = self.origin.T, self.target.T
        before, after = turn(ax, ay, bx, by, px, py), turn(ax, ay, bx, by, qx, qy)
        start, end = turn(px, py, qx, qy, ax, ay), turn(px, py, qx, qy, bx, by)
        met = np.flatnonzero(((before > 0) != (after > 0)) & (np.sign(start) * np.sign(end) <= 0))

        def on_line(x: int, y: int) -> bool:
            inside = min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)
            return bool(inside and turn(ax, ay, bx, by, x, y) == 0)

        found: list[tuple[int, int, float]] = []
        arrived = -1  # row of the step that came onto the line, which is where its object still is
        for row in met.tolist():
            track, sign = int(self.ids[row]), 1 if after[row] > 0 else -1
            time_s = self.from_s[row] + before[row] / (before[row] - after[row]) * (
                self.to_s[row] - self.from_s[row]
            )
            if on_line(px[row], py[row]):  # it leaves the line: since when was it there?
                first = row
                while first > 0 and self.ids[first - 1] == track and on_line(px[first - 1], py[first - 1]):
                    first -= 1
                if first == 0 or self.ids[first - 1] != track:
                    continue  # since it was first seen
                if found and arrived == first - 1:
                    found.pop()  # it came from this side
                    arrived = -1
                    continue
            if on_line(qx[row], qy[row]):  # it comes onto the line: does it leave it again?
                last = row
                while last + 1 < len(qx) and self.ids[last + 1] == track and on_line(qx[last], qy[last]):
                    last += 1
                if on_line(qx[last], qy[last]):
                    continue
                arrived = row
            found.append((track, sign, time_s))
        return found


@pytest.mark.parametrize("name", NAMES)
def test_the_crossings_are_exactly_those_of_the_geometry(name):
    truth = truth_of(name)
    steps, lines = Steps(truth), random_lines(truth, NAMES.index(name))
    watches = [
        LineWatch(Segment((ax, ay), (bx, by)), 0.0, 0.0, FOREVER_S, lambda *_: True)
        for ax, ay, bx, by in lines.astype(float).tolist()
    ]
    counters = LineCounters(watches, FOREVER_S)
    counted = []
    for frame in np.unique(steps.frames):
        rows = steps.frames == frame
        ids = steps.all_ids[rows].tolist()
        counted += counters.update(frame / truth.rate_hz, ids, steps.feet[rows], ["person"] * len(ids))
    counted += counters.finish()

    found = defaultdict(list)
    for line, crossing in counted:
        found[line].append((crossing.track_id, 1 if crossing.to_right else -1, crossing.time_s))
    total = 0
    for number, line in enumerate(lines):
        wanted = sorted(steps.true_crossings(line))
        got = sorted(found[number])
        assert [one[:2] for one in got] == [one[:2] for one in wanted], line
        np.testing.assert_allclose([one[2] for one in got], [one[2] for one in wanted], atol=1e-4)
        total += len(wanted)
    assert total > LINES, "most lines are crossed"
