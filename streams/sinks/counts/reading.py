"""What there is to count in an event."""

from __future__ import annotations

from typing import Any, NamedTuple

from pipeline.errors import SinkError
from pipeline.event import Event

LOST = "(lost)"
"""Where a route leads whose end was not seen."""
UNSEEN = "(unseen)"
"""Where a route comes from whose beginning was not seen."""


class Counted(NamedTuple):
    """One object that crossed a line, or took a route.

    Attributes:
        line: its name; for a route the name of the set of routes.
        direction: across the line; empty for a route.
        movement: what the route is called, or "north > (lost)"; empty for a line.
        label: its class, empty if it has none.
        speed_kmh: how fast it was, None if that is not known.
    """

    line: str
    direction: str
    movement: str
    label: str
    speed_kmh: float | None


def counted(event: Event) -> Counted | None:
    """Return what an event counts, None if it counts nothing.

    Raises:
        SinkError: if it does not say where.
    """
    data = event.data
    label = event.label or ""
    match event.kind:
        case "line.crossing":
            return Counted(_named(event, "line"), _named(event, "direction"), "", label, _speed_kmh(data))
        case "route.completed":
            return Counted(_named(event, "route"), "", _named(event, "movement"), label, None)
        case "route.partial":
            movement = f"{data.get('origin') or UNSEEN} > {data.get('destination') or LOST}"
            return Counted(_named(event, "route"), "", movement, label, None)
    return None


def _named(event: Event, key: str) -> str:
    try:
        return str(event.data[key])
    except KeyError as error:
        what = f"event '{event.kind}' {event.id} of stream '{event.stream}'"
        raise SinkError(f"{what} cannot be counted: its data has no {error}") from error


def _speed_kmh(data: Any) -> float | None:
    speed = data.get("speed_kmh")
    return float(speed) if isinstance(speed, (int, float)) else None
