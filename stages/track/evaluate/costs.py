"""What runs of trackers took: the trackers alone, describing boxes, and measuring the camera's motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.track.boxes import FloatArray
from stages.track.evaluate.tracking import TrackerRun

Milliseconds = dict[str, float]
"""Of a frame, by kind: "median", "p99" and "mean"."""


def looked_share(runs: Sequence[TrackerRun]) -> float | None:
    """Return the share of boxes that were described where some were; None where none could be."""
    described = [(run.looks.boxes.sum(), run.boxes.sum()) for run in runs if run.looks is not None]
    boxes = sum(int(all_boxes) for _, all_boxes in described)
    return sum(int(looked) for looked, _ in described) / boxes if boxes else None


def update_ms(runs: Sequence[TrackerRun]) -> Milliseconds | None:
    """Return what the trackers alone took."""
    return _milliseconds([run.update_s for run in runs])


def look_ms(runs: Sequence[TrackerRun]) -> Milliseconds | None:
    """Return what describing boxes took, None where none could be described."""
    return _milliseconds([run.looks.seconds for run in runs if run.looks is not None])


def camera_ms(runs: Sequence[TrackerRun]) -> Milliseconds | None:
    """Return what measuring the camera's motion took, None where nobody was told of it."""
    return _milliseconds([run.camera_s for run in runs if run.camera_s is not None])


def _milliseconds(seconds: Sequence[FloatArray]) -> Milliseconds | None:
    """Return what a frame takes, None when nothing was measured."""
    if not seconds:
        return None
    each = 1e3 * np.concatenate(seconds)
    median, p99 = np.percentile(each, [50, 99])
    found = {"median": median, "p99": p99, "mean": each.mean()}
    return {name: round(float(value), 4) for name, value in found.items()}
