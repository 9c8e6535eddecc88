"""Plane geometry of counting lines, in pixels of the picture: x to the right, y down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

F64Array = npt.NDArray[np.float64]
Point = tuple[float, float]

Anchor = Literal[
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

# Where an anchor lies in its box, as fractions of width and height.
_ANCHOR_IN_BOX: dict[Anchor, Point] = {
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
    """Return the named point of each box, (N, 2) float64 px, of boxes (N, 4) xyxy px."""
    boxes = xyxy.astype(np.float64)
    return boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2]) * _ANCHOR_IN_BOX[anchor]


@dataclass(frozen=True, slots=True)
class Segment:
    """A finite line from `start` to `end`, both (x, y) px, with a left and a right side.

    The sides are those of a person who stands at `start` and looks to `end`:

             left (-1)
        start ---------> end
             right (+1)

    A point exactly on the infinite line belongs to the left side. Thus a path that touches the line and
    turns back crosses it not at all or once each way, and a path along the line crosses it only where it
    leaves the line to the right, or comes onto it from there. Both end points belong to the segment.

    Raises:
        ValueError: if start and end are the same point.
    """

    start: Point
    end: Point

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise ValueError(f"a line needs two different points, got {self.start} twice")

    def sides(self, points: F64Array) -> npt.NDArray[np.int64]:
        """Return the side of the infinite line, +1 (right) or -1 (left), for points (N, 2) px."""
        (ax, ay), (bx, by) = self.start, self.end
        cross = (bx - ax) * (points[:, 1] - ay) - (by - ay) * (points[:, 0] - ax)
        return np.where(cross > 0, 1, -1)

    def distances_px(self, points: F64Array) -> F64Array:
        """Return the distance from the segment's nearest point, (N,) px, for points (N, 2) px."""
        (ax, ay), (bx, by) = self.start, self.end
        dx, dy = bx - ax, by - ay
        x, y = points[:, 0] - ax, points[:, 1] - ay
        along = ((x * dx + y * dy) / (dx * dx + dy * dy)).clip(0.0, 1.0)
        return np.hypot(x - along * dx, y - along * dy)

    def crossing(self, origin: Point, target: Point) -> float | None:
        """Return how far along the straight path from `origin` to `target` it crosses the segment, 0..1.

        None when it does not. The tests are signs of orientations, so they are exact for coordinates of
        whole pixels.
        """
        from_line = _orientation(self.start, self.end, origin)
        to_line = _orientation(self.start, self.end, target)
        if (from_line > 0) == (to_line > 0):
            return None
        start_from_path = _orientation(origin, target, self.start)
        end_from_path = _orientation(origin, target, self.end)
        if start_from_path * end_from_path > 0:
            return None
        return from_line / (from_line - to_line)


def _orientation(a: Point, b: Point, c: Point) -> float:
    """Return twice the area of the triangle a, b, c: positive when c is to the right of a -> b (y down)."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
