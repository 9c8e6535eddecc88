"""Pictures to coded packets at once, for who streams them on: no picture waits for a later one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from pipeline.errors import SinkError
from pipeline.moment import Moment
from pipeline.packet import Packet, PacketFormat
from pipeline.picture import U8Array

TICKS_PER_S = 90_000
TIME_BASE = Fraction(1, TICKS_PER_S)
_BT601 = 6  # AVCOL_SPC_SMPTE170M, what OpenCV's conversion makes
_MPEG_RANGE = 1  # AVCOL_RANGE_MPEG, 16..235
_THREADS = "2"
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_SMALLEST = 16
_JITTER_S = 0.0005
"""By which a picture may come before its time: the jitter of a camera's clock must not halve the rate."""

Codec = Literal["h264", "hevc"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures are encoded.

    Attributes:
        codec: "h264" or "hevc".
        bitrate_kbps: mean bit rate, kept over each second; None for a constant quality whatever it takes.
        crf: that quality, 0 (lossless) to 51; not used with a bit rate.
        preset: effort of x264 and x265.
        keyframe_s: media time between key frames, s. A viewer that comes waits as long.
        rate_hz: how many pictures a second are expected. Only the bit rate depends on it: it is met as far
            as they come at this rate.
    """

    codec: Codec = "h264"
    bitrate_kbps: int | None = None
    crf: int = 23
    preset: Preset = "superfast"
    keyframe_s: float = 2.0
    rate_hz: float = 25.0


class Encoder:
    """Encodes the pictures of one stream; each becomes a packet at once. Used by one thread.

    A packet holds what H.264 and H.265 call an access unit, with start codes (annex B); key frames begin
    with the parameter sets, so that a viewer can join at each. It is shown when it is decoded (no B frames).

    Attributes:
        form: of the packets; the width and height are even.

    Args:
        stream: name of the stream.
        run: of the packets.
        width: of the coded picture, px; an odd one is made even by a pixel less.
        height: likewise.
        encoding: how.

    Raises:
        SinkError: if the encoder refuses, with what it was asked for.
    """

    def __init__(self, stream: str, run: str, width: int, height: int, encoding: Encoding) -> None:
        self._encoding = encoding
        self._size = (max(_SMALLEST, width - width % 2), max(_SMALLEST, height - height % 2))
        self._key_ticks = round(encoding.keyframe_s * TICKS_PER_S)
        self._next_key: int | None = None
        self._last: int | None = None
        self._sequence = 0
        try:
            self._codec = _codec(*self._size, encoding)
        except (av.FFmpegError, ValueError) as error:
            reason = error.strerror if isinstance(error, av.FFmpegError) else error
            raise SinkError(
                f"stream '{stream}': the encoder {_ENCODERS[encoding.codec]} does not take pictures of "
                f"{self._size[0]} x {self._size[1]} px with these settings: {reason}"
            ) from error
        self._heads = bytes(self._codec.extradata or b"")
        self.form = PacketFormat(
            stream, run, encoding.codec, *self._size, TIME_BASE, extradata=self._heads, live=True
        )

    def encode(self, bgr: U8Array, moment: Moment, *, key: bool = False) -> Packet:
        """Return a picture as a packet.

        Args:
            bgr: (H, W, 3) uint8; where its size is another it is fitted in, with black bars if need be.
            moment: when it was taken; its media time is after that of the picture before.
            key: make it a key frame, also where none is due.

        Raises:
            SinkError: if media time does not go on, or the encoder fails.
        """
        ticks = round(moment.pts_s * TICKS_PER_S)
        if self._last is not None and ticks <= self._last:
            raise SinkError(
                f"stream '{self.form.stream}': cannot go on encoding: media time went from "
                f"{self._last / TICKS_PER_S:.6f} to {moment.pts_s:.6f} s"
            )
        picture = av.VideoFrame.from_ndarray(yuv420(fitted(bgr, *self._size)), format="yuv420p")
        picture.pts, picture.time_base = ticks, TIME_BASE
        picture.colorspace, picture.color_range = _BT601, _MPEG_RANGE
        if key or self._next_key is None or ticks >= self._next_key:
            picture.pict_type = PictureType.I
            self._next_key = ticks + self._key_ticks
        try:
            (packet,) = self._codec.encode(picture)
        except (av.FFmpegError, ValueError) as error:
            raise SinkError(f"stream '{self.form.stream}': cannot encode a picture: {error}") from error
        duration = 0 if self._last is None else ticks - self._last
        self._last = ticks
        self._sequence += 1
        data = bytes(packet)
        return Packet(
            stream=self.form.stream,
            run=self.form.run,
            sequence=self._sequence - 1,
            data=self._heads + data if packet.is_keyframe else data,
            pts=ticks,
            dts=ticks,
            duration=duration,
            is_key=packet.is_keyframe,
            moment=moment,
        )


def scaled(width: int, height: int, most: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size, even, of a picture that is made smaller to fit, in its own proportions.

    Args:
        width: px.
        height: px.
        most: (width, height) px that it may have; None for as it is. It never becomes larger.
    """
    factor = 1.0 if most is None else min(1.0, most[0] / width, most[1] / height)
    return _even(width * factor), _even(height * factor)


def fitted(bgr: U8Array, width: int, height: int) -> U8Array:
    """Return a picture in another size, (height, width, 3) uint8, in its own proportions, the rest black."""
    rows, columns = bgr.shape[:2]
    if (columns, rows) == (width, height):
        return bgr
    if rows - rows % 2 == height and columns - columns % 2 == width:  # odd sides lose a pixel
        return np.ascontiguousarray(bgr[:height, :width])
    factor = min(width / columns, height / rows)
    inner = (min(width, max(1, round(columns * factor))), min(height, max(1, round(rows * factor))))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(bgr, inner, interpolation=method), dtype=np.uint8)
    if inner == (width, height):
        return small
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = small
    return canvas


def yuv420(bgr: U8Array) -> U8Array:
    """Return (3 * H / 2, W) uint8 planar 4:2:0 in BT.601, 16..235, of a picture with even sides.

    Sixteen times as fast as swscale.
    """
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)


class Pace:
    """Lets through so many pictures a second of media time, evenly.

    Args:
        rate_hz: most pictures a second; None for all.
    """

    def __init__(self, rate_hz: float | None) -> None:
        self._step_s = None if rate_hz is None else 1.0 / rate_hz
        self._next_s = -math.inf

    def takes(self, pts_s: float) -> bool:
        """Whether the picture of this media time is one of them."""
        if self._step_s is None:
            return True
        late_s = pts_s - self._next_s
        if -2 * self._step_s < late_s < -_JITTER_S:
            return False
        # In step the mean rate is kept exactly; at first, after a break or a jump, it begins here.
        self._next_s = (self._next_s if abs(late_s) < self._step_s else pts_s) + self._step_s
        return True


def _even(length: float) -> int:
    return max(_SMALLEST, 2 * round(length / 2))


def _codec(width: int, height: int, encoding: Encoding) -> VideoCodecContext:
    name = _ENCODERS[encoding.codec]
    codec = cast("VideoCodecContext", av.CodecContext.create(name, "w"))
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = TIME_BASE
    # Without a delay the encoders cannot know how long a picture is shown: they take this rate for it.
    codec.framerate = Fraction(encoding.rate_hz).limit_denominator(1001)
    codec.gop_size = 1_000_000  # key frames are placed by media time
    codec.colorspace, codec.color_range = _BT601, _MPEG_RANGE
    codec.flags |= Flags.global_header
    options = {"preset": encoding.preset, "tune": "zerolatency", "bf": "0", "forced-idr": "1"}
    if encoding.bitrate_kbps is None:
        options["crf"] = str(encoding.crf)
    else:
        codec.bit_rate = encoding.bitrate_kbps * 1000
        options["maxrate"] = options["bufsize"] = str(encoding.bitrate_kbps * 1000)
    if encoding.codec == "h264":
        options["threads"] = _THREADS
    else:
        options["x265-params"] = f"pools={_THREADS}:frame-threads=1:log-level=none:info=0"
    codec.options = options
    codec.open()
    return codec
