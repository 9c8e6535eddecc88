"""Makes few points of many, in whole numbers, such that every left-out position is met within a limit."""

from __future__ import annotations

import numpy as np

from stages.count.history.path import BoolArray, F64Array, I64Array

_WINDOW = 24
"""Samples that are looked at in one go: about as many as a straight piece has."""


def simplify(ticks: I64Array, values: F64Array, keep: BoolArray, limit: float) -> tuple[I64Array, I64Array]:
    """Return points that straight lines can be drawn between, all within `limit` of the values.

    A swing filter with joined pieces: from a point, the directions that pass all following values within the
    limit form a cone that only narrows; the piece ends at the last value at which a whole number lies in it.
    Of several the one nearest to the point before is taken, as small differences cost few bits.

    Source: H. Elmeleegy et al., "Online Piece-wise Linear Approximation of Numerical Streams with Precision
    Guarantees", VLDB 2009, section 3 (swing filter), here with ends on a grid and in D dimensions at once.

    Args:
        ticks: (N,) int64, strictly increasing times.
        values: (N, D) float64.
        keep: (N,) bool, values at which a piece must end, whatever lies behind them.
        limit: largest distance in each dimension, more than 0.5.

    Returns:
        (K,) int64 indices of the values that points stand for, the first and the last among them, and
        (K, D) int64 points.

    Raises:
        ValueError: if the limit leaves no room for rounding.
    """
    if limit <= 0.5:
        raise ValueError(f"limit must be more than 0.5, rounding to whole numbers needs that, got {limit}")
    last = len(ticks) - 1
    forced = np.flatnonzero(keep)
    point = np.rint(values[0])
    rows, points = [0], [point]
    while rows[-1] < last:
        row = rows[-1]
        after = forced[np.searchsorted(forced, row + 1) :]
        stop = int(after[0]) if len(after) else last
        row, point = _piece(ticks, values, row, point, stop, limit)
        rows.append(row)
        points.append(point)
    return np.array(rows, np.int64), np.array(points).astype(np.int64)


def _piece(
    ticks: I64Array, values: F64Array, start: int, point: F64Array, stop: int, limit: float
) -> tuple[int, F64Array]:
    """Return the last value that a piece from `point`, at `start`, can end at, and the point there."""
    low = np.full((1, len(point)), -np.inf)
    high = -low
    end, end_point = start, point
    for begin in range(start + 1, stop + 1, _WINDOW):
        window = slice(begin, min(begin + _WINDOW, stop + 1))
        steps = (ticks[window] - ticks[start])[:, None].astype(np.float64)
        off = values[window] - point
        low = np.maximum.accumulate(np.maximum((off - limit) / steps, low[-1]))
        high = np.minimum.accumulate(np.minimum((off + limit) / steps, high[-1]))
        open_ = (low <= high).all(axis=1)
        least, most = np.ceil(low * steps - 1e-9), np.floor(high * steps + 1e-9)
        possible = np.flatnonzero(open_ & (least <= most).all(axis=1))
        if len(possible):
            best = possible[-1]
            end = begin + int(best)
            end_point = point + np.clip(0.0, least[best], most[best])
        if not open_.all():
            break
    return end, end_point
