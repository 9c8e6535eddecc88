"""Coded pictures of real encoders, as a camera would make them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Literal

import av
from av.bitstream import BitStreamFilterContext

from tests.servers.footage import picture

Codec = Literal["h264", "hevc"]
PICTURES = 70

ENCODERS: dict[str, Mapping[str, str]] = {
    "camera": {"preset": "ultrafast", "tune": "zerolatency"},
    "one slice": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "sliced-threads=0:slices=1"},
    "slices": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "sliced-threads=0:slices=4"},
    "B pictures": {"preset": "medium"},
    "pyramid": {"preset": "medium", "x264-params": "bframes=3:b-pyramid=normal"},
    "open GOP": {"preset": "medium", "x264-params": "open-gop=1:bframes=2"},
    "refresh": {"preset": "fast", "x264-params": "intra-refresh=1:bframes=0"},
    "interlaced": {"preset": "fast", "x264-params": "tff=1:bframes=0"},
    "4:4:4 lists": {"preset": "fast", "x264-params": "cqm=jvt"},
}


def coded(
    options: Mapping[str, str], *, byte_stream: bool, codec: Codec = "h264", pictures: int = PICTURES
) -> tuple[bytes | None, list[bytes]]:
    """Return extradata and pictures in the order of coding."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream({"h264": "libx264", "hevc": "libx265"}[codec], rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 160, 128, "yuv420p", 20
        stream.options = dict(options)
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(picture(number, 160, 128), format="bgr24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        if not byte_stream:
            return video.codec_context.extradata, [bytes(packet) for packet in packets]
        start_codes = BitStreamFilterContext(f"{codec}_mp4toannexb", video)
        return None, [bytes(part) for packet in packets for part in start_codes.filter(packet)]
