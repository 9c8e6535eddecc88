"""The packets of recorded files, one file after the other, on one clock."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from streams.sinks.record.segment import Segment
from streams.sinks.sealed.files import Unreadable, open_to_read

TICKS_PER_S = 90_000
TIME_BASE = Fraction(1, TICKS_PER_S)
_USUAL_REORDER = 2


def recorded_packets(
    path: Path, segment: Segment, secret_keys: Sequence[bytes] = ()
) -> Generator[tuple[PacketFormat, Packet]]:
    """Yield what a recorded file has, in the order of decoding, as far as it is whole.

    Time stamps count in 1/90000 s from its first picture on.

    Args:
        path: of the file, also one that is still being written.
        segment: what is known of it.
        secret_keys: to open a sealed one.

    Raises:
        Unreadable: if it is gone or damaged, also after some packets.
        SourceError: if it needs a key, or none of the keys fits.
    """
    with closing(open_to_read(path, secret_keys)) as file:
        try:
            yield from _packets_in(file, segment)
        except (av.FFmpegError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Unreadable(f"{path} cannot be read: {reason}") from error


def packets_between(
    segments: Sequence[tuple[Path, Segment]], from_ns: int, to_ns: int, secret_keys: Sequence[bytes] = ()
) -> Generator[tuple[PacketFormat, Packet]]:
    """Yield what several files of one connection have of a range, from the key frame before it on.

    It ends where the format changes. Time stamps go on over the files, by media time.

    Args:
        segments: by time, with their files.
        from_ns: UTC.
        to_ns: UTC; the first picture at or after it is the last.
        secret_keys: to open sealed ones.

    Raises:
        SourceError: as `recorded_packets`.
    """
    early: list[Packet] = []
    known: PacketFormat | None = None
    number = 0
    for path, segment in segments:
        with closing(recorded_packets(path, segment, secret_keys)) as packets:
            for form, packet in packets:
                if known is not None and kind_of(known) != kind_of(form):
                    return
                known = known or form
                if packet.is_key and packet.moment.time_ns <= from_ns:
                    early.clear()
                early.append(packet)
                if packet.moment.time_ns < from_ns:
                    continue
                for ready in early:
                    pts = round(ready.moment.pts_s * TICKS_PER_S)
                    dts = None if ready.dts is None else pts - (ready.pts - ready.dts)
                    yield known, replace(ready, run=known.run, sequence=number, pts=pts, dts=dts)
                    number += 1
                early.clear()
                if packet.moment.time_ns >= to_ns:
                    return


def kind_of(form: PacketFormat) -> tuple[object, ...]:
    """Return what must be the same for packets of one file."""
    return form.codec, form.width, form.height, form.extradata, form.rotation_deg


def _packets_in(file: BinaryIO, segment: Segment) -> Iterator[tuple[PacketFormat, Packet]]:
    with av.open(file, "r") as container:
        track = container.streams.video[0]
        scale = (track.time_base or TIME_BASE) * TICKS_PER_S
        clock = Clock(segment.clock) if segment.clock else Clock.FILE
        form: PacketFormat | None = None
        first = number = 0
        for read in container.demux(track):
            if read.is_corrupt:  # torn: what follows is not there
                return
            if not read.size or read.pts is None:
                continue
            if form is None:
                first, form = read.pts, _form_of(track, segment, read)
            pts = round((read.pts - first) * scale)
            seconds = pts / TICKS_PER_S
            packet = Packet(
                stream=segment.stream,
                run=form.run,
                sequence=number,
                data=bytes(read),
                pts=pts,
                dts=None if read.dts is None else round((read.dts - first) * scale),
                duration=round((read.duration or 0) * scale),
                is_key=read.is_keyframe,
                moment=Moment(
                    segment.start_s + seconds, segment.start_ns + round(seconds * 1e9), clock, None
                ),
            )
            yield form, packet
            number += 1


def _form_of(track: VideoStream, segment: Segment, first: av.Packet[VideoStream]) -> PacketFormat:
    codec = track.codec_context
    return PacketFormat(
        stream=segment.stream,
        run=segment.run or segment.path,
        codec=codec.codec.canonical_name,
        width=codec.width,
        height=codec.height,
        time_base=TIME_BASE,
        extradata=bytes(codec.extradata or b""),
        rotation_deg=_turn(codec, first),
        reorder=_USUAL_REORDER if codec.has_b_frames else 0,
    )


def _turn(codec: VideoCodecContext, first: av.Packet[VideoStream]) -> int:
    """Return by how many degrees clockwise the pictures are to be turned; only decoded ones tell."""
    frames = [*codec.decode(first), *codec.decode(None)]
    return -frames[0].rotation % 360 if frames else 0
