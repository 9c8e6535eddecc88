"""Paths to keep and to count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.count.history.path import Path


def path_of(rows: Sequence[Sequence[float]], vanished: Sequence[int] = ()) -> Path:
    """Return the path through rows of (time, left, top, right, bottom)."""
    table = np.array(rows, float).reshape(-1, 5)
    marks = np.zeros(len(table), bool)
    marks[list(vanished)] = True
    return Path(table[:, 0], table[:, 1:].astype(np.float32).astype(float), marks)


def walk(rng: np.random.Generator, count: int, *, step_s: float = 0.04, jitter_px: float = 1.0) -> Path:
    """Return a path that wanders over a picture of 640 x 360, its box trembling."""
    middle = rng.uniform((0, 0), (640, 360)) + np.cumsum(rng.normal(0, 3, (count, 2)), axis=0)
    middle += np.outer(np.arange(count), rng.normal(0, 4, 2))
    size = rng.uniform(8, 60, 2)
    boxes = np.hstack([middle - size, middle + size]) + rng.normal(0, jitter_px, (count, 4))
    return path_of(np.column_stack([np.arange(count) * step_s + rng.uniform(0, 5), boxes]))
