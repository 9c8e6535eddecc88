"""Reads the pretended camera in a process of its own, and prints what happened as JSON: `MODE PATH`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import SourceError
from pipeline.frame import Frame
from streams.sources.webcam import ffmpeg
from streams.sources.webcam.source import WebcamOptions, WebcamSource
from streams.sources.webcam.v4l2 import descriptors_of

path = Path(sys.argv[2])


def camera(**options: Any) -> WebcamSource:
    return WebcamSource(f"webcam://{path}", WebcamOptions(**options), "desk", devices=list)


def tell(what: str) -> None:
    Path(f"{path}.{what}").touch()


def failure(act: Callable[[], object]) -> dict[str, str]:
    try:
        act()
    except SourceError as error:
        return {"reason": error.reason.name, "message": str(error)}
    return {}


def taken(source: WebcamSource, count: int) -> list[Frame]:
    frames = []
    for item in source.read():
        assert isinstance(item, Frame)
        frames.append(item)
        if len(frames) == count:
            source.close()
    return frames


def play() -> object:
    found = []
    for pixel_format in ("YUYV", "MJPG"):
        source = camera(pixel_format=pixel_format, width=64, height=48, rate_hz=20)
        info = source.open()
        frames = taken(source, 5)
        found.append(
            {
                "codec": info.codec,
                "size": [info.width, info.height],
                "rate_hz": info.rate_hz,
                "pts_s": [frame.moment.pts_s for frame in frames],
                "late_s": [(frame.arrived_s or 0) - _stamp(frame) for frame in frames],
                "uncertainty_ns": frames[0].moment.uncertainty_ns,
                "left_open": len(descriptors_of(str(path))),
            }
        )
    return found


def _stamp(frame: Frame) -> float:
    """The kernel's time of a frame on the monotonic clock."""
    return frame.moment.time_ns / 1e9 - (time.time_ns() / 1e9 - time.monotonic())


def refuse() -> object:
    return failure(camera(pixel_format="nv12").open)


def busy() -> object:
    first = camera()
    first.open()
    refused = failure(camera().open)
    return refused | {"still": len(taken(first, 3))}


def unplug() -> object:
    source = camera()
    source.open()

    def read() -> None:
        for _ in source.read():
            tell("unplugged")

    return failure(read)


def _closed_after(source: WebcamSource, act: Callable[[], object], wait_s: float) -> dict[str, Any]:
    closed_s: list[float] = []

    def close() -> None:
        time.sleep(wait_s)
        closed_s.append(time.monotonic())
        source.close()
        closed_s.append(time.monotonic())

    thread = threading.Thread(target=close)
    thread.start()
    said = failure(act)
    back_s = time.monotonic()
    thread.join()
    return said | {"close_s": closed_s[1] - closed_s[0], "back_s": back_s - closed_s[0]}


def silent() -> object:
    source = camera()
    source.open()

    def read() -> None:
        for _ in source.read():
            tell("silent")

    return _closed_after(source, read, 0.5)


def silent_open() -> object:
    tell("silent")
    source = camera()
    return _closed_after(source, source.open, 0.3)


def silent_for_ever() -> object:
    tell("silent")
    ffmpeg._TIMEOUT_S = (0.3, 0.3)
    return failure(camera().open)


sys.stdout.write(json.dumps(globals()[sys.argv[1]]()))
