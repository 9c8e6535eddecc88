"""Adds up paths on a grid of cells: dwell, visitors, displacement. A library without the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array

F32Array = npt.NDArray[np.float32]

_STEPS_PER_CELL = 4
"""A path is taken at so many places per cell that it passes."""


@dataclass(slots=True)
class Sums:
    """What was added up over (R, C) cells, row 0 at the top.

    Attributes:
        dwell_s: (R, C) float64, seconds that objects were in each cell, all added.
        visitors: (R, C) int64, different objects that were in it.
        shift_px: (R, C, 2) float64, displacement (x, y) of objects within it, all added.
        path_px: (R, C) float64, length of their paths within it.
    """

    dwell_s: F64Array
    visitors: npt.NDArray[np.int64]
    shift_px: F64Array
    path_px: F64Array

    @classmethod
    def zeros(cls, rows: int, columns: int) -> Sums:
        """Return sums of nothing."""
        shape = rows, columns
        return cls(np.zeros(shape), np.zeros(shape, np.int64), np.zeros((*shape, 2)), np.zeros(shape))

    def __add__(self, other: Sums) -> Sums:
        """Return both together; an object in both is two visitors."""
        return Sums(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def velocity_px_s(self) -> F32Array:
        """(R, C, 2) float32 px/s, mean velocity while in the cell; NaN where nobody was."""
        return _per(self.shift_px, self.dwell_s[..., None])

    @property
    def speed_px_s(self) -> F32Array:
        """(R, C) float32 px/s, mean speed; boxes that tremble make it more than 0 where objects stand."""
        return _per(self.path_px, self.dwell_s)

    @property
    def direction_deg(self) -> F32Array:
        """(R, C) float32, mean direction, clockwise: 0 right, 90 down; NaN where nothing moved."""
        x, y = self.shift_px[..., 0], self.shift_px[..., 1]
        turned = np.degrees(np.arctan2(y, x)) % 360.0
        return np.where((x != 0) | (y != 0), turned, np.nan).astype(np.float32)

    @property
    def agreement(self) -> F32Array:
        """(R, C) float32, 1 where all go the same way, 0 where as much goes back; NaN where nothing moved."""
        return _per(np.hypot(self.shift_px[..., 0], self.shift_px[..., 1]), self.path_px)


class PathGrid:
    """Adds the paths of objects to a grid of square cells.

    Between two observations the path is straight and its speed constant. What leaves the picture is left out.

    Args:
        width: of the picture, px.
        height: of the picture, px.
        columns: cells across the picture; the last row may reach beyond its lower edge.
        joined_s: observations further apart are not joined: where the object was meanwhile is not known.

    Attributes:
        cell_px: side of a cell.
        sums: what was added up since `restart`.
    """

    def __init__(self, width: int, height: int, columns: int, *, joined_s: float = 1.0) -> None:
        self.cell_px = width / columns
        self._rows = max(1, int(np.ceil(height / self.cell_px - 1e-9)))
        self._columns = columns
        self._joined_s = joined_s
        self._last: dict[int, tuple[float, float, float]] = {}
        self._visited: dict[int, set[int]] = {}
        self.sums = Sums.zeros(self._rows, columns)

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._last)

    def restart(self) -> Sums:
        """Begin anew with sums of nothing, and return those until now. Paths go on."""
        sums, self.sums = self.sums, Sums.zeros(self._rows, self._columns)
        self._visited.clear()
        return sums

    def forget(self, ids: Iterable[int] | None = None) -> None:
        """Forget these objects, or all: their paths end here."""
        if ids is None:
            self._last.clear()
            self._visited.clear()
            return
        for one in ids:
            self._last.pop(one, None)
            self._visited.pop(one, None)

    def add(self, time_s: float, ids: Sequence[int], points: F64Array) -> None:
        """Add what the objects did since they were last seen.

        Args:
            time_s: media time.
            ids: (N,) whose points.
            points: (N, 2) float64 px.
        """
        if not ids:
            return
        targets = points.tolist()
        moves: list[tuple[float, float, float, float, float]] = []
        for one, (x, y) in zip(ids, targets, strict=True):
            last = self._last.get(one)
            is_new = last is None or not 0 < time_s - last[0] <= self._joined_s
            moves.append(
                (x, y, 0.0, 0.0, 0.0) if is_new or last is None else (*last[1:], x, y, time_s - last[0])
            )
            self._last[one] = (time_s, x, y)
        table = np.array(moves)
        table[table[:, 4] == 0, 2:4] = table[table[:, 4] == 0, :2]  # who is new stays where it is for no time
        self._spread(ids, table)

    def _spread(self, ids: Sequence[int], moves: F64Array) -> None:
        """Add moves (N, 5): from x, y to x, y px, within seconds."""
        shift = moves[:, 2:4] - moves[:, :2]
        steps = np.ceil(np.abs(shift).max(axis=1) / self.cell_px * _STEPS_PER_CELL).astype(np.int64).clip(1)
        steps = np.minimum(steps, _STEPS_PER_CELL * (self._rows + self._columns))
        whose = np.repeat(np.arange(len(ids)), steps)
        number = np.arange(len(whose)) - np.repeat(np.cumsum(steps) - steps, steps)
        along = (number + 0.5) / steps[whose]
        places = np.floor((moves[whose, :2] + shift[whose] * along[:, None]) / self.cell_px).astype(np.int64)
        column, row = places[:, 0], places[:, 1]
        within = (column >= 0) & (column < self._columns) & (row >= 0) & (row < self._rows)
        whose, cell = whose[within], row[within] * self._columns + column[within]
        part = 1.0 / steps[whose]
        size = self._rows * self._columns

        def added(weights: F64Array) -> F64Array:
            summed: F64Array = np.bincount(cell, weights[whose] * part, size).astype(np.float64)
            return summed.reshape(self._rows, self._columns)

        sums = self.sums
        sums.dwell_s += added(moves[:, 4])
        sums.shift_px[..., 0] += added(shift[:, 0])
        sums.shift_px[..., 1] += added(shift[:, 1])
        sums.path_px += added(np.hypot(shift[:, 0], shift[:, 1]))
        visitors = sums.visitors.reshape(-1)
        for place, of in zip(cell.tolist(), whose.tolist(), strict=True):
            visited = self._visited.setdefault(ids[of], set())
            if place not in visited:
                visited.add(place)
                visitors[place] += 1


def _per(sums: F64Array, weights: F64Array) -> F32Array:
    """Return sums divided by weights, NaN where the weight is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weights > 0, sums / weights, np.nan).astype(np.float32)
