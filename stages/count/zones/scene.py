"""What the questions about one zone are asked of: who is in it now, and what each of them did there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from stages.count.geometry import Point
from stages.count.zones.standing import Standing

State = Literal["begin", "update", "end"]


@dataclass(slots=True)
class Visitor:
    """An object in the zone.

    Attributes:
        object_id: who.
        label: its class.
        entered_s: media time at which it came in.
        seen_s: media time of the latest observation.
        xy: its anchor then, px; it and what follows are kept up only in zones of which something is asked.
        size_px: diagonal of its box then.
        speed_kmh: its speed on the ground then, None where it cannot be told.
        standing: where it stands, and since when.
    """

    object_id: int
    label: str
    entered_s: float
    seen_s: float
    xy: Point
    size_px: float
    standing: Standing
    speed_kmh: float | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """A visitor who is gone.

    Attributes:
        visitor: who.
        time_s: media time at which it left, or was last seen inside.
        lost: it was last seen inside.
    """

    visitor: Visitor
    time_s: float
    lost: bool


@dataclass(slots=True)
class Scene:
    """One zone at one frame.

    Attributes:
        time_s: media time.
        observed: those who are seen at this frame.
        present: how many were seen within the last moments; the others may be gone.
        entered: who came in.
        gone: who is gone since the last frame.
    """

    time_s: float
    observed: list[Visitor] = field(default_factory=list)
    present: int = 0
    entered: list[Visitor] = field(default_factory=list)
    gone: list[Departure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """What a question has to tell; the part of the stage makes an event of it.

    Attributes:
        number: of the situation, from 1; its begin, updates and end have the same.
        state: which of them it is.
        time_s: media time.
        data: particulars, plain JSON values.
        visitor: whom it is about, None when about the zone.
    """

    number: int
    state: State
    time_s: float
    data: Mapping[str, Any]
    visitor: Visitor | None = None


class Question(Protocol):
    """Something worth telling of a zone, that begins and ends.

    Attributes:
        kind: of its events, "zone.queue".
    """

    kind: ClassVar[str]

    def look(self, scene: Scene) -> list[Report]:
        """Return what there is to tell at this frame."""

    def end(self, time_s: float, reason: str) -> list[Report]:
        """Return the ends of all that is going on, and forget it."""

    @property
    def is_open(self) -> bool:
        """Whether time may bring something to tell although nobody is there."""

    def note(self, time_s: float) -> str:
        """Return what to write beside the zone ("3 waiting, 41 s"), nothing when there is nothing."""
