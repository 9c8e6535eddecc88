"""Coded pictures on their way from a source to whoever copies them: recorders, re-streamers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from pipeline.moment import Moment


@dataclass(frozen=True, slots=True)
class PacketFormat:
    """What a muxer must know before the first packet of a connection.

    Attributes:
        stream: name of the stream.
        run: id of the uninterrupted run that the packets belong to, see `Frame.run`.
        codec: FFmpeg's name ("h264", "hevc", "mjpeg").
        width: as coded, px; before any turn.
        height: as coded, px.
        time_base: seconds per tick of the packets' `pts` and `dts`.
        extradata: parameter sets as the source has them: an `avcC` or `hvcC` record (ISO/IEC 14496-15) from
            files, units with start codes (H.264 and H.265, annex B) or nothing from cameras, which then
            send them with each key frame.
        live: whether packets come at their own pace.
        rotation_deg: clockwise turn that makes the picture upright.
        reorder: how many pictures may be decoded before one that is shown earlier (B frames), as far as the
            source knows.
    """

    stream: str
    run: str
    codec: str
    width: int
    height: int
    time_base: Fraction
    extradata: bytes = b""
    live: bool = False
    rotation_deg: int = 0
    reorder: int = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """One coded picture, in the order of decoding.

    Attributes:
        stream: name of the stream.
        run: of the format it belongs to.
        sequence: number of the packet within the run, from 0; a jump means that packets were lost between
            the source and here.
        data: as the source delivered it.
        pts: when it is shown, ticks of the format's time base.
        dts: when it is decoded; None where the source does not tell (RTP).
        duration: ticks, 0 when unknown.
        is_key: whether decoding can begin with it.
        moment: both clocks at `pts`, the same as those of the frame it becomes.
    """

    stream: str
    run: str
    sequence: int
    data: bytes
    pts: int
    dts: int | None
    duration: int
    is_key: bool
    moment: Moment


class Tap(Protocol):
    """Where a source lays down a copy of each packet that it reads; never raises."""

    def begin(self, form: PacketFormat) -> None:
        """Tell what the packets that follow are; whatever came before is over."""

    def put(self, data: bytes, *, pts: int, dts: int | None, duration: int, is_key: bool) -> None:
        """Lay down a packet. For recordings it waits until those who want all of them have room."""
