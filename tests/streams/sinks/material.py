"""Frames, events and stream descriptions for the sinks' tests."""

from __future__ import annotations

import numpy as np

from pipeline.event import Event, Producer
from pipeline.frame import Counts, Frame
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture, U8Array
from pipeline.plugin import StreamInfo


def info(stream: str = "gate", width: int = 64, height: int = 48) -> StreamInfo:
    return StreamInfo(stream, "file.mp4", "run", width, height)


def moment(pts_s: float, start_s: float = 0.0) -> Moment:
    """A moment of a file that began at `start_s` seconds after 1970-01-01 UTC."""
    return Moment(pts_s, round((pts_s + start_s) * 1e9), Clock.FILE, 0)


def frame(
    pts_s: float,
    *,
    stream: str = "gate",
    run: str = "run",
    sequence: int = 0,
    start_s: float = 0.0,
    counts: Counts | None = None,
    bgr: U8Array | None = None,
) -> Frame:
    picture = BgrPicture(np.zeros((48, 64, 3), np.uint8) if bgr is None else bgr)
    return Frame(stream, run, sequence, moment(pts_s, start_s), picture, counts=counts)


def crossing(
    pts_s: float,
    key: str = "1",
    *,
    line: str = "main",
    direction: str = "in",
    label: str | None = "car",
    stream: str = "gate",
    start_s: float = 0.0,
) -> Event:
    return frame(pts_s, stream=stream, start_s=start_s).event(
        "line.crossing",
        key,
        Producer("count", line),
        label=label,
        data={"line": line, "direction": direction},
    )
