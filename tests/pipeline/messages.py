"""Frames, events and sockets for the tests of the bus."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.bus import Bus
from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.picture import BgrPicture, U8Array

FREE = "tcp://127.0.0.1:*"


class SpyOverlay:
    """Counts how often it paints."""

    def __init__(self) -> None:
        self.painted = 0

    def paint(self, canvas: U8Array) -> None:
        self.painted += 1
        canvas[:, :] = (0, 0, 255)


def noise(seed: int = 1, width: int = 320, height: int = 240) -> U8Array:
    """A picture whose JPEG is large (some 60 KiB)."""
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def make_frame(
    sequence: int = 0, stream: str = "gate", *, bgr: U8Array | None = None, **fields: Any
) -> Frame:
    pts_s = sequence / 25
    picture = BgrPicture(np.zeros((24, 32, 3), np.uint8) if bgr is None else bgr)
    moment = Moment(pts_s, 1_772_352_000_000_000_000 + round(pts_s * 1e9), Clock.CAMERA, 5_000_000)
    return Frame(stream, "run", sequence, moment, picture, **fields)


def make_event(number: int = 0, stream: str = "gate", **fields: Any) -> Event:
    data = {"line": "main", "direction": "in"}
    options = {"track_id": number, "label": "car", "position": (1.5, 2.25), "data": data, **fields}
    return make_frame(number, stream).event(
        "line.crossing", str(number), Producer("count", "main"), **options
    )


def make_tracks(rows: int = 2) -> Tracks:
    return Tracks(
        id=np.arange(rows) + 7,
        xyxy=np.tile([1.25, 2.5, 30.0, 20.0], (rows, 1)),
        score=np.full(rows, 0.5),
        label=np.array(["car", "Straßenbahn"] * rows)[:rows],
        detection=np.arange(rows) - 1,
        missed_s=np.linspace(0.25, 0, rows),
    )


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what another thread or process brings about; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        time.sleep(0.001)


def wait_for_subscriptions(bus: Bus, *, events: int = 0, frames: int = 0) -> None:
    """Wait until so many topics are subscribed to: what is published later reaches the subscriber."""
    for name, count in (("events_subscriptions", events), ("frames_subscriptions", frames)):
        wait_until(lambda name=name, count=count: bus.statistics().get(name, 0) == count)  # type: ignore[misc]
