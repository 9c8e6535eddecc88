"""What counting costs: time per track update through many lines and zones, and whether memory stays flat.

    python -m benchmarks.counting_speed [--updates 1000000] [--objects 30] [--lines 20] [--zones 20]

Objects walk across a picture of 1920 x 1080, each for about six seconds, and are replaced by others with new
ids; lines and zones are spread over the picture at random. The time is the processor's, and of the stage
`count` alone, so that whatever else runs has little say.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.count.options import CountOptions
from stages.count.stage import CountStage

WIDTH, HEIGHT = 1920, 1080
RATE_HZ = 30.0
LIFE_S = 6.0


class Crowd:
    """So many objects that walk straight with a little jitter; who has walked long enough is replaced."""

    def __init__(self, objects: int, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._next = objects
        self.id = np.arange(objects)
        self._age_s = self._random.uniform(0, LIFE_S, objects)
        self._at = self._places(objects)
        self._velocity = self._random.normal(0, 150, (objects, 2))

    def step(self) -> Tracks:
        """Return the objects a frame later."""
        self._age_s += 1 / RATE_HZ
        self._at += self._velocity / RATE_HZ + self._random.normal(0, 0.7, self._at.shape)
        gone = (self._age_s > LIFE_S) | (self._at < 0).any(axis=1) | (self._at > [WIDTH, HEIGHT]).any(axis=1)
        new = int(gone.sum())
        if new:
            self.id[gone] = np.arange(self._next, self._next + new)
            self._next += new
            self._age_s[gone] = 0
            self._at[gone] = self._places(new)
            self._velocity[gone] = self._random.normal(0, 150, (new, 2))
        order = np.argsort(self.id)
        n, at = len(order), self._at[order]
        boxes = np.concatenate([at, at], axis=1) + np.array([-20, -80, 20, 0])
        return Tracks.unchecked(
            id=self.id[order],
            xyxy=boxes.astype(np.float32),
            score=np.ones(n, np.float32),
            label=np.full(n, "person"),
            detection=np.arange(n),
            missed_s=np.zeros(n, np.float32),
        )

    def _places(self, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        return self._random.uniform(0, [WIDTH, HEIGHT], (count, 2))


def options(lines: int, zones: int, seed: int = 2) -> CountOptions:
    """Return lines and zones of a fifth of the picture's height, anywhere."""
    random = np.random.default_rng(seed)
    size = HEIGHT / 5
    drawn: dict[str, Any] = {"lines": {}, "zones": {}}
    for number in range(lines):
        middle, turn = random.uniform(size, [WIDTH - size, HEIGHT - size]), random.uniform(0, 2 * np.pi)
        reach = size * np.array([np.cos(turn), np.sin(turn)])
        start, end = (middle - reach).tolist(), (middle + reach).tolist()
        drawn["lines"][f"line {number}"] = {"start": start, "end": end, "units": "px"}
    for number in range(zones):
        left, top = random.uniform(0, [WIDTH - size, HEIGHT - size]).tolist()
        corners = [(left, top), (left + size, top + size / 4), (left + size, top + size), (left, top + size)]
        drawn["zones"][f"zone {number}"] = {"polygon": corners, "units": "px"}
    return CountOptions.model_validate({name: value for name, value in drawn.items() if value})


def measure(updates: int, objects: int, lines: int, zones: int) -> None:
    """Run and print one row."""
    stage = CountStage(options(lines, zones), StageContext("crowd"))
    stage.open(StreamInfo("crowd", "made", "run", WIDTH, HEIGHT))
    crowd, picture = Crowd(objects), BgrPicture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    frames, spent_s, events = updates // objects, 0.0, 0
    sizes: list[int] = []
    half = frames // 2
    for number in range(frames):
        moment = Moment(number / RATE_HZ, int(number / RATE_HZ * 1e9), Clock.FILE)
        frame = Frame("crowd", "run", number, moment, picture, tracks=crowd.step())
        begun = time.thread_time()
        stage.process(frame)
        spent_s += time.thread_time() - begun
        events += len(frame.events)
        if number in (half, frames - 1):
            gc.collect()
            sizes.append(_resident_kib())
    print(
        f"| {objects} | {lines} | {zones} | {frames * objects} | {spent_s / frames / objects * 1e6:.1f} | "
        f"{spent_s / frames * 1e3:.2f} | {events} | {sizes[0] / 1024:.0f} -> {sizes[1] / 1024:.0f} |"
    )


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, nargs="+", default=[30])
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--zones", type=int, default=20 if "zones" in CountOptions.model_fields else 0)
    arguments = parser.parse_args()
    print(
        "| objects a frame | lines | zones | track updates | us per update | ms per frame | events | MiB |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for objects in arguments.objects:
        measure(arguments.updates, objects, arguments.lines, arguments.zones)


if __name__ == "__main__":
    main()
