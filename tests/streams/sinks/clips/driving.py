"""Feeding the sink `clips` by hand, as the engine does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.packet import Packet, PacketFormat
from pipeline.picture import BgrPicture
from pipeline.plugin import SinkContext
from streams.sinks.clips.options import ClipsOptions
from streams.sinks.clips.sink import ClipsSink
from tests.media import write_crossing_video
from tests.packets import packets_of

PICTURE = BgrPicture(np.zeros((24, 32, 3), np.uint8))


Material = tuple[PacketFormat, list[Packet]]


class Heard:
    """What a sink tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]] = []

    def __call__(
        self, stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
    ) -> None:
        assert kind in ClipsSink.emits
        json.dumps([data, evidence])
        self.told.append((stream, kind, data, evidence or {}))

    @property
    def saved(self) -> list[Mapping[str, Any]]:
        return [data for _, kind, data, _ in self.told if kind == "clip.saved"]

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        return [data for _, kind, data, _ in self.told if kind == "clip.failed"]


class Clock:
    """A monotonic clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Box:
    """A sink with all around it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.heard = Heard()
        self.clock = Clock()
        given = {"kinds": ["line.*"], "pre_s": 1.0, "post_s": 1.0, "free_gb": 0.0, "fsync": False, **options}
        self.sink = ClipsSink(ClipsOptions(**given), SinkContext(folder, self.heard), self.clock)

    def frame(self, packet: Packet, stream: str | None = None) -> Frame:
        return Frame(stream or packet.stream, packet.run, packet.sequence, packet.moment, PICTURE)

    def event(self, packet: Packet, key: str = "1", *, kind: str = "line.crossing", **fields: Any) -> Event:
        stream = fields.pop("stream", None)
        event = self.frame(packet, stream).event(kind, key, Producer("count", "main"), **fields)
        self.sink.on_event(event)
        return event

    def feed(self, packets: Sequence[Packet], *, seen: bool = True) -> None:
        """Hand packets over; by default the analytics keeps up with them."""
        for packet in packets:
            self.sink.on_packet(packet)
            if seen:
                self.sink.on_frame(self.frame(packet))

    def path(self, number: int = 0) -> Path:
        return self.folder / self.heard.saved[number]["path"]


def long_video(folder: Path, seconds: int = 12) -> Material:
    """Return packets of 20 pictures a second with a key frame each second."""
    path = folder / "source.mp4"
    if not path.exists():
        write_crossing_video(path, seconds * 20)
    return packets_of(path, live=True)


def later_run(
    form: PacketFormat, packets: Sequence[Packet], by_s: float
) -> tuple[PacketFormat, list[Packet]]:
    """Return the same pictures as another connection brings them, later."""
    return replace(form, run="run-2"), [
        replace(packet, run="run-2", moment=packet.moment.shifted(by_s)) for packet in packets
    ]


def times_in(path: Path) -> list[float]:
    """Return the decoded pictures' times, s."""
    with av.open(str(path)) as container:
        return [float(frame.time or 0.0) for frame in container.decode(video=0)]
