"""Packets as streaming wants them: with start codes, and the parameter sets in every key frame."""

from __future__ import annotations

from dataclasses import replace

import av
from av.bitstream import BitStreamFilterContext

from pipeline.errors import SinkError
from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.template import template_of

_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
_IS_RECORD = 1
"""First byte of `avcC` and `hvcC` records (ISO/IEC 14496-15); with start codes it is 0."""


class AnnexB:
    """Turns the packets of one format into such, in order; those of other codecs stay as they are.

    Files have lengths instead of start codes, and the parameter sets elsewhere; some cameras tell them only
    when a connection is set up. A player that joins later, or after a stand-in, needs them in the stream.

    Attributes:
        form: of the packets that it gives; its `extradata` are the latest parameter sets that came by.

    Args:
        form: of the packets that come.

    Raises:
        SinkError: if FFmpeg does not take the format.
    """

    def __init__(self, form: PacketFormat) -> None:
        self.form = form
        self._is_filtered = form.codec in _FILTERS
        self._to_start_codes: BitStreamFilterContext | None = None
        if not self._is_filtered:
            return
        self._holder, track = template_of(form)
        try:
            if form.extradata[:1] == bytes([_IS_RECORD]):
                self._to_start_codes = BitStreamFilterContext(_FILTERS[form.codec], track)
            self._extract = BitStreamFilterContext("extract_extradata", track)
        except av.FFmpegError as error:
            raise SinkError(
                f"stream '{form.stream}': FFmpeg does not take its format ({form.codec}): {error.strerror}"
            ) from error
        self._outside = b"" if self._to_start_codes else form.extradata

    def converted(self, packet: Packet) -> Packet:
        """Return a packet with start codes; one of a key frame with its parameter sets.

        Raises:
            SinkError: if it is damaged.
        """
        if not self._is_filtered:
            return packet
        data = packet.data
        try:
            if self._to_start_codes:
                data = _through(self._to_start_codes, data, is_key=packet.is_key)
            if packet.is_key:
                data = self._with_parameters(data)
        except (av.FFmpegError, ValueError) as error:
            reason = error.strerror if isinstance(error, av.FFmpegError) else error
            raise SinkError(f"stream '{packet.stream}': a packet is damaged ({reason})") from error
        return packet if data is packet.data else replace(packet, data=data)

    def _with_parameters(self, data: bytes) -> bytes:
        inside = _parameters(self._extract, data)
        if not inside:
            data, inside = self._outside + data, self._outside
        if inside != self.form.extradata:
            self.form = replace(self.form, extradata=inside)
        return data


def _through(way: BitStreamFilterContext, data: bytes, *, is_key: bool) -> bytes:
    given = av.Packet(data)
    given.is_keyframe = is_key
    return b"".join(bytes(packet) for packet in way.filter(given))


def _parameters(way: BitStreamFilterContext, data: bytes) -> bytes:
    given = av.Packet(data)
    given.is_keyframe = True
    for packet in way.filter(given):
        if packet.has_sidedata("new_extradata"):
            return bytes(packet.get_sidedata("new_extradata"))
    return b""
