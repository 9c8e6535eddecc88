"""Recordings made by hand: walkers on lanes of their own, with looks, misses and false detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.objects import Detections
from stages.track.tune.recording import Recording

WIDTH, HEIGHT = 1280, 720
LOOKS = 16


def recording(paths: Sequence[Sequence[tuple[float, tuple[float, ...]]]], rate_hz: float = 10.0) -> Recording:
    """Each path is a list of (time, xyxy); all scores are 0.9, there are no embeddings."""
    times = {round(at * rate_hz) for path in paths for at, _ in path}
    frames = range(max(times, default=0) + 1)
    tables = []
    for frame in frames:
        boxes = [box for path in paths for at, box in path if round(at * rate_hz) == frame]
        tables.append(table(boxes, [0.9] * len(boxes)))
    return Recording.of([frame / rate_hz for frame in frames], tables, WIDTH, HEIGHT)


def table(boxes: Sequence[tuple[float, ...]], scores: Sequence[float], looks: object = None) -> Detections:
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    embedding = None if looks is None else np.array(looks, np.float32).reshape(-1, LOOKS)
    return Detections(xyxy, np.array(scores, np.float32), np.full(len(xyxy), "person"), embedding)


def walk(
    lane: float, begin_s: float, end_s: float, x: float = 200, speed: float = 10, rate_hz: float = 10.0
) -> list[tuple[float, tuple[float, ...]]]:
    """A person of 40 x 90 px on a lane, `speed` px/s to the right."""
    steps = range(round(begin_s * rate_hz), round(end_s * rate_hz) + 1)
    left = [x + speed * (step / rate_hz - begin_s) for step in steps]
    return [(step / rate_hz, (at, lane, at + 40, lane + 90)) for step, at in zip(steps, left, strict=True)]


def crowd(
    seconds: float = 20, walkers: int = 6, *, false_hz: float = 0.0, rate_hz: float = 10.0, seed: int = 0
) -> Recording:
    """Walkers who are always seen, and `false_hz` false detections a second that last 0.4 s each."""
    rng = np.random.default_rng(seed)
    look = np.abs(rng.normal(size=(walkers, LOOKS)))
    speed = rng.uniform(10, 30, walkers)
    x = rng.uniform(100, 500, walkers)
    frames = round(seconds * rate_hz)
    lasts = round(0.4 * rate_hz)
    blips = [[] for _ in range(frames + lasts)]  # type: list[list[tuple[float, float]]]
    for begin in np.flatnonzero(rng.random(frames) < false_hz / rate_hz).tolist():
        place = tuple(rng.uniform([200, 60], [1050, 560]).tolist())
        for frame in range(begin, begin + lasts):
            blips[frame].append(place)
    tables = []
    for frame in range(frames):
        left = x + speed * frame / rate_hz
        top = 20 + 110.0 * np.arange(walkers)
        boxes = np.column_stack([left, top, left + 40, top + 90]) + rng.normal(0, 1, (walkers, 4))
        looks = list(look + rng.normal(0, 0.1, look.shape))
        false = [(a, b, a + 30, b + 30) for a, b in blips[frame]]
        scores = [*rng.uniform(0.8, 0.95, walkers), *rng.uniform(0.3, 0.5, len(false))]
        looks += [np.abs(rng.normal(size=LOOKS)) for _ in false]
        tables.append(table([*map(tuple, boxes.tolist()), *false], scores, looks))
    return Recording.of([frame / rate_hz for frame in range(frames)], tables, WIDTH, HEIGHT)
