"""Where a counting line lies, for those who look at its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot

import numpy as np

from stages.count.geometry import F64Array, Point


@dataclass(frozen=True, slots=True)
class LinePlace:
    """Where a counting line lies.

    Attributes:
        gates: its polylines, (x, y) px; most lines have one.
        directions: what crossing it to the right and to the left is called.
    """

    gates: tuple[tuple[Point, ...], ...]
    directions: tuple[str, str] = ("to_right", "to_left")

    @property
    def length_px(self) -> float:
        """Length of all gates together."""
        return sum(float(lengths_px(gate).sum()) for gate in self.gates)

    def along(self, point: Point) -> float:
        """Return where on the line the point nearest to `point` lies: 0 at its start, 1 at its end.

        Several gates follow one another.
        """
        best, best_px, before = 0.0, float("inf"), 0.0
        for gate in self.gates:
            for (ax, ay), (bx, by) in pairwise(gate):
                dx, dy = bx - ax, by - ay
                length = hypot(dx, dy)
                if length == 0:
                    continue
                share = min(max(((point[0] - ax) * dx + (point[1] - ay) * dy) / length**2, 0.0), 1.0)
                away_px = hypot(point[0] - ax - share * dx, point[1] - ay - share * dy)
                if away_px < best_px:
                    best, best_px = before + share * length, away_px
                before += length
        return best / before if before else 0.0


def lengths_px(gate: Sequence[Point]) -> F64Array:
    """Return the lengths of a polyline's pieces."""
    steps = np.diff(np.asarray(gate, np.float64), axis=0)
    return np.asarray(np.hypot(steps[:, 0], steps[:, 1]), np.float64)
