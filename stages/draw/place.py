"""Finds room for tags: in the picture, free of each other, as near as can be to where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64Array = npt.NDArray[np.float64]
Point = tuple[float, float]
Segment = tuple[Point, Point]


_MOST_TRIED = 32  # coordinates on each axis: bounds the time with dozens of lines


class Rect(NamedTuple):
    """Whole pixels; `right` and `bottom` are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int


def place(
    size: tuple[int, int],
    wanted: Point,
    picture: tuple[int, int],
    taken: Sequence[Rect],
    lines: Sequence[Segment] = (),
    right_of: Segment | None = None,
) -> Rect:
    """Return the best place for a rectangle: nearest to the one wanted, where that hides nothing.

    To overlap as little as possible of what is taken comes before all else. To hide a line, or to lie on
    the wrong side of one, is as bad as to be several tags' heights away. The nearest free place is the
    wanted one, or it touches an edge of what is taken; so only such places are tried.

    Args:
        size: (width, height) of the rectangle, px.
        wanted: (left, top) where it would be best, px; may lie outside the picture.
        picture: (width, height), px; what is larger than the picture begins at its left or top edge.
        taken: what must not be hidden.
        lines: what should not be hidden.
        right_of: the rectangle's centre should be on the right of this line, seen from its start.
    """
    extent = np.array(size)
    room = np.maximum(0, np.array(picture) - extent)
    obstacles = np.array(taken, np.int64).reshape(-1, 4)
    low, high = obstacles[:, :2], obstacles[:, 2:]
    tried = np.clip(np.concatenate([np.rint([wanted]).astype(np.int64), low - extent, high]), 0, room)
    xs, ys = _nearest(tried[:, 0]), _nearest(tried[:, 1])
    corners = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)

    shared = np.minimum(corners[:, None] + extent, high) - np.maximum(corners[:, None], low)
    hidden_px = np.maximum(shared, 0).prod(axis=2).sum(axis=1)
    centres = corners + extent / 2
    faults = np.zeros(len(corners))
    for line in lines:
        faults += _meet(centres, extent / 2, line)
    if right_of is not None:
        faults += _offsets(centres, right_of) <= 0
    distance_px = np.hypot(*(corners - tried[0]).T)
    best = np.lexsort((distance_px + 8 * size[1] * faults, hidden_px))[0]
    left, top = corners[best].tolist()
    return Rect(left, top, left + size[0], top + size[1])


def _nearest(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the values nearest to the first one, each once."""
    different = np.unique(values)
    return different[np.argsort(np.abs(different - values[0]), kind="stable")[:_MOST_TRIED]]


def _offsets(points: F64Array, line: Segment) -> F64Array:
    """Return the distances (N,) of points (N, 2) from a line times its length; positive on its right."""
    (ax, ay), (bx, by) = line
    return np.asarray((bx - ax) * (points[:, 1] - ay) - (by - ay) * (points[:, 0] - ax))


def _meet(centres: F64Array, half: F64Array, line: Segment) -> npt.NDArray[np.bool_]:
    """Return which rectangles (N,) a segment meets: no axis separates them, and the segment neither."""
    start, end = np.array(line)
    reach = np.abs(end - start) / 2
    near = (np.abs(centres - (start + end) / 2) <= half + reach).all(axis=1)
    cut = np.abs(_offsets(centres, line)) <= 2 * (half * reach[::-1]).sum()
    return np.asarray(near & cut, np.bool_)
