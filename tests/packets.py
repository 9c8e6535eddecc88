"""Packets of a file as a source lays them down, for tests of what copies them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import av

from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat


def packets_of(
    path: Path,
    stream: str = "gate",
    *,
    run: str = "run-1",
    live: bool = False,
    start_s: float = 0.0,
    start_ns: int = 1_800_000_000_000_000_000,
) -> tuple[PacketFormat, list[Packet]]:
    """Return the format and all packets of the video track of a file.

    Args:
        path: any container.
        stream: name of the stream.
        run: id of the run.
        live: whether they shall look like a camera's.
        start_s: media time of the first packet.
        start_ns: its UTC.
    """
    with av.open(path) as container:
        track = container.streams.video[0]
        assert track.time_base is not None
        codec = track.codec_context
        form = PacketFormat(
            stream=stream,
            run=run,
            codec=codec.name,
            width=track.width,
            height=track.height,
            time_base=track.time_base,
            extradata=bytes(codec.extradata or b""),
            live=live,
        )
        found = [packet for packet in container.demux(track) if packet.size]
        first = min(packet.pts or 0 for packet in found)
        packets = []
        for number, packet in enumerate(found):
            pts = packet.pts or 0
            media_s = float((pts - first) * track.time_base)
            clock = Clock.ARRIVAL if live else Clock.FILE
            moment = Moment(start_s + media_s, start_ns + round(media_s * 1e9), clock)
            packets.append(
                Packet(
                    stream=stream,
                    run=run,
                    sequence=number,
                    data=bytes(packet),
                    pts=pts,
                    dts=packet.dts,
                    duration=packet.duration or 0,
                    is_key=packet.is_keyframe,
                    moment=moment,
                )
            )
    return form, packets


def without_decode_times(packets: Iterable[Packet]) -> list[Packet]:
    """Return the packets as RTP brings them."""
    return [replace(packet, dts=None) for packet in packets]


def hashes(packets: Sequence[Packet]) -> list[str]:
    """Return what tells each packet's bytes."""
    return [_hash(packet.data) for packet in packets]


def hashes_in(path: Path) -> list[str]:
    """Return the same of the video packets in a file."""
    with av.open(path) as container:
        return [_hash(bytes(packet)) for packet in container.demux(video=0) if packet.size]


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def leapt(form: PacketFormat, packets: Sequence[Packet], begin: int, seconds: float) -> list[Packet]:
    """Return packets whose time stamps leap from one on, as a camera's that sets its clock; media goes on."""
    ticks = round(seconds / form.time_base)
    moved = [
        replace(packet, pts=packet.pts + ticks, dts=None if packet.dts is None else packet.dts + ticks)
        for packet in packets[begin:]
    ]
    return [*packets[:begin], *moved]
