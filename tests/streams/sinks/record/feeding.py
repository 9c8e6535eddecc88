"""Packets brought to a sink by hand, as the engine does it, and what cameras send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from pipeline.errors import SinkError
from pipeline.packet import Packet, PacketFormat
from pipeline.plugin import SinkContext
from streams.sinks.record.index import FILE, Index
from streams.sinks.record.options import RecordOptions
from streams.sinks.record.segment import Segment
from streams.sinks.record.sink import RecordSink

START_NS = 1_800_000_000_000_000_000
"""2027-01-15 08:00 UTC."""


@dataclass
class Told:
    """What a sink had to say."""

    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __call__(
        self, stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
    ) -> None:
        assert kind in RecordSink.emits
        self.events.append((stream, kind, dict(data)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for _, found, data in self.events if found == kind]

    @property
    def alarms(self) -> list[tuple[str, str]]:
        return [(data["state"], data["reason"]) for data in self.of("recording.alarm")]


@contextmanager
def recording(out: Path, told: Told | None = None, **options: Any) -> Iterator[RecordSink]:
    """Make a sink that needs no free disk; close it at the end."""
    settings = RecordOptions(**{"free_gb": 0, "sync_s": None, **options})
    sink = RecordSink(settings, SinkContext(out, told or Told()))
    try:
        yield sink
    finally:
        sink.close()


class Feed:
    """Brings packets to a sink; after a failure it begins again with a key frame."""

    def __init__(self, sink: RecordSink, form: PacketFormat) -> None:
        self.sink = sink
        self.form = form
        self.is_open = False
        self.failures: list[str] = []

    def put(self, packets: Iterable[Packet]) -> None:
        for packet in packets:
            if not self.is_open and not packet.is_key:
                continue
            try:
                if not self.is_open:
                    self.sink.open_packets(self.form)
                    self.is_open = True
                self.sink.on_packet(packet)
            except SinkError as error:
                self.fail(error)

    def idle(self) -> None:
        try:
            self.sink.on_idle(self.form.stream)
        except SinkError as error:
            self.fail(error)

    def fail(self, error: SinkError) -> None:
        self.failures.append(str(error))
        self.is_open = False
        try:
            self.sink.close_packets(self.form.stream)
        except SinkError as second:
            self.failures.append(str(second))

    def close(self) -> None:
        self.is_open = False
        self.sink.close_packets(self.form.stream)


def record(sink: RecordSink, form: PacketFormat, packets: Iterable[Packet]) -> None:
    """Feed a whole connection, which must go well."""
    feed = Feed(sink, form)
    feed.put(packets)
    feed.close()
    assert not feed.failures


def segments(folder: Path, stream: str | None = None) -> list[Segment]:
    index = Index.reading(folder / FILE)
    try:
        return list(index.find(stream))
    finally:
        index.close()


def repeated(packets: Sequence[Packet], times: int) -> list[Packet]:
    """Return the packets so often, one after the other on all clocks."""
    step = packets[1].duration or 1
    ticks = max(p.pts for p in packets) - min(p.pts for p in packets) + step
    count = len(packets)
    shown = [packet.moment.pts_s for packet in packets]
    seconds = (max(shown) - min(shown)) * count / (count - 1)
    return [
        replace(
            packet,
            sequence=packet.sequence + turn * count,
            pts=packet.pts + turn * ticks,
            dts=None if packet.dts is None else packet.dts + turn * ticks,
            moment=packet.moment.shifted(turn * seconds),
        )
        for turn in range(times)
        for packet in packets
    ]


def as_from_a_camera(
    path: Path, form: PacketFormat, packets: Sequence[Packet]
) -> tuple[PacketFormat, list[Packet]]:
    """Return the packets with start codes, parameter sets with the key frames, no decoding times."""
    found = []
    with av.open(path) as container:
        track = container.streams.video[0]
        turn = BitStreamFilterContext(f"{form.codec}_mp4toannexb", track)
        for packet in container.demux(track):
            if packet.size:
                found += [bytes(made) for made in turn.filter(packet)]
    assert len(found) == len(packets)
    moved = [
        replace(packet, data=data, dts=None, duration=0) for packet, data in zip(packets, found, strict=True)
    ]
    return replace(form, extradata=b"", live=True), moved
