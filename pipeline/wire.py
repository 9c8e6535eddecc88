"""The messages on the bus, protocol version 1: how they are written and checked (docs/protocol.md).

A message is a ZeroMQ multipart message: topic, header (a msgpack map), and for frames the picture as JPEG.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgpack
from pydantic import Field, JsonValue, ValidationError

from pipeline.errors import SightlineError
from pipeline.event import Event
from pipeline.frame import Counts, Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, Tracks
from pipeline.wire_tables import (
    DetectionColumns,
    Fields,
    Int64,
    TrackColumns,
    detection_columns,
    read_detections,
    read_tracks,
    track_columns,
)

Table = TypeVar("Table", Detections, Tracks)

VERSION = 1
EVENT_TOPIC = "event/"
FRAME_TOPIC = "frame/"
MAX_HEADER_BYTES = 1 << 20
MAX_JPEG_BYTES = 32 << 20
_MAX_ITEMS = 10_000  # of one array or map: a few bytes that claim millions of items must not allocate them
_JPEG_START = b"\xff\xd8\xff"
_PARTS = (("topic", 1024), ("header", MAX_HEADER_BYTES), ("picture", MAX_JPEG_BYTES))
_PLAIN_FRAME_FIELDS = (
    "bus",
    "n",
    "stream",
    "run",
    "sequence",
    "width",
    "height",
    "quality",
    "counts",
    "carried_s",
)


class WireError(SightlineError, ValueError):
    """A message breaks the protocol: wrong version, not msgpack, a field missing, wrong or too big."""


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

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        return {"v": VERSION, "type": "event", "bus": self.bus, "n": self.n, **self.event.to_dict()}


@dataclass(frozen=True, slots=True, eq=False)
class FrameMessage:
    """A finished frame as it travels.

    Attributes:
        bus: id of the publishing bus, new at each start of it; `n` counts within it.
        n: number of the message on its topic, from 0.
        stream: name of the stream.
        run: the stream's run, see `Frame.run`.
        sequence: number of the frame within the run.
        moment: both clocks.
        width: of the picture, px.
        height: of the picture, px.
        quality: of the JPEG, 1..100.
        counts: totals so far, or None when nobody counts.
        tracks: the tracks, rounded to 0.01 px, or None when nobody tracks.
        jpeg: the annotated picture.
        detections: likewise, without embeddings; None when nobody detects.
        carried_s: age of the detections, see `Frame.carried_s`.
    """

    bus: str
    n: int
    stream: str
    run: str
    sequence: int
    moment: Moment
    width: int
    height: int
    quality: int
    counts: Counts | None
    tracks: Tracks | None
    jpeg: bytes
    detections: Detections | None = None
    carried_s: float = 0.0

    @classmethod
    def of(cls, frame: Frame, jpeg: bytes, *, quality: int, bus: str, n: int) -> FrameMessage:
        """Make the message of a frame and its encoded picture."""
        return cls(
            bus=bus,
            n=n,
            stream=frame.stream,
            run=frame.run,
            sequence=frame.sequence,
            moment=frame.moment,
            width=frame.picture.width,
            height=frame.picture.height,
            quality=quality,
            counts=frame.counts,
            tracks=frame.tracks,
            jpeg=jpeg,
            detections=frame.detections,
            carried_s=frame.carried_s,
        )

    @property
    def topic(self) -> str:
        """What subscribers name: `frame/<stream>`."""
        return FRAME_TOPIC + self.stream

    @property
    def payload(self) -> bytes | None:
        """The JPEG."""
        return self.jpeg

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        return {
            "v": VERSION,
            "type": "frame",
            "bus": self.bus,
            "n": self.n,
            "stream": self.stream,
            "run": self.run,
            "sequence": self.sequence,
            "pts_s": round(self.moment.pts_s, 6),
            "time": self.moment.iso(),
            "time_ns": self.moment.time_ns,
            "clock": str(self.moment.clock),
            "uncertainty_ns": self.moment.uncertainty_ns,
            "width": self.width,
            "height": self.height,
            "encoding": "jpeg",
            "quality": self.quality,
            "counts": None if self.counts is None else _plain_counts(self.counts),
            "tracks": None if self.tracks is None else track_columns(self.tracks),
            "carried_s": round(self.carried_s, 6),
            "detections": None if self.detections is None else detection_columns(self.detections),
        }


Message = EventMessage | FrameMessage


def encode(message: Message) -> list[bytes]:
    """Return the parts of a message: topic, header and, if it has one, payload.

    Raises:
        WireError: if a field holds what the protocol cannot carry, e.g. an event's `data` no plain JSON
            value. Found here it names the culprit; found by receivers it would be lost for each of them.
    """
    fields = message.header()
    _check(fields)
    try:
        header: bytes = msgpack.packb(fields)
        topic = message.topic.encode()
    except (ValueError, TypeError, OverflowError) as error:
        raise WireError(f"a message on {printable(message.topic)} cannot be encoded: {error}") from error
    parts = [topic, header] if message.payload is None else [topic, header, message.payload]
    _check_sizes(parts)
    return parts


def decode(parts: Sequence[bytes]) -> Message:
    """Check and read the parts of a message. Fields that this version does not know are ignored.

    Raises:
        WireError: whatever is wrong with the bytes, in one line.
    """
    if len(parts) not in (2, 3):
        raise WireError(f"a message has 2 parts (event) or 3 (frame), got {len(parts)}")
    _check_sizes(parts)
    fields = _unpacked(parts[1])
    version, kind = fields.get("v"), fields.get("type")
    if type(version) is not int or version != VERSION:
        shown = printable(repr(version))
        raise WireError(f"a message has protocol version {shown}, this sightline reads version {VERSION}")
    if not isinstance(kind, str) or kind not in _SCHEMAS:
        raise WireError(f"a message has the unknown type {printable(repr(kind))}")
    checked = _check(fields).model_dump()
    message = _event_message(checked) if kind == "event" else _frame_message(checked, parts)
    if parts[0] != message.topic.encode():
        topic = printable(repr(parts[0]))
        raise WireError(f"a message on topic {topic} belongs on {printable(message.topic)}")
    if len(parts) != (2 if message.payload is None else 3):
        raise WireError(f"{printable(message.topic)}: an event message has no payload")
    return message


def printable(text: str, limit: int = 120) -> str:
    """Return text from outside as one line that cannot steer a terminal, shortened to `limit`."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _plain_counts(counts: Counts) -> dict[str, dict[str, dict[str, int]]]:
    return {
        line: {direction: dict(labels) for direction, labels in directions.items()}
        for line, directions in counts.items()
    }


def _check_sizes(parts: Sequence[bytes]) -> None:
    for part, (name, limit) in zip(parts, _PARTS, strict=False):
        if len(part) > limit:
            raise WireError(f"a message's {name} has {len(part)} bytes, allowed are {limit}")


def _unpacked(header: bytes) -> dict[str, Any]:
    try:
        fields = msgpack.unpackb(
            header, max_array_len=_MAX_ITEMS, max_map_len=_MAX_ITEMS, max_ext_len=0, strict_map_key=True
        )
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise WireError(f"a message's header is no msgpack: {printable(str(error))}") from error
    if not isinstance(fields, dict):
        raise WireError(f"a message's header is no msgpack map but {type(fields).__name__}")
    return fields


def _check(fields: Mapping[str, Any]) -> _Header:
    try:
        return _SCHEMAS[fields["type"]].model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:4])
        kind = fields["type"]
        raise WireError(f"{kind} message, field {printable(where)}: {printable(first['msg'])}") from error


def _event_message(checked: Mapping[str, Any]) -> EventMessage:
    return EventMessage(bus=checked["bus"], n=checked["n"], event=Event.from_dict(checked))


def _frame_message(checked: Mapping[str, Any], parts: Sequence[bytes]) -> FrameMessage:
    if len(parts) != 3 or not parts[2].startswith(_JPEG_START):
        raise WireError(f"{FRAME_TOPIC}{printable(checked['stream'])}: a frame message carries no JPEG")
    return FrameMessage(
        moment=Moment(
            checked["pts_s"], checked["time_ns"], Clock(checked["clock"]), checked["uncertainty_ns"]
        ),
        tracks=_table("tracks", read_tracks, checked["tracks"]),
        detections=_table("detections", read_detections, checked["detections"]),
        jpeg=parts[2],
        **{name: checked[name] for name in _PLAIN_FRAME_FIELDS},
    )


def _table(field: str, read: Callable[[Any], Table], columns: Any) -> Table | None:
    """Return a table of the message, None where it has none."""
    if columns is None:
        return None
    try:
        return read(columns)
    except ValueError as error:
        raise WireError(f"frame message, field {field}: {printable(str(error))}") from error


Text = Annotated[str, Field(min_length=1)]
Natural = Annotated[int, Field(ge=0, lt=1 << 63)]
Size = Annotated[int, Field(ge=1, le=65535)]


class _Header(Fields):
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


class _Producer(Fields):
    stage: str
    name: str
    config_hash: str
    model_hash: str | None


class EventHeader(_Header):
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


class FrameHeader(_Header):
    """The fields of a frame message, in strict types."""

    type: Literal["frame"]
    width: Size
    height: Size
    encoding: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)]
    counts: dict[str, dict[str, dict[str, Natural]]] | None
    tracks: TrackColumns | None
    detections: DetectionColumns | None = None
    carried_s: Annotated[float, Field(ge=0)] = 0.0


_SCHEMAS: dict[str, type[_Header]] = {"event": EventHeader, "frame": FrameHeader}
