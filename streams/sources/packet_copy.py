"""Lays down a copy of a track's packets while it is decoded, for those who want them as they are."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from pipeline.packet import PacketFormat, Tap

MICROSECOND = Fraction(1, 1_000_000)
_MOST_HELD = 256
_USUAL_REORDER = 2
"""FFmpeg tells that there are B frames, not how deep; with x264 and most cameras it is 1 or 2."""


class PacketCopy:
    """What a connection's packets go through on their way to a tap; used by the reading thread.

    The format is known once the first picture is; the packets up to there wait.

    Args:
        tap: where they go; None for nowhere.
        tells_dts: whether the packets' decoding times mean anything.
    """

    def __init__(self, tap: Tap | None, *, tells_dts: bool = True) -> None:
        self._tap = tap
        self._tells_dts = tells_dts
        self._is_begun = False
        self._timeless = False
        self._held: deque[tuple[Packet[Stream], float]] = deque(maxlen=_MOST_HELD)

    def begin(
        self,
        track: VideoStream,
        *,
        stream: str,
        run: str,
        live: bool,
        rotation_deg: int,
        timeless: bool = False,
    ) -> None:
        """Tell the format, then lay down what has waited.

        Args:
            track: whose packets they are.
            stream: name of the stream.
            run: its run.
            live: whether they come at their own pace.
            rotation_deg: clockwise turn that makes the picture upright.
            timeless: their time stamps mean nothing; when they arrived counts, in microseconds.
        """
        if self._tap is None:
            return
        codec = track.codec_context
        self._timeless = timeless
        time_base = MICROSECOND if timeless else (track.time_base or MICROSECOND)
        self._tap.begin(
            PacketFormat(
                stream=stream,
                run=run,
                codec=codec.codec.canonical_name,
                width=codec.width,
                height=codec.height,
                time_base=time_base,
                extradata=bytes(codec.extradata or b""),
                live=live,
                rotation_deg=rotation_deg,
                reorder=_USUAL_REORDER if codec.has_b_frames else 0,
            )
        )
        self._is_begun = True
        while self._held:
            self._put(self._tap, *self._held.popleft())

    def take(self, packet: Packet[Stream], arrived_s: float) -> None:
        """Take a packet of the track.

        Args:
            packet: with data.
            arrived_s: when it came, monotonic seconds.
        """
        if self._tap is None:
            return
        if self._is_begun:
            self._put(self._tap, packet, arrived_s)
        else:
            self._held.append((packet, arrived_s))

    def _put(self, tap: Tap, packet: Packet[Stream], arrived_s: float) -> None:
        if self._timeless:
            pts, dts, duration = round(arrived_s * 1e6), None, 0
        elif packet.pts is not None:
            dts = packet.dts if self._tells_dts else None
            pts, duration = packet.pts, packet.duration or 0
        elif packet.dts is not None:  # AVI tells decoding times only
            pts, dts, duration = packet.dts, packet.dts, packet.duration or 0
        else:
            return
        tap.put(bytes(packet), pts=pts, dts=dts, duration=duration, is_key=packet.is_keyframe)
