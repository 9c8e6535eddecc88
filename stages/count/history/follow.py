"""Counts over paths that are known from end to end: the same decisions as live, many paths at once.

The functions here are the reference, and have compiled twins (`stages.count.kernels`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import hypot
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from stages.count.geometry import Polyline
from stages.count.history.codec import FULL, Scale, decode
from stages.count.history.path import BoolArray, F64Array, I64Array
from stages.count.kernels import replaceable
from stages.count.lines.crossing import Crossing, TimedPoint
from stages.count.lines.watch import SMALLEST_BAND_PX, LineWatch, Sight

_NEVER_S = 1e18
"""A vanishing is not told by the time between two points, which lie far apart, but by a mark."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A line with its band, as arrays.

    Attributes:
        line: px.
        band_px: hysteresis in distance.
        points: (P, 2) float64 px.
        outward: (P, 2) float64, where each point is thought to be moved, see `Polyline`.
        lengths: (P - 1,) float64 px, of its straight parts.
    """

    line: Polyline
    band_px: float
    points: F64Array
    outward: F64Array
    lengths: F64Array

    @classmethod
    def of(cls, line: Polyline, band_px: float) -> Self:
        """Return a line as arrays."""
        return cls(
            line,
            max(band_px, SMALLEST_BAND_PX),
            np.array(line.points, np.float64),
            np.array(line._outward, np.float64),  # the twin needs what only the line itself knows
            np.array([hypot(bx - ax, by - ay) for (ax, ay), (bx, by) in line.parts]),
        )

    def neighbours(self, error_px: float) -> tuple[Gate, ...]:
        """Return lines that differ as much as a stored path may be wrong: where they agree, it is right.

        The wider band comes first; then the narrower band, the line that is longer at both ends, and the one
        that is shorter, if it can be.
        """
        found = [Gate.of(self.line, self.band_px + error_px)]
        if self.band_px > error_px:
            found.append(Gate.of(self.line, self.band_px - error_px))
        for by_px in (error_px, -error_px):
            if by_px > 0 or min(self.lengths[0], self.lengths[-1]) > 2 * error_px:
                with suppress(ValueError):  # a bent line that would touch itself
                    found.append(Gate.of(_stretched(self.line, by_px), self.band_px))
        return tuple(found)


def _stretched(line: Polyline, by_px: float) -> Polyline:
    """Return a line that begins earlier and ends later."""
    points = list(line.points)
    for end, inner in ((0, 1), (-1, -2)):
        (x, y), (ix, iy) = line.points[end], line.points[inner]
        share = by_px / hypot(x - ix, y - iy)
        points[end] = (x + (x - ix) * share, y + (y - iy) * share)
    return Polyline(tuple(points))


class Found(NamedTuple):
    """Crossings over some paths, one a row.

    Attributes:
        rows: (C,) int64, whose path.
        to_right: (C,) bool.
        times_s: (C,) float64, media time.
        points: (C, 2) float64 px, where the line was met.
        known_s: (C,) float64, media time of the path's point whose class counts.
    """

    rows: I64Array
    to_right: BoolArray
    times_s: F64Array
    points: F64Array
    known_s: F64Array


@dataclass(frozen=True, slots=True)
class Batch:
    """N paths as they are stored, one after the other.

    Attributes:
        data: uint8, their bytes.
        offsets: (N + 1,) int64, where each begins in it.
        start_us: (N,) int64, see `codec.Scale`; so are the next two.
        tick_us: (N,) int64.
        unit_px: (N,) float64.
        finished: (N,) bool, False where what was pending at the path's end was given up.
    """

    data: npt.NDArray[np.uint8]
    offsets: I64Array
    start_us: I64Array
    tick_us: I64Array
    unit_px: F64Array
    finished: BoolArray

    def __len__(self) -> int:
        return len(self.start_us)

    def bytes_of(self, row: int) -> bytes:
        """Return one path's bytes."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def scale_of(self, row: int) -> Scale:
        """Return what the numbers of one path mean."""
        return Scale(int(self.start_us[row]), int(self.tick_us[row]), float(self.unit_px[row]))


class Follower:
    """Counts one object's crossings of one gate, point by point of its path.

    Args:
        gate: which.
        hold_s: hysteresis in time.
    """

    def __init__(self, gate: Gate, hold_s: float) -> None:
        self._watch = LineWatch(gate.line, gate.band_px, hold_s, _NEVER_S / 2, _all)
        self._last: TimedPoint | None = None

    def follow(self, times_s: F64Array, points: F64Array, vanished: BoolArray) -> list[Crossing]:
        """Return what became final on the way; `Crossing.label` is the time of the point that is judged.

        A part of a path begins with the position that the one before it ended with.
        """
        final: list[Crossing] = []
        for time_s, (x, y), has_vanished in zip(
            times_s.tolist(), points.tolist(), vanished.tolist(), strict=True
        ):
            sight = Sight(0, (time_s, x, y), repr(time_s), {})
            if self._last is None:
                self._watch.begin(sight)
            elif time_s <= self._last[0]:
                continue
            else:
                if has_vanished:
                    final += self._watch.retire(_NEVER_S)
                final += self._watch.step(self._last, sight, (self._last,)).final
            self._last = sight.at
        return final

    def finish(self) -> list[Crossing]:
        """Return what is final because nothing more was seen."""
        return self._watch.finish()


def _all(_: str, __: Mapping[str, str]) -> bool:
    return True


def found_of(rows: Sequence[int], crossings: Sequence[Crossing]) -> Found:
    """Return what a `Follower` told as arrays; `rows` says whose path each was on."""
    return Found(
        np.array(rows, np.int64),
        np.array([crossing.to_right for crossing in crossings], bool),
        np.array([crossing.time_s for crossing in crossings], np.float64),
        np.array([crossing.position for crossing in crossings], np.float64).reshape(-1, 2),
        np.array([float(crossing.label) for crossing in crossings], np.float64),
    )


@replaceable
def path_crossings(
    gate: Gate, hold_s: float, times_s: F64Array, points: F64Array, vanished: BoolArray, finished: bool
) -> Found:
    """Return the crossings on one path; their rows are 0.

    Args:
        gate: which is crossed.
        hold_s: hysteresis in time.
        times_s: (K,) float64 media time, strictly increasing.
        points: (K, 2) float64 px, C-contiguous.
        vanished: (K,) bool, see `Path`.
        finished: False where what is pending at its end was given up.
    """
    follower = Follower(gate, hold_s)
    crossings = follower.follow(times_s, points, vanished)
    crossings += follower.finish() if finished else []
    return found_of([0] * len(crossings), crossings)


@replaceable
def batch_crossings(
    gate: Gate, hold_s: float, anchor: tuple[float, float], batch: Batch, others: Sequence[Gate]
) -> tuple[Found, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the crossings on many paths, by row; the rows that were left out; and those that are in doubt.

    Left out are the paths that are kept exactly, and those that are damaged: `decode` tells them apart.

    Args:
        gate: which is crossed.
        hold_s: hysteresis in time.
        anchor: fractions of the box's width and height.
        batch: the paths.
        others: slightly different ones, with the same number of points, the first the widest; a path that
            does not cross each of them in the same directions is in doubt.
    """
    rows: list[int] = []
    crossings: list[Crossing] = []
    left_out, doubtful = [], []
    for row in range(len(batch)):
        data = batch.bytes_of(row)
        try:
            path = None if data[:1] == bytes([FULL]) else decode(data, batch.scale_of(row))
        except ValueError:
            path = None
        if path is None:
            left_out.append(row)
            continue
        points = path.anchored(anchor)

        def crossed(
            line: Gate,
            times_s: F64Array = path.times_s,
            points: F64Array = points,
            vanished: BoolArray = path.vanished,
            finished: bool = bool(batch.finished[row]),
        ) -> list[Crossing]:
            follower = Follower(line, hold_s)
            return follower.follow(times_s, points, vanished) + (follower.finish() if finished else [])

        found = crossed(gate)
        rows += [row] * len(found)
        crossings += found
        ways = [crossing.to_right for crossing in found]
        if any(ways != [crossing.to_right for crossing in crossed(other)] for other in others):
            doubtful.append(row)
    return found_of(rows, crossings), np.array(left_out, np.intp), np.array(doubtful, np.intp)
