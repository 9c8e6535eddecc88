"""Messages of the bus as lines: for a person, and for a machine."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping

from pipeline.frame import Counts
from pipeline.wire import (
    HUB_STREAM,
    BoxMessage,
    EventMessage,
    FrameMessage,
    Message,
    PacketMessage,
    RawMessage,
    StatusMessage,
    printable,
)

_LINE_CHARACTERS = 400


def format_message(message: Message) -> str:
    """Return one line for a person."""
    match message:
        case EventMessage():
            words = _event_words(message)
        case FrameMessage():
            words = _picture_words(message, f"{len(message.jpeg) / 1024:.0f} KiB")
        case RawMessage():
            words = _picture_words(message, f"{message.encoding} in {message.place.segment}")
        case PacketMessage():
            words = _packet_words(message)
        case StatusMessage():
            words = _status_words(message)
        case BoxMessage():
            words = _box_words(message)
    return printable("  ".join(words), limit=_LINE_CHARACTERS)


def json_line(message: Message) -> str:
    """Return one line for a machine: the header as JSON, bytes as Base64; of a payload only its size."""
    fields = message.header()
    if isinstance(message, FrameMessage):
        fields["jpeg_bytes"] = len(message.jpeg)
    elif isinstance(message, PacketMessage):
        fields["extradata"] = b64encode(message.format.extradata).decode()
        fields["packet_bytes"] = len(message.packet.data)
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _event_words(message: EventMessage) -> Iterator[str]:
    event = message.event
    yield from (event.moment.iso(), event.stream, event.kind)
    if event.label is not None:
        yield event.label
    if event.track_id is not None:
        yield f"#{event.track_id}"
    yield from (f"{name}={_short(value)}" for name, value in event.data.items())


def _picture_words(message: FrameMessage | RawMessage, what: str) -> Iterator[str]:
    yield from (
        message.moment.iso(),
        message.stream,
        f"frame {message.sequence}",
        f"{message.width}x{message.height}",
        what,
    )
    if message.tracks is not None:
        yield f"{len(message.tracks)} tracks"
    yield from _totals(message.counts or {})


def _packet_words(message: PacketMessage) -> Iterator[str]:
    form, packet = message.format, message.packet
    yield from (
        packet.moment.iso(),
        packet.stream,
        f"packet {packet.sequence}",
        f"{form.codec} {form.width}x{form.height}",
        f"{len(packet.data) / 1024:.1f} KiB",
    )
    if packet.is_key:
        yield "key frame"


def _status_words(message: StatusMessage) -> Iterator[str]:
    yield from (message.moment.iso(), message.stream, message.state)
    source = message.source
    if source is not None:
        because = source["reason"] or ""
        yield f"source {source['state']}{f' ({because})' if because else ''} for {source['for_s']:.0f} s"
    if message.error is not None:
        yield f"error: {message.error}"
    frames = message.frames
    yield f"{frames['finished']} of {frames['captured']} frames"
    if message.finished_hz is not None:
        yield f"{message.finished_hz:.1f}/s"
    yield from _dropped(frames["dropped"])
    if "output" in message.age_ms:
        yield f"{message.age_ms['output']['latest']:.0f} ms old"
    yield f"{message.events} events"
    if message.gaps:
        yield f"{message.gaps} gaps"
    yield from _totals(message.counts)
    for name, sink in message.sinks.items():
        lost = sum(sink["lost"].values())
        said = f"{name}: {sink['taken']} packets" + (f", {lost} lost" if lost else "")
        yield said + (f" ({sink['error']})" if sink["error"] else "")


def _box_words(message: BoxMessage) -> Iterator[str]:
    if message.stream == HUB_STREAM:
        yield from _hub_words(message)
        return
    yield from (message.moment.iso(), f"box {message.box}", f"up {message.seconds:.0f} s")
    states = list(message.streams.values())
    if states:
        yield f"{sum(state == 'running' for state in states)} of {len(states)} streams running"
    if message.error is not None:
        yield f"error: {message.error}"
    journal = message.journal
    if journal is not None:
        yield f"journal {journal['newest']}" + (f" ({journal['trouble']})" if journal["trouble"] else "")
    for name, sink in message.sinks.items():
        said = f"{name}: {sink['delivered']} delivered, {sink['waiting']} wait"
        yield said + (f" ({sink['error']})" if sink["error"] else "")
    yield from _strangers(message.sockets)


def _hub_words(message: BoxMessage) -> Iterator[str]:
    yield from (message.moment.iso(), f"hub {message.box}", f"up {message.seconds:.0f} s")
    counts = message.sockets
    for kind in ("events", "frames", "packets"):
        if f"{kind}_passed" in counts:
            boxes, programs, passed = (
                counts.get(f"{kind}_{name}", 0) for name in ("boxes", "programs", "passed")
            )
            yield f"{kind}: {boxes} boxes, {programs} programs, {passed} passed on"
    yield from _strangers(counts)


def _strangers(sockets: Mapping[str, int]) -> Iterator[str]:
    strangers = sum(count for name, count in sockets.items() if name.endswith("_strangers"))
    if strangers:
        yield f"{strangers} strangers not let in"


def _dropped(dropped: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for stage, causes in dropped.items():
        yield from (f"{frames} dropped at {stage}: {cause}" for cause, frames in causes.items())


def _totals(counts: Counts) -> Iterator[str]:
    for line, directions in counts.items():
        totals = (f"{direction} {sum(labels.values())}" for direction, labels in directions.items())
        yield f"{line}: {', '.join(totals)}"


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
