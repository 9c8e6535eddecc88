"""An event as a message: written, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from pipeline.event import Event
from pipeline.wire_fields import VERSION, Header, Text
from pipeline.wire_tables import Fields, Int64

EVENT_TOPIC = "event/"


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event as it travels.

    Attributes:
        bus: id of the publishing bus, new at each start of it; `n` counts within it.
        n: number of the message on its topic, from 0.
        event: the event; its `pts_s` and `position` are rounded as `Event.to_dict` does.
    """

    bus: str
    n: int
    event: Event

    @property
    def topic(self) -> str:
        """What subscribers name: `event/<stream>`."""
        return EVENT_TOPIC + self.event.stream

    @property
    def payload(self) -> bytes | None:
        """An event has none."""
        return None

    @classmethod
    def read(cls, checked: Mapping[str, Any], payload: bytes | None) -> EventMessage:  # noqa: ARG003 - has none
        """Make the message of a checked header."""
        return cls(bus=checked["bus"], n=checked["n"], event=Event.from_dict(checked))

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        return {"v": VERSION, "type": "event", "bus": self.bus, "n": self.n, **self.event.to_dict()}


class _Producer(Fields):
    stage: str
    name: str
    config_hash: str
    model_hash: str | None


class EventHeader(Header):
    """The fields of an event message, in strict types."""

    type: Literal["event"]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    kind: Text
    track_id: Int64 | None
    label: str | None
    position: Annotated[list[float], Field(min_length=2, max_length=2)] | None
    producer: _Producer
    data: dict[str, JsonValue]
    evidence: dict[str, JsonValue]
