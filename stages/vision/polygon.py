"""Polygons in the picture plane: which points lie in them, their area, whether they cross themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
Polygon = Sequence[tuple[float, float]]


def inside(points: npt.NDArray[np.floating], polygon: Polygon) -> BoolArray:
    """Return (N,) whether each of the points (N, 2) lies in the polygon (even-odd rule).

    Of two polygons that share an edge, a point on it lies in exactly one.
    """
    x, y = np.asarray(points, np.float64).T
    corners = np.asarray(polygon, np.float64)
    within = np.zeros(len(points), np.bool_)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if ay == by:
            continue
        spans = (ay > y) != (by > y)
        within ^= spans & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return within


def area(polygon: Polygon) -> float:
    """Return the area of a polygon that does not cross itself, in px^2 (Gauss's formula)."""
    x, y = np.asarray(polygon, np.float64).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def crosses_itself(polygon: Polygon) -> bool:
    """Return whether two edges that are not neighbours meet."""
    edges = [(polygon[i], polygon[(i + 1) % len(polygon)]) for i in range(len(polygon))]
    return any(
        _meet(*edges[i], *edges[j])
        for i in range(len(edges))
        for j in range(i + 2, len(edges))
        if not (i == 0 and j == len(edges) - 1)
    )


def meet(polygon: Polygon, other: Polygon) -> bool:
    """Return whether an edge of one polygon meets an edge of the other."""
    return any(
        _meet(polygon[i - 1], polygon[i], other[j - 1], other[j])
        for i in range(len(polygon))
        for j in range(len(other))
    )


Point = tuple[float, float]


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    one, other = _turn(a, b, c), _turn(a, b, d)
    third, fourth = _turn(c, d, a), _turn(c, d, b)
    if one * other < 0 and third * fourth < 0:
        return True
    touching = ((one, a, b, c), (other, a, b, d), (third, c, d, a), (fourth, c, d, b))
    return any(turn == 0 and _between(p, q, r) for turn, p, q, r in touching)


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _between(a: Point, b: Point, c: Point) -> bool:
    """Return whether c, on the line through a and b, lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
