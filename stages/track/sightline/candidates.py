"""Which detections lie near which tracks: the only pairs that are ever looked at."""

from __future__ import annotations

import math

import numpy as np

from stages.track.boxes import FloatArray, IntArray
from stages.track.kernels import replaceable
from stages.track.sightline.rows import BoolArray

# Below this many cells comparing everything with everything is quicker than a grid.
_DENSE_CELLS = 12_000
# The grid has at most so many lines in either direction, however far the points are apart.
_MOST_LINES = 256
# A line is as high as would make one point a square, and so many columns divide that square.
_COLUMNS = 4


@replaceable
def near_pairs(centre: FloatArray, reach: FloatArray, points: FloatArray) -> tuple[IntArray, IntArray]:
    """Return all (track, detection) whose points lie within `reach` of the centre in both x and y.

    Many are looked up in a grid, so that the work grows with the pairs that are near, not with all pairs.

    Args:
        centre: (2, N) px.
        reach: (N,) px.
        points: (2, M) px.

    Returns:
        Two (P,) index arrays, each pair once, ordered by track.
    """
    n, m = centre.shape[1], points.shape[1]
    if not n or not m:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    if n * m <= _DENSE_CELLS:
        offset = centre[:, :, None] - points[:, None, :]
        # One flat search for what is near is several times as quick as one by rows and columns.
        track, detection = np.divmod(_are_within(offset, reach[:, None]).ravel().nonzero()[0], m)
        return track, detection
    track, detection = _in_near_cells(centre, reach, points)
    offset = centre.take(track, axis=1)
    offset -= points.take(detection, axis=1)
    near = _are_within(offset, reach.take(track)).nonzero()[0]
    return track.take(near), detection.take(near)


def _are_within(offset: FloatArray, reach: FloatArray) -> BoolArray:
    """Return whether both of (2, ...) offsets are at most `reach`; the offsets are used up."""
    x, y = np.abs(offset, out=offset)
    within: BoolArray = np.maximum(x, y, out=x) <= reach
    return within


def _in_near_cells(centre: FloatArray, reach: FloatArray, points: FloatArray) -> tuple[IntArray, IntArray]:
    """Return all (track, detection) within `reach` and some beyond, ordered by track.

    Points are sorted by line and column of a grid, so that those in a track's reach are one run in each line.
    """
    n, m = centre.shape[1], points.shape[1]
    low = points.min(axis=1, keepdims=True)
    width, height = (points.max(axis=1, keepdims=True) - low).ravel().tolist()
    side = max(math.sqrt(width * height / m), max(width, height) / _MOST_LINES) or 1.0
    per_px = np.array([[_COLUMNS / side], [1 / side]])
    columns, lines = int(width * _COLUMNS / side) + 1, int(height / side) + 1
    place = np.concatenate([points, centre - reach, centre + reach], axis=1)
    place -= low
    place *= per_px
    np.maximum(place, 0.0, out=place)
    np.minimum(place, [[columns - 1.0], [lines - 1.0]], out=place)
    column, line = place.astype(np.intp)

    cell = line[:m] * columns + column[:m]
    order = cell.argsort()
    starts = np.zeros(lines * columns + 1, np.intp)
    np.bincount(cell, minlength=lines * columns).cumsum(out=starts[1:])
    first_line, lines_of = line[m : m + n], line[m + n :] - line[m : m + n] + 1
    first_column, columns_of = column[m : m + n], column[m + n :] - column[m : m + n] + 1
    track, line = _runs(first_line, lines_of)
    line *= columns
    line += first_column.take(track)
    begin, end = starts.take(line), starts.take(line + columns_of.take(track))
    run, place_in_order = _runs(begin, end - begin)
    return track.take(run), order.take(place_in_order)


def _runs(first: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """Return (run, number) of the numbers from `first[run]` on, `count[run]` of them, run after run."""
    run = np.arange(len(first)).repeat(count)
    number = np.arange(len(run))
    first = first - count.cumsum()
    first += count
    number += first.take(run)
    return run, number
