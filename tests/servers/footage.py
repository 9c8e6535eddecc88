"""Encoded test pictures for the servers, made here: transport streams, segments, MP4 files, JPEG."""

from __future__ import annotations

import io
from collections.abc import Mapping

import av
import cv2
import numpy as np

from pipeline.picture import U8Array

WIDTH, HEIGHT = 160, 120


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> U8Array:
    """Return picture `number` of a bright square that wanders over a ramp, (height, width, 3) uint8 BGR."""
    ramp = np.linspace(30, 120, width, dtype=np.uint8)
    canvas = np.repeat(np.tile(ramp, (height, 1))[..., None], 3, axis=2)
    left, top = number * 3 % (width - 24), number * 2 % (height - 24)
    canvas[top : top + 24, left : left + 24] = (60, 200, 240)
    return canvas


def encoded(
    pictures: int,
    container: str = "mpegts",
    *,
    codec: str = "libx264",
    rate: int = 25,
    key_every: int = 25,
    width: int = WIDTH,
    height: int = HEIGHT,
    first: int = 0,
    options: Mapping[str, str] | None = None,
    b_frames: bool = False,
) -> bytes:
    """Return a video in an FFmpeg container format, from time `first` / `rate`, with B frames on demand."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=dict(options or {})) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = key_every
        stream.thread_count = 1
        if codec == "libx264":
            live = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "scenecut=0"}
            stream.options = {"preset": "medium"} if b_frames else live
        for number in range(first, first + pictures):
            frame = av.VideoFrame.from_ndarray(picture(number, width, height), format="bgr24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def segments(count: int, *, rate: int = 25) -> list[bytes]:
    """Return HLS segments (MPEG-TS) of one second each, with times that go on from one to the next."""
    options = {"mpegts_copyts": "1"}
    return [encoded(rate, rate=rate, key_every=rate, first=k * rate, options=options) for k in range(count)]


def jpegs(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[bytes]:
    """Return JPEG pictures."""
    return [cv2.imencode(".jpg", picture(number, width, height))[1].tobytes() for number in range(count)]
