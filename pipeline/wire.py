"""The messages on the bus, protocol version 1: how they are written and checked (docs/protocol.md).

A message is a ZeroMQ multipart message: topic, header (a msgpack map), and for some types a payload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
from pydantic import ValidationError

from pipeline.wire_event import EVENT_TOPIC, EventHeader, EventMessage
from pipeline.wire_fields import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_TOPIC_BYTES,
    VERSION,
    Header,
    WireError,
    printable,
)
from pipeline.wire_frame import FRAME_TOPIC, FrameHeader, FrameMessage
from pipeline.wire_packet import PACKET_TOPIC, PacketHeader, PacketMessage
from pipeline.wire_raw import RAW_TOPIC, RawHeader, RawMessage
from pipeline.wire_status import (
    BOX_STREAM,
    HUB_STREAM,
    STATUS_TOPIC,
    BoxHeader,
    BoxMessage,
    StatusHeader,
    StatusMessage,
)

__all__ = [
    "BOX_STREAM",
    "EVENT_TOPIC",
    "FRAME_TOPIC",
    "HUB_STREAM",
    "MAX_HEADER_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_TOPIC_BYTES",
    "PACKET_TOPIC",
    "RAW_TOPIC",
    "STATUS_TOPIC",
    "VERSION",
    "BoxHeader",
    "BoxMessage",
    "EventHeader",
    "EventMessage",
    "FrameHeader",
    "FrameMessage",
    "Message",
    "PacketHeader",
    "PacketMessage",
    "RawHeader",
    "RawMessage",
    "StatusHeader",
    "StatusMessage",
    "WireError",
    "decode",
    "encode",
    "printable",
]

Message = EventMessage | FrameMessage | RawMessage | PacketMessage | StatusMessage | BoxMessage

_TYPES: dict[str, tuple[type[Header], type[Message]]] = {
    "event": (EventHeader, EventMessage),
    "frame": (FrameHeader, FrameMessage),
    "packet": (PacketHeader, PacketMessage),
    "raw": (RawHeader, RawMessage),
    "status": (StatusHeader, StatusMessage),
    "box": (BoxHeader, BoxMessage),
}
_MAX_ITEMS = 10_000  # of one array or map: a few bytes that claim millions of items must not allocate them
_PARTS = (("topic", MAX_TOPIC_BYTES), ("header", MAX_HEADER_BYTES), ("payload", MAX_PAYLOAD_BYTES))


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
        raise WireError(f"a message has 2 parts, or 3 with a payload, got {len(parts)}")
    _check_sizes(parts)
    fields = _unpacked(parts[1])
    version, kind = fields.get("v"), fields.get("type")
    if type(version) is not int or version != VERSION:
        shown = printable(repr(version))
        raise WireError(f"a message has protocol version {shown}, this sightline reads version {VERSION}")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise WireError(f"a message has the unknown type {printable(repr(kind))}")
    checked = _check(fields).model_dump()
    message = _TYPES[kind][1].read(checked, parts[2] if len(parts) == 3 else None)
    if parts[0] != message.topic.encode():
        topic = printable(repr(parts[0]))
        raise WireError(f"a message on topic {topic} belongs on {printable(message.topic)}")
    if len(parts) != (2 if message.payload is None else 3):
        raise WireError(f"{printable(message.topic)}: a message of the type '{kind}' has no payload")
    return message


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


def _check(fields: Mapping[str, Any]) -> Header:
    try:
        return _TYPES[fields["type"]][0].model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:4])
        kind = fields["type"]
        raise WireError(f"{kind} message, field {printable(where)}: {printable(first['msg'])}") from error
