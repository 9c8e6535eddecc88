"""One object and one region: when it came in for certain, and when it was gone for certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stages.count.geometry import F64Array, Point
from stages.count.zones.region import Region, Stretch


@dataclass(slots=True)
class Stay:
    """An object's relation to one region, told stretch by stretch of its path.

        outside --- in the region for `hold_s` without a break ---> inside
        inside  --- beyond the band for `hold_s` without a break ---> outside

    Between the region and the rim of the band nothing changes. What trembles at the edge thus enters once;
    what waits just outside, or passes through the band, never does.

    Attributes:
        inside: it is in the region, for certain.
        since_s: begin of the stretch that may change that, None when there is none.
        entered_s: media time at which its path came into the region, once it is inside.
        within_s: the latest media time at which it was in the region.
    """

    inside: bool = False
    since_s: float | None = None
    entered_s: float = 0.0
    within_s: float = 0.0

    def advance(self, from_s: float, to_s: float, stretch: Stretch, hold_s: float) -> bool:
        """Take a stretch of the path; return whether the object came in or is gone for certain."""
        if stretch.inside:
            self.within_s = to_s
        if not (stretch.beyond if self.inside else stretch.inside):
            self.since_s = None
            return False
        if self.since_s is None:
            self.since_s = from_s
        if to_s - self.since_s < hold_s:
            return False
        if not self.inside:
            self.entered_s = self.since_s
        self.inside = not self.inside
        self.since_s = None
        return True


class Stayed(NamedTuple):
    """One stay of a path in a region.

    Attributes:
        entered_s: media time at which it came in.
        left_s: media time at which it left, or was last seen in the region.
        appeared: it was first seen inside.
        lost: it was last seen inside.
    """

    entered_s: float
    left_s: float
    appeared: bool
    lost: bool


def stays(
    region: Region, times_s: Sequence[float], points: F64Array, *, band_px: float, hold_s: float
) -> list[Stayed]:
    """Return the stays of one path in a region; between its points a path is straight.

    Points that lie on the straight path between their neighbours, at the time that belongs there, change
    nothing.

    Args:
        region: px.
        times_s: (N,) media times, ascending.
        points: (N, 2) float64 px.
        band_px: see `Stay`.
        hold_s: see `Stay`.
    """
    found: list[Stayed] = []
    if len(times_s) == 0:
        return found
    stay = Stay()
    path: list[Point] = [(x, y) for x, y in points.tolist()]
    stay.advance(times_s[0], times_s[0], at(region, path[0], band_px), hold_s)
    for i in range(1, len(path)):
        for stretch, from_s, to_s in walk(region, path[i - 1], path[i], times_s[i - 1], times_s[i], band_px):
            if stay.advance(from_s, to_s, stretch, hold_s) and not stay.inside:
                found.append(Stayed(stay.entered_s, stay.within_s, stay.entered_s == times_s[0], lost=False))
    if stay.inside:
        lost = stay.within_s == times_s[-1]
        found.append(Stayed(stay.entered_s, stay.within_s, stay.entered_s == times_s[0], lost))
    return found


def walk(
    region: Region, start: Point, end: Point, from_s: float, to_s: float, band_px: float
) -> list[tuple[Stretch, float, float]]:
    """Return the stretches of a straight path with the media times of their ends."""
    if start == end:
        return [(at(region, end, band_px), from_s, to_s)]
    step_s = to_s - from_s
    return [
        (part, from_s + part.start * step_s, to_s if part.end == 1.0 else from_s + part.end * step_s)
        for part in region.stretches(start, end, band_px)
    ]


def at(region: Region, point: Point, band_px: float) -> Stretch:
    """Return where one point lies, as a stretch of no length."""
    where = np.array([point])
    inside = bool(region.inside(where)[0])
    return Stretch(0.0, 1.0, inside, not inside and float(region.distances_px(where)[0]) > band_px)
