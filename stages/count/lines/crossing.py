"""What is known of an object that went over a line, and of one that came near and did not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from stages.count.geometry import Point

TRAIL_POINTS = 32
"""Most positions in a crossing's trail: half before the crossing, half after it."""

TimedPoint = tuple[float, float, float]
"""Media time in seconds, x and y in pixels."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One object that went over the line.

    Attributes:
        track_id: whose.
        number: which of the track's crossings of this line it is, from 1.
        to_right: direction, see `Polyline`.
        label: the track's class when the crossing became final.
        time_s: media time at which the path met the line, interpolated between two positions.
        position: where it met the line, (x, y) px.
        trail: positions around the crossing, oldest first; the last one made it final.
        attributes: what else was known of the object then, such as its colour.
    """

    track_id: int
    number: int
    to_right: bool
    label: str
    time_s: float
    position: Point
    trail: tuple[TimedPoint, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


class Reason(StrEnum):
    """Why one coming into a line's band was counted or not."""

    COUNTED = "counted"
    TURNED_BACK = "turned back before the line"
    CAME_BACK = "came back over the line"
    AROUND = "went around the end"
    OVER_AND_AROUND = "went over the line and back around its end"
    BORN_INSIDE = "first seen within the band"
    LOST_INSIDE = "last seen within the band"
    OTHER_KIND = "of a kind that is not counted"
    SUSPENDED = "the line was suspended"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided of an object that had come into a line's band.

    Attributes:
        track_id: whose.
        reason: what was decided.
        label: its class then.
        from_s: media time at which it came into the band.
        until_s: media time at which it left the band, or was last seen in it.
        met: how often its path met the line meanwhile.
        returns: how often it was beyond the band for less than the hold time.
        number: of the crossing that counted, 0 where none did.
        to_right: its direction.
        attributes: what else was known of it.
    """

    track_id: int
    reason: Reason
    label: str
    from_s: float
    until_s: float
    met: int = 0
    returns: int = 0
    number: int = 0
    to_right: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
