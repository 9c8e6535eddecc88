"""A packet format as FFmpeg's parameters, for muxers of packets whose source is elsewhere.

PyAV lets a muxer take over the parameters of an input only, and an input needs a file. The smallest one that
holds all that a `PacketFormat` has is the head of a Matroska file (RFC 9559), whose `CodecPrivate` FFmpeg
hands on as it is. It is made and read in memory.
"""

from __future__ import annotations

import io

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.errors import SinkError
from pipeline.packet import PacketFormat

_CODEC_IDS = {
    "h264": "V_MPEG4/ISO/AVC",
    "hevc": "V_MPEGH/ISO/HEVC",
    "av1": "V_AV1",
    "vp8": "V_VP8",
    "vp9": "V_VP9",
    "mjpeg": "V_MJPEG",
    "mpeg4": "V_MPEG4/ISO/ASP",
    "mpeg2video": "V_MPEG2",
    "mpeg1video": "V_MPEG1",
    "theora": "V_THEORA",
    "prores": "V_PRORES",
}
# Element ids of EBML (RFC 8794) and Matroska (RFC 9559).
_EBML, _VERSION, _READ_VERSION, _ID_LENGTH, _SIZE_LENGTH = "1A45DFA3", "4286", "42F7", "42F2", "42F3"
_DOC_TYPE, _DOC_VERSION, _DOC_READ_VERSION = "4282", "4287", "4285"
_SEGMENT, _INFO, _TICK_NS, _MUXER, _WRITER = "18538067", "1549A966", "2AD7B1", "4D80", "5741"
_TRACKS, _TRACK, _NUMBER, _UID, _TYPE, _CODEC_ID, _PRIVATE = (
    "1654AE6B",
    "AE",
    "D7",
    "73C5",
    "83",
    "86",
    "63A2",
)
_VIDEO, _WIDTH, _HEIGHT, _CLUSTER, _CLUSTER_TIME = "E0", "B0", "BA", "1F43B675", "E7"
_IS_VIDEO = 1


def template_of(form: PacketFormat) -> tuple[InputContainer, VideoStream]:
    """Return a track with the parameters of a format, and what holds it: close that when done.

    Raises:
        SinkError: if the codec cannot be copied.
    """
    if form.codec not in _CODEC_IDS:
        raise SinkError(
            f"stream '{form.stream}': video of the codec {form.codec} cannot be copied; "
            f"those that can: {', '.join(_CODEC_IDS)}"
        )
    try:
        container = av.open(io.BytesIO(_head(form)), "r", format="matroska")
    except av.FFmpegError as error:
        raise SinkError(
            f"stream '{form.stream}': FFmpeg does not take its format ({form.codec}, "
            f"{form.width} x {form.height} px): {error.strerror}"
        ) from error
    return container, container.streams.video[0]


def _head(form: PacketFormat) -> bytes:
    video = _element(_VIDEO, _number(_WIDTH, form.width) + _number(_HEIGHT, form.height))
    private = _element(_PRIVATE, form.extradata) if form.extradata else b""
    track = b"".join(
        [
            _number(_NUMBER, 1),
            _number(_UID, 1),
            _number(_TYPE, _IS_VIDEO),
            _element(_CODEC_ID, _CODEC_IDS[form.codec].encode()),
            private,
            video,
        ]
    )
    ebml = b"".join(
        [
            _number(_VERSION, 1),
            _number(_READ_VERSION, 1),
            _number(_ID_LENGTH, 4),
            _number(_SIZE_LENGTH, 8),
            _element(_DOC_TYPE, b"matroska"),
            _number(_DOC_VERSION, 4),
            _number(_DOC_READ_VERSION, 2),
        ]
    )
    info = _number(_TICK_NS, 1_000_000) + _element(_MUXER, b"sightline") + _element(_WRITER, b"sightline")
    tracks = _element(_TRACKS, _element(_TRACK, track))
    # Without a cluster FFmpeg takes the file for cut off.
    cluster = _element(_CLUSTER, _number(_CLUSTER_TIME, 0))
    return _element(_EBML, ebml) + _element(_SEGMENT, _element(_INFO, info) + tracks + cluster)


def _element(name: str, data: bytes) -> bytes:
    """Return an element with its size in eight bytes (RFC 8794, 6)."""
    return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8, "big") + data


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
