"""Parameter sets of H.264 and H.265, for containers whose head must have them."""

from __future__ import annotations

from dataclasses import replace

import av
from av.bitstream import BitStreamFilterContext

from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.template import template_of

_CODECS = ("h264", "hevc")


def with_parameters(form: PacketFormat, key: Packet) -> PacketFormat:
    """Return a format that has parameter sets: its own, else those of a key frame, with start codes.

    Cameras need not tell them before their first key frame. Fragmented MP4 finds them there itself, when its
    head is written late; Matroska's is written before.

    Raises:
        SinkError: if the codec cannot be copied.
    """
    if form.extradata or form.codec not in _CODECS:
        return form
    holder, track = template_of(form)
    try:
        way = BitStreamFilterContext("extract_extradata", track)
        given = av.Packet(key.data)
        given.is_keyframe = True
        for packet in way.filter(given):
            if packet.has_sidedata("new_extradata"):
                return replace(form, extradata=bytes(packet.get_sidedata("new_extradata")))
    finally:
        holder.close()
    return form
