"""Labelled people of MOT15, and how precisely they are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.objects import Detections
from pipeline.picture import Picture
from tests.shared_data import shared
from tests.stages.detect.footage import frames
from tests.stages.detect.scenes import iou


@dataclass(frozen=True)
class Sequence:
    """A sequence with its truth: frame number from 1 -> boxes (N, 4)."""

    name: str
    boxes: dict[int, np.ndarray]

    @classmethod
    def load(cls, name: str) -> Sequence:
        rows = np.loadtxt(shared(f"mot15/{name}/gt/gt.txt"), delimiter=",")
        xyxy = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
        return cls(name, {int(number): xyxy[rows[:, 0] == number] for number in np.unique(rows[:, 0])})

    def pictures(self) -> Iterator[tuple[int, Picture]]:
        folder = shared(f"mot15/{self.name}")
        (video,) = (path for path in folder.rglob("*") if path.suffix in (".mp4", ".webm", ".avi", ".mkv"))
        for index, frame in enumerate(frames(video)):
            yield index + 1, frame.picture


def average_precision(
    found: Mapping[int, Detections], truth: Mapping[int, np.ndarray], threshold: float = 0.5
) -> float:
    """Area under precision over recall of one class, every point interpolated (PASCAL VOC 2010)."""
    hits: list[tuple[float, bool]] = []
    total = 0
    for number, table in found.items():
        boxes = truth.get(number, np.empty((0, 4)))
        total += len(boxes)
        overlap = iou(table.xyxy.astype(float), boxes)
        free = np.ones(len(boxes), bool)
        for row in np.argsort(-table.score, kind="stable"):
            best = int(np.argmax(np.where(free, overlap[row], -1))) if len(boxes) else -1
            hit = best >= 0 and bool(free[best]) and overlap[row, best] >= threshold
            if hit:
                free[best] = False
            hits.append((float(table.score[row]), hit))
    hits.sort(key=lambda pair: -pair[0])
    right = np.cumsum([hit for _, hit in hits])
    precision = right / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.trapezoid(np.r_[precision[:1], precision], np.r_[0, right / total])) if hits else 0.0
