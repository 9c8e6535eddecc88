"""An area of the picture: a polygon with holes, how far points are from it, how a path runs through it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import hypot, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array, Point
from stages.vision.polygon import area

BoolArray = npt.NDArray[np.bool_]
Ring = tuple[Point, ...]
Edge = tuple[float, float, float, float]
"""x and y of one end, x and y of the other."""


class Stretch(NamedTuple):
    """A part of a straight path on which nothing changes.

    Attributes:
        start: where it begins, as a share of the path, 0..1.
        end: where it ends.
        inside: it lies in the region.
        beyond: it lies outside, further away than the band.
    """

    start: float
    end: float
    inside: bool
    beyond: bool


@dataclass(frozen=True)
class Region:
    """A polygon with holes, in px.

    What is inside follows from the even-odd rule over all rings, so of two regions that share an edge a
    point on it lies in exactly one.

    Args:
        outer: corners of the polygon.
        holes: corners of each hole.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()
    edges: tuple[Edge, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        edges = [(*ring[i - 1], *ring[i]) for ring in (self.outer, *self.holes) for i in range(len(ring))]
        object.__setattr__(self, "edges", tuple(edges))

    @property
    def area_px2(self) -> float:
        """Its area without the holes, px²."""
        return area(self.outer) - sum(area(hole) for hole in self.holes)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Its bounding box: left, top, right, bottom, px."""
        x, y = zip(*self.outer, strict=True)
        return min(x), min(y), max(x), max(y)

    def inside(self, points: F64Array) -> BoolArray:
        """Return (N,) whether each of the points (N, 2) lies in the region."""
        return distances(points, self._table)[0]

    def distances_px(self, points: F64Array) -> F64Array:
        """Return (N,) how far each of the points (N, 2) is from the nearest edge, px, inside or outside."""
        return distances(points, self._table)[1]

    @cached_property
    def _table(self) -> F64Array:
        return edge_table([self.edges])

    def stretches(self, start: Point, end: Point, band_px: float) -> list[Stretch]:
        """Cut a straight path where it enters or leaves the region, or the band around it.

        Exact: it does not matter how finely a path is sampled. Stretches that do not differ are not joined.

        Args:
            start: (x, y) px.
            end: (x, y) px; a path of no length is one stretch.
            band_px: width of the band outside of the region.
        """
        cuts = [0.0, 1.0]
        x, y, dx, dy = start[0], start[1], end[0] - start[0], end[1] - start[1]
        left, right = min(x, end[0]) - band_px, max(x, end[0]) + band_px
        top, bottom = min(y, end[1]) - band_px, max(y, end[1]) + band_px
        near: list[Edge] = []
        for edge in self.edges:
            ax, ay, bx, by = edge
            if (ax < left and bx < left) or (ax > right and bx > right):
                continue
            if (ay < top and by < top) or (ay > bottom and by > bottom):
                continue
            near.append(edge)
            for cut in _cuts(x, y, dx, dy, edge, band_px):
                if 0.0 < cut < 1.0:
                    insort(cuts, cut)
        parts = []
        for a, b in pairwise(cuts):
            if a < b:
                middle = (a + b) / 2
                px, py = x + dx * middle, y + dy * middle
                inside = self._holds(px, py)
                beyond = not inside and all(_distance(px, py, edge) > band_px for edge in near)
                parts.append(Stretch(a, b, inside, beyond))
        return parts

    def _holds(self, x: float, y: float) -> bool:
        within = False
        for ax, ay, bx, by in self.edges:
            if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
                within = not within
        return within


def edge_table(regions: Sequence[Sequence[Edge]]) -> F64Array:
    """Return what `distances` needs of the edges of R regions, (7, E, R) float64.

    Rows: x and y of one end, the y of the other, the way to it in x and y, how far x moves per y, and one
    over the squared length. Where a region has fewer than E edges, there are some of no length at its first
    corner, which change nothing.
    """
    most = max((len(edges) for edges in regions), default=0)
    filled = [[*edges, *[edges[0][:2] * 2] * (most - len(edges))] for edges in regions]
    ax, ay, bx, by = np.moveaxis(np.array(filled, np.float64).reshape(len(regions), most, 4), -1, 0)
    ax, ay, bx, by = ax.T, ay.T, bx.T, by.T
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy
    slope = dx / np.where(dy != 0, dy, 1.0)
    return np.stack([ax, ay, by, dx, dy, slope, 1.0 / np.where(length2 > 0, length2, 1.0)])


def distances(points: F64Array, table: F64Array) -> tuple[BoolArray, F64Array]:
    """Return whether each point lies within its edges, and its distance from the nearest of them, px.

    Args:
        points: (..., N, 2) px.
        table: (7, E, N) the edges that each point is asked about, see `edge_table`; or (7, E, 1), the same
            for all.

    Returns:
        (..., N) bool, and (..., N) float64 px.
    """
    x, y = points[..., None, :, 0], points[..., None, :, 1]
    ax, ay, by, dx, dy, slope, per_length2 = table
    px, py = x - ax, y - ay
    spans = (ay > y) != (by > y)
    within: BoolArray = np.logical_xor.reduce(spans & (px < py * slope), axis=-2)
    along = (px * dx + py * dy) * per_length2
    np.clip(along, 0.0, 1.0, out=along)
    px -= along * dx
    py -= along * dy
    return within, np.sqrt((px * px + py * py).min(axis=-2))


def _cuts(x: float, y: float, dx: float, dy: float, edge: Edge, band_px: float) -> Sequence[float]:
    """Return where the line (x, y) + t (dx, dy) meets the edge's own line and those `band_px` beside it.

    Together with where it meets the circles about the edge's ends. There may be more cuts than needed:
    the stretches between them are looked at one by one.
    """
    ax, ay, bx, by = edge
    ex, ey = bx - ax, by - ay
    length = hypot(ex, ey)
    cuts: list[float] = []
    if length == 0:
        return cuts
    speed = (ex * dy - ey * dx) / length  # towards the edge's right, per whole path
    apart = (ex * (y - ay) - ey * (x - ax)) / length
    if speed != 0:
        cuts += [-apart / speed, (band_px - apart) / speed, (-band_px - apart) / speed]
    a = dx * dx + dy * dy
    if a == 0:
        return cuts
    for cx, cy in ((ax, ay), (bx, by)):
        b, c = (x - cx) * dx + (y - cy) * dy, (x - cx) ** 2 + (y - cy) ** 2 - band_px**2
        root2 = b * b - a * c
        if root2 > 0:
            root = sqrt(root2)
            cuts += [(-b - root) / a, (-b + root) / a]
    return cuts


def _distance(x: float, y: float, edge: Edge) -> float:
    ax, ay, bx, by = edge
    ex, ey = bx - ax, by - ay
    length2 = ex * ex + ey * ey
    along = 0.0 if length2 == 0 else min(1.0, max(0.0, ((x - ax) * ex + (y - ay) * ey) / length2))
    return hypot(x - ax - along * ex, y - ay - along * ey)
