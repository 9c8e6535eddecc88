"""From all positions of an object to the few bytes that are kept, with an error that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.count.history.codec import FULL, Scale, decode, encode, encode_full
from stages.count.history.path import BoolArray, F64Array, I64Array, Path
from stages.count.history.simplify import simplify

LIMIT = 0.98
"""Error that a path is simplified to, in its units; the rest of 1 is for times that are rounded."""

_NEAR_TICK_US = 1000
"""Media times may be so far from a whole tick."""

_TICKS_US = (1000, 100, 1)
"""Tried in this order where the times do not follow the tick that they seem to have."""

FORMS = (0, 3, FULL)
"""How a path may be kept, the shortest first: within 1 unit, within an eighth of a unit, exactly."""


@dataclass(frozen=True, slots=True)
class Compact:
    """A path as it is kept.

    Attributes:
        data: see `codec`.
        scale: what its numbers mean.
        path: what comes back from it.
        error: largest error of a side of a box at any observed time, in units; below 1.
    """

    data: bytes
    scale: Scale
    path: Path
    error: float


def compact(whole: Path, keep: BoolArray, unit_px: float, form: int) -> Compact:
    """Return a path in one of the `FORMS`.

    Its error is not believed but measured, at every observed position; a path whose times are too uneven to
    be met otherwise is kept exactly.

    Args:
        whole: every observed position; boxes are of float32 precision.
        keep: (N,) bool, positions that must stay points (before and after a time without sight).
        unit_px: pixels of a unit.
        form: one of `FORMS`.
    """
    start_us = round(float(whole.times_s[0]) * 1e6)
    if form != FULL:
        offsets_us = np.rint(whole.times_s * 1e6).astype(np.int64) - start_us
        for tick_us in _possible_ticks(offsets_us):
            found = _simplified(whole, keep, Scale(start_us, tick_us, unit_px), offsets_us, form)
            if found is not None:
                return found
    return Compact(encode_full(whole), Scale(start_us, 1, unit_px), whole, 0.0)


def _simplified(
    whole: Path, keep: BoolArray, scale: Scale, offsets_us: I64Array, form: int
) -> Compact | None:
    """Return the path in points of whole numbers, None where that does not meet the times."""
    ticks = np.rint(offsets_us / scale.tick_us).astype(np.int64)
    if len(ticks) > 1 and np.diff(ticks).min() < 1:
        return None
    unit_px = scale.unit_px / 2**form
    rows, points = simplify(ticks, whole.xyxy / unit_px, keep, LIMIT)
    data = encode(ticks[rows], points, whole.vanished[rows], form)
    path = decode(data, scale)
    error = float(np.abs(path.at(whole.times_s) - whole.xyxy).max()) / unit_px
    return Compact(data, scale, path, error / 2**form) if error < 1.0 else None


def _possible_ticks(offsets_us: I64Array) -> list[int]:
    """Return ticks to try, in microseconds: first the time between two pictures, if there is such a thing."""
    if len(offsets_us) < 2:
        return [_TICKS_US[0]]
    usual_us = max(1, round(float(np.median(np.diff(offsets_us)))))
    off = np.abs(offsets_us - np.rint(offsets_us / usual_us) * usual_us).max()
    return [usual_us, *_TICKS_US] if off <= _NEAR_TICK_US else list(_TICKS_US)


def bound(sides: F64Array) -> tuple[int, int, int, int]:
    """Return whole pixels that hold all boxes (N, 4) px: xyxy, rounded away from their middle."""
    low, high = np.floor(sides[:, :2].min(axis=0)), np.ceil(sides[:, 2:].max(axis=0))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
