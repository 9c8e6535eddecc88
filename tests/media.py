"""Small videos made by the tests themselves."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE_HZ = 320, 240, 20


def write_crossing_video(path: Path, frames: int = 80, codec: str = "libx264") -> Path:
    """Write a clip of a bright square that moves down through the middle of a noisy street; 1 crossing."""
    rng = np.random.default_rng(7)
    street = rng.integers(70, 110, (HEIGHT, WIDTH, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = RATE_HZ
        stream.thread_count = 2  # x264 lays B frames by it: the same whatever cores there are
        for index in range(frames):
            picture = street.copy()
            top = round(-60 + (HEIGHT + 80) * (index - 15) / (frames - 25)) if index >= 15 else -100
            picture[max(0, top) : max(0, top + 50), 140:190] = (40, 200, 220)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
