"""Plane geometry of counting lines, in pixels of the picture: x to the right, y down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import hypot, inf, sqrt
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

F64Array = npt.NDArray[np.float64]
Point = tuple[float, float]

AnchorName = Literal[
    "top_left",
    "top_center",
    "top_right",
    "left_center",
    "center",
    "right_center",
    "bottom_left",
    "bottom_center",
    "bottom_right",
]
Anchor = AnchorName | Point
"""A point of a box: by its name, or by its fractions of the width and height, from the left top corner."""

ANCHOR_NAMES: tuple[AnchorName, ...] = get_args(AnchorName)

# Where an anchor lies in its box, as fractions of width and height.
_ANCHOR_IN_BOX: dict[AnchorName, Point] = {
    "top_left": (0.0, 0.0),
    "top_center": (0.5, 0.0),
    "top_right": (1.0, 0.0),
    "left_center": (0.0, 0.5),
    "center": (0.5, 0.5),
    "right_center": (1.0, 0.5),
    "bottom_left": (0.0, 1.0),
    "bottom_center": (0.5, 1.0),
    "bottom_right": (1.0, 1.0),
}


def anchor_points(xyxy: npt.NDArray[np.floating[Any]], anchor: Anchor) -> F64Array:
    """Return the anchor of each box, (N, 2) float64 px, of boxes (N, 4) xyxy px."""
    boxes = xyxy.astype(np.float64)
    place = _ANCHOR_IN_BOX[anchor] if isinstance(anchor, str) else anchor
    return boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2]) * place


class Meeting(NamedTuple):
    """Where a straight path crosses a line.

    Attributes:
        share: how far along the path, 0..1.
        side: to which side it leads, +1 (right) or -1 (left).
    """

    share: float
    side: int


@dataclass(frozen=True, slots=True)
class Polyline:
    """A line from its first to its last point, px, straight or with bends; it has a left and a right side.

    The sides are those of a person who walks along it from the first point to the last:

             left (-1)                   left       Where it is bent, a point is on the side of the nearest
        first --------> last      first ---.        part. Beyond its ends the line goes on in thought, but
             right (+1)             right  | left   crossing it there is not crossing it.
                                           v last

    A point exactly on the line belongs to the left side. Thus a path that touches the line and turns back
    crosses it not at all or once each way, and a path along the line crosses it only where it leaves the line
    to the right, or comes onto it from there. Both end points belong to the line, and a bend belongs to it
    once: a path exactly through it crosses the line once.

    Attributes:
        points: (x, y) px of its start, its bends and its end.
        parts: its straight parts, each (start, end).

    Raises:
        ValueError: if it has fewer than two points, the same point twice in a row, or touches itself.
    """

    points: tuple[Point, ...]
    parts: tuple[tuple[Point, Point], ...] = field(init=False, repr=False, compare=False)
    _outward: tuple[Point, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise ValueError(f"a line needs at least two points, got {len(self.points)}")
        object.__setattr__(self, "parts", tuple(pairwise(self.points)))
        for a, b in self.parts:
            if a == b:
                raise ValueError(f"a line needs two different points, got {a} twice in a row")
        _refuse_touching(self.parts)
        object.__setattr__(self, "_outward", _moves(self.points))

    @property
    def start(self) -> Point:
        """The first point."""
        return self.points[0]

    @property
    def end(self) -> Point:
        """The last point."""
        return self.points[-1]

    def sides(self, points: F64Array) -> npt.NDArray[np.int64]:
        """Return the side, +1 (right) or -1 (left), for points (N, 2) px."""
        return np.array([self.side((x, y)) for x, y in points.tolist()], np.int64)

    def side(self, point: Point) -> int:
        """Return the side of one point, +1 (right) or -1 (left)."""
        if len(self.points) == 2:
            return 1 if _orientation(*self.points, point) > 0 else -1
        squared = [_squared_distance(part, point) for part in self.parts]
        nearest = squared.index(min(squared))
        along = _along(self.parts[nearest], point)
        bend = nearest if along <= 0 else nearest + 1 if along >= 1 else 0
        if 0 < bend < len(self.points) - 1:
            turn = _orientation(*self.points[bend - 1 : bend + 2])
            if turn and point != self.points[bend]:  # who is nearest to a bend is on its outer side
                return -1 if turn > 0 else 1
        return 1 if _orientation(*self.parts[nearest], point) > 0 else -1

    def distances_px(self, points: F64Array) -> F64Array:
        """Return the distance from the line's nearest point, (N,) px, for points (N, 2) px."""
        nearest = np.full(len(points), np.inf)
        for (ax, ay), (bx, by) in self.parts:
            dx, dy = bx - ax, by - ay
            x, y = points[:, 0] - ax, points[:, 1] - ay
            along = ((x * dx + y * dy) / (dx * dx + dy * dy)).clip(0.0, 1.0)
            np.minimum(nearest, np.hypot(x - along * dx, y - along * dy), out=nearest)
        return nearest

    def crossings(self, origin: Point, target: Point) -> list[Meeting]:
        """Return where the straight path from `origin` to `target` crosses the line, in order.

        The tests are signs of orientations, so they are exact for coordinates of whole pixels. What lies
        exactly on the other is decided as if the line were moved to the right and drawn out at its ends, by
        infinitely little (Edelsbrunner and Muecke 1990, "Simulation of simplicity"), which cannot count
        twice or not at all.
        """
        found: list[Meeting] = []
        corner_is_right = None
        for number, (a, b) in enumerate(self.parts):
            from_line, to_line = _orientation(a, b, origin), _orientation(a, b, target)
            if (from_line > 0) == (to_line > 0):
                corner_is_right = None
                continue
            if corner_is_right is None:
                corner_is_right = self._is_right(number, origin, target)
            next_is_right = self._is_right(number + 1, origin, target)
            if corner_is_right != next_is_right:
                found.append(Meeting(from_line / (from_line - to_line), 1 if to_line > 0 else -1))
            corner_is_right = next_is_right
        return sorted(found) if len(found) > 1 else found

    def crossing(self, origin: Point, target: Point) -> float | None:
        """Return how far along the path its first crossing is, 0..1, None where there is none."""
        found = self.crossings(origin, target)
        return found[0].share if found else None

    def within(self, origin: Point, target: Point, radius_px: float) -> list[tuple[float, float]]:
        """Return which parts of the straight path lie within a distance from the line.

        Returns:
            (from, to), shares of the path 0..1, in order and apart from each other.
        """
        if len(self.parts) == 1:
            span = _within(self.parts[0], origin, target, radius_px)
            return [] if span is None else [span]
        found = [_within(part, origin, target, radius_px) for part in self.parts]
        return joined([span for span in found if span is not None])

    def _is_right(self, number: int, origin: Point, target: Point) -> bool:
        """Return whether the point of the line of this number lies right of the path."""
        turn = _orientation(origin, target, self.points[number])
        if turn:
            return turn > 0
        x, y = self._outward[number]
        return (target[0] - origin[0]) * y - (target[1] - origin[1]) * x > 0


def Segment(start: Point, end: Point) -> Polyline:  # noqa: N802
    """Return the straight line between two points, px; see `Polyline`."""
    return Polyline((start, end))


def joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the union of intervals as intervals that are apart, in order."""
    if len(spans) < 2:
        return list(spans)
    union: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return union


def _within(
    part: tuple[Point, Point], origin: Point, target: Point, radius_px: float
) -> tuple[float, float] | None:
    """Return which share of a straight path lies within a distance from a straight part: it is one span."""
    (ax, ay), (bx, by) = part
    length = hypot(bx - ax, by - ay)
    dx, dy = (bx - ax) / length, (by - ay) / length
    x, y = origin[0] - ax, origin[1] - ay
    ux, uy = target[0] - origin[0], target[1] - origin[1]
    step = hypot(ux, uy)
    if step == 0:
        return (0.0, 1.0) if sqrt(_squared_distance(part, origin)) <= radius_px else None
    # In coordinates along the part and to the right of it: the rectangle beside it, then the two round ends.
    low, high = inf, -inf
    along = _clipped(x * dx + y * dy, ux * dx + uy * dy, 0.0, length)
    aside = _clipped(y * dx - x * dy, uy * dx - ux * dy, -radius_px, radius_px)
    if along is not None and aside is not None:
        start, end = max(along[0], aside[0]), min(along[1], aside[1])
        if start <= end:
            low, high = start, end
    for cx, cy in ((-x, -y), (bx - origin[0], by - origin[1])):
        miss = (ux * cy - uy * cx) / step
        if abs(miss) <= radius_px:
            middle, half = (ux * cx + uy * cy) / step, sqrt(radius_px * radius_px - miss * miss)
            low, high = min(low, (middle - half) / step), max(high, (middle + half) / step)
    low, high = max(0.0, low), min(1.0, high)
    return (low, high) if low <= high else None


def _clipped(origin: float, step: float, low: float, high: float) -> tuple[float, float] | None:
    """Return for which shares `origin + share * step` is within low..high; None where never."""
    if step == 0:
        return (0.0, 1.0) if low <= origin <= high else None
    first, second = (low - origin) / step, (high - origin) / step
    return (first, second) if first <= second else (second, first)


def _moves(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return where each point is thought to be moved, when it has to be beside a path that goes through it.

    A bend moves to the right of both of its parts, an end away from the line.
    """
    units = []
    for (ax, ay), (bx, by) in pairwise(points):
        length = hypot(bx - ax, by - ay)
        units.append(((bx - ax) / length, (by - ay) / length))
    bends = [(-(ay + by), ax + bx) for (ax, ay), (bx, by) in pairwise(units)]
    return ((-units[0][0], -units[0][1]), *bends, units[-1])


def _refuse_touching(parts: Sequence[tuple[Point, Point]]) -> None:
    """Raise ValueError where two parts have more in common than the bend between neighbours."""
    for number, (a, b) in enumerate(parts):
        for other, (c, d) in enumerate(parts[number + 1 :], number + 1):
            if other == number + 1:
                back = (b[0] - a[0]) * (d[0] - c[0]) + (b[1] - a[1]) * (d[1] - c[1]) < 0
                touches = back and _orientation(a, b, d) == 0
            else:
                touches = _touch(a, b, c, d)
            if touches:
                raise ValueError(
                    f"a line must not touch itself: its part {number + 1} from {a} to {b} meets "
                    f"part {other + 1} from {c} to {d}; for an area draw a zone"
                )


def _touch(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Return whether two segments have a point in common."""
    abc, abd = _orientation(a, b, c), _orientation(a, b, d)
    cda, cdb = _orientation(c, d, a), _orientation(c, d, b)
    if abc == abd == 0:  # all on one line
        axes = ((a[axis], b[axis], c[axis], d[axis]) for axis in (0, 1))
        return all(min(p, q) <= max(r, s) and min(r, s) <= max(p, q) for p, q, r, s in axes)
    return abc * abd <= 0 and cda * cdb <= 0


def _along(part: tuple[Point, Point], point: Point) -> float:
    """Return how far along the part a point is, 0 at its start, 1 at its end."""
    (ax, ay), (bx, by) = part
    dx, dy = bx - ax, by - ay
    return ((point[0] - ax) * dx + (point[1] - ay) * dy) / (dx * dx + dy * dy)


def _squared_distance(part: tuple[Point, Point], point: Point) -> float:
    (ax, ay), (bx, by) = part
    along = min(1.0, max(0.0, _along(part, point)))
    x, y = point[0] - ax - along * (bx - ax), point[1] - ay - along * (by - ay)
    return x * x + y * y


def _orientation(a: Point, b: Point, c: Point) -> float:
    """Return twice the area of the triangle a, b, c: positive when c is to the right of a -> b (y down)."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
