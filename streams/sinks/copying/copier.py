"""Copies the packets of one stream into a container."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer

from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.decode_times import DecodeTimes
from streams.sinks.copying.template import template_of


class Copier:
    """Writes packets into a container as they are. Used by one thread.

    What FFmpeg and the operating system raise (`av.FFmpegError`, `OSError`) is passed on: only the caller
    knows what the target is, and what to advise.

    Attributes:
        time_base: of the packets, seconds a tick.
        origin: ticks that are time 0 in the container; None before the first packet.

    Args:
        target: path, URL or writable binary file.
        form: of the packets.
        container: FFmpeg's name of the muxer ("mp4", "matroska", "mpegts", "flv", "rtsp").
        options: of the muxer.
        metadata: what the container says of itself, e.g. `title`; FFmpeg's names.
        origin: ticks that become time 0; by default when the first packet is shown.
        timeout_s: for opening and writing on a network, None for none.
        retelling: tell the muxer the parameter sets of each key frame (H.264 and H.265 with start codes), as
            they may be others than those of the format; FLV and RTMP need to be told.

    Raises:
        SinkError: if the codec cannot be copied.
    """

    def __init__(
        self,
        target: str | Path | Any,
        form: PacketFormat,
        *,
        container: str,
        options: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        origin: int | None = None,
        timeout_s: float | None = None,
        retelling: bool = False,
    ) -> None:
        self.time_base: Fraction = form.time_base
        self.origin = origin
        self._times = DecodeTimes(form.reorder)
        self._last_pts: int | None = None
        self._step = 0
        holder, template = template_of(form)
        try:
            self._container: OutputContainer = av.open(
                str(target) if isinstance(target, Path) else target,
                "w",
                format=container,
                options=dict(options or {}),
                timeout=timeout_s,
            )
            try:
                self._container.metadata.update(metadata or {})
                self._track = self._container.add_stream_from_template(template, opaque=True)
                self._track.time_base = form.time_base
                self._retelling = (
                    BitStreamFilterContext("extract_extradata", template)
                    if retelling and form.codec in ("h264", "hevc")
                    else None
                )
                if form.rotation_deg:
                    self._track.set_display_rotation(-form.rotation_deg)
            except BaseException:
                self._container.close()
                raise
        finally:
            holder.close()

    def write(self, packet: Packet) -> None:
        """Write a packet, in the order of decoding."""
        step = packet.duration
        if not step and self._last_pts is not None:
            step = self._step or abs(packet.pts - self._last_pts)
        self._last_pts, self._step = packet.pts, step
        pts, dts = self._times.place(packet.pts, packet.dts, step)
        if self.origin is None:
            self.origin = pts
        # In FFmpeg's memory: what is Python's is freed with Python's lock, for which a muxer's own thread
        # (`fifo`) would wait for ever while `close`, which has the lock, waits for the thread.
        copy = av.Packet(len(packet.data))
        copy.update(packet.data)
        if self._retelling and packet.is_key:
            (copy,) = self._retelling.filter(copy)
        copy.stream = self._track
        copy.time_base = self.time_base
        copy.pts, copy.dts = pts - self.origin, dts - self.origin
        copy.duration = step  # without one MP4's edit list would cut off the last picture
        copy.is_keyframe = packet.is_key
        self._container.mux_one(copy)

    def close(self) -> None:
        """Write the end of the container; safe more than once."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
