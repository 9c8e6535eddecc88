"""Packets and pieces for the tests of live pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from streams.sinks.encoder import Encoder, Encoding
from streams.sinks.live.hls.muxer import Head, HlsMuxer, Piece
from streams.sinks.live.programme import Listener

RATE_HZ = 25


class Heard(Listener):
    """A listener that remembers."""

    def __init__(self) -> None:
        self.forms: list[PacketFormat] = []
        self.packets: list[Packet] = []
        self.times: list[float] = []
        self.finished = 0

    def begin(self, form: PacketFormat) -> None:
        self.forms.append(form)

    def put(self, packet: Packet, time_s: float) -> None:
        self.packets.append(packet)
        self.times.append(time_s)

    def finish(self) -> None:
        self.finished += 1


class FakeClock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def a_form(**changes: object) -> PacketFormat:
    """A format without content."""
    form = PacketFormat("gate", "run-1", "h264", 64, 64, Fraction(1, 90_000), live=True)
    return replace(form, **changes)  # type: ignore[arg-type]


def a_packet(number: int, *, key: bool = False, pts_s: float | None = None, size: int = 10) -> Packet:
    """A packet without pictures in it."""
    time_s = number / RATE_HZ if pts_s is None else pts_s
    ticks = round(time_s * 90_000)
    moment = Moment(time_s, 10**18 + round(time_s * 1e9), Clock.ARRIVAL)
    return Packet("gate", "run-1", number, b"x" * size, ticks, ticks, 3600, key, moment)


def coded(
    pictures: int, *, width: int = 320, height: int = 240, key_s: float = 1.0
) -> tuple[PacketFormat, list[Packet]]:
    """Encode pictures of a brightness that rises."""
    encoder = Encoder("gate", "run-1", width, height, Encoding(keyframe_s=key_s))
    packets = []
    for number in range(pictures):
        bgr = np.full((height, width, 3), 40 + 2 * number % 200, np.uint8)
        moment = Moment(number / RATE_HZ, 10**18 + number * 10**9 // RATE_HZ, Clock.ARRIVAL)
        packets.append(encoder.encode(bgr, moment))
    return encoder.form, packets


def muxed(form: PacketFormat, packets: Sequence[Packet], begins_s: float = 1.0) -> tuple[Head, list[Piece]]:
    """Return what the muxer makes of packets."""
    made: list[Head | Piece] = []
    muxer = HlsMuxer(made.append)
    muxer.begin(form)
    first = packets[0].moment.pts_s
    for packet in packets:
        muxer.put(packet, begins_s + packet.moment.pts_s - first)
    muxer.finish()
    head, *pieces = made
    assert isinstance(head, Head)
    assert all(isinstance(piece, Piece) for piece in pieces)
    return head, [piece for piece in pieces if isinstance(piece, Piece)]


def written(path: Path, head: Head, pieces: Sequence[bytes]) -> Path:
    """Write a head and pieces as one file."""
    path.write_bytes(b"".join([head.data, *pieces]))
    return path
