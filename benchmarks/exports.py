"""What the sink `counts` and the maps cost a picture, and what their files take.

python -m benchmarks.exports
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pipeline.event import Producer
from pipeline.frame import Counts, Frame
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture
from pipeline.plugin import SinkContext, StreamInfo
from stages.count.maps.grid import PathGrid
from streams.sinks.counts import CountsOptions, CountsSink

RATE_HZ = 25
SECONDS = 600
START_S = 1_772_352_000  # 2026-03-01T08:00:00Z
LINES = 20
_INFO = StreamInfo("gate", "rtsp://gate", "run", 1920, 1080)
_PICTURE = BgrPicture(np.zeros((2, 2, 3), np.uint8))
_NOBODY = MappingProxyType({"in": MappingProxyType({}), "out": MappingProxyType({})})
_COUNTS: Counts = MappingProxyType({f"line {n}": _NOBODY for n in range(LINES)})


def frame_at(number: int) -> Frame:
    """Return a frame with 20 watched lines."""
    pts_s = number / RATE_HZ
    moment = Moment(pts_s, round((START_S + pts_s) * 1e9), Clock.ARRIVAL)
    return Frame("gate", "run", number, moment, _PICTURE, counts=_COUNTS)


def sink(lengths: Sequence[int], *, live: bool) -> tuple[float, dict[str, int]]:
    """Return us a picture, with an object a second, and the bytes of the files by name."""
    frames = [frame_at(number) for number in range(SECONDS * RATE_HZ)]
    events = [
        frame.event(
            "line.crossing",
            str(number),
            Producer("count"),
            label="car",
            data={"line": f"line {number % LINES}", "direction": "in"},
        )
        for number, frame in enumerate(frames[::RATE_HZ])
    ]
    with tempfile.TemporaryDirectory() as folder:
        options = CountsOptions(bin_s=tuple(lengths), time_zone="Europe/Berlin")
        counts = CountsSink(options, SinkContext(Path(folder)))
        counts.open_stream(replace(_INFO, live=live))
        began_s = time.perf_counter()
        for number, frame in enumerate(frames):
            if number % RATE_HZ == 0:
                counts.on_event(events[number // RATE_HZ])
            counts.on_frame(frame)
        spent_s = time.perf_counter() - began_s
        counts.close()
        sizes = {path.name: path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()}
    return spent_s / len(frames) * 1e6, sizes


def maps(objects: int) -> float:
    """Return us a picture of so many objects that drive about."""
    grid = PathGrid(1920, 1080, 64)
    random = np.random.default_rng(0)
    where, velocity = random.uniform(0, 1000, (objects, 2)), random.normal(0, 3, (objects, 2))
    ids = list(range(objects))
    began_s = time.perf_counter()
    for number in range(500):
        grid.add(number / RATE_HZ, ids, where + velocity * number)
    return (time.perf_counter() - began_s) / 500 * 1e6


def main() -> None:
    """Print the figures."""
    for live in (False, True):
        for lengths in ((900,), (60, 300, 900, 3600)):
            spent_us, sizes = sink(lengths, live=live)
            kind = "camera" if live else "recording"
            print(
                f"sink counts, {kind}, {LINES} lines, {lengths} s: {spent_us:.1f} us a picture, bytes {sizes}"
            )
    for objects in (1, 10, 50, 300):
        print(f"maps, {objects} objects: {maps(objects):.0f} us a picture")


if __name__ == "__main__":
    main()
