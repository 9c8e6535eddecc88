"""Whether an object stands, in spite of a box that trembles and of single wrong boxes."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from stages.count.geometry import Point

MOVES_AFTER_S = 0.5
"""Seconds away from its place after which an object has moved: single wrong boxes do not count."""


@dataclass(slots=True)
class Standing:
    """Where an object stands, and since when.

    It stands as long as it keeps within a circle about the place where it was when it came to rest. The
    radius is a share of its box's diagonal, so that near and far objects are judged alike.

    Args:
        place: where it is, px.
        since_s: media time at which it was there first.
    """

    place: Point
    since_s: float
    _away_s: float | None = None

    def update(self, time_s: float, xy: Point, radius_px: float) -> None:
        """Take the next observed position."""
        if hypot(xy[0] - self.place[0], xy[1] - self.place[1]) <= radius_px:
            self._away_s = None
            return
        if self._away_s is None:
            self._away_s = time_s
        if time_s - self._away_s >= MOVES_AFTER_S:
            self.place, self.since_s, self._away_s = xy, time_s, None
