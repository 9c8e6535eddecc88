"""What all messages of the bus have in common: the version, limits, the fields of every header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.errors import SightlineError
from pipeline.moment import Clock, Moment
from pipeline.wire_tables import Fields, Int64

VERSION = 1
MAX_TOPIC_BYTES = 1024
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 32 << 20


class WireError(SightlineError, ValueError):
    """A message breaks the protocol: wrong version, not msgpack, a field missing, wrong or too big."""


Text = Annotated[str, Field(min_length=1)]
Natural = Annotated[int, Field(ge=0, lt=1 << 63)]
Size = Annotated[int, Field(ge=1, le=65535)]


class Header(Fields):
    """The fields of every header, in strict types."""

    v: Literal[1]
    bus: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    n: Natural
    stream: Text
    run: str
    sequence: Natural
    pts_s: float
    time: str
    time_ns: Int64
    clock: Literal["camera", "arrival", "file"]
    uncertainty_ns: Natural | None


def moment_fields(moment: Moment) -> dict[str, Any]:
    """Return both clocks as the fields of a header."""
    return {
        "pts_s": round(moment.pts_s, 6),
        "time": moment.iso(),
        "time_ns": moment.time_ns,
        "clock": str(moment.clock),
        "uncertainty_ns": moment.uncertainty_ns,
    }


def moment_of(checked: Mapping[str, Any]) -> Moment:
    """Return the clocks of a checked header."""
    return Moment(checked["pts_s"], checked["time_ns"], Clock(checked["clock"]), checked["uncertainty_ns"])


def printable(text: str, limit: int = 120) -> str:
    """Return text from outside as one line that cannot steer a terminal, shortened to `limit`."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
