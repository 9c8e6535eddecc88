"""A detector's boxes of one sequence, frame by frame, with scores that mean something to a tracker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np

from pipeline.objects import Detections, F32Array
from stages.track.boxes import FloatArray, IntArray
from stages.track.evaluate.rows import FRAME, HEIGHT, LEFT, SCORE, WIDTH, read_rows, refuse

LABEL = "person"
"""What MOTChallenge sequences score."""


class Scale(StrEnum):
    """What was done to the scores of a file."""

    AS_GIVEN = "as given"
    SIGMOID = "sigmoid"
    ALL_EQUAL = "all equal"


@dataclass(frozen=True, eq=False)
class DetectionFile:
    """All detections of a sequence, sorted by frame.

    Attributes:
        path: the file.
        xyxy: (N, 4) float32 px.
        score: (N,) float32 in 0..1.
        start: (frames + 1,) the first row of each frame; frame k from 1 has the rows start[k - 1]:start[k].
        scale: what made the scores lie in 0..1.
        small: boxes less than 1 px wide or high, which were left out.
    """

    path: Path
    xyxy: F32Array
    score: F32Array
    start: IntArray
    scale: Scale
    small: int

    @classmethod
    def read(cls, path: Path, frames: int) -> Self:
        """Read `frame, -1, left, top, width, height, score, ...` with 7 to 10 columns.

        Scores outside 0..1 are no probabilities (DPM has -0.5 to 5) and go through 1 / (1 + exp(-2 score)),
        so that 0 becomes 0.5. Where all are equal they say nothing and become 1.

        Raises:
            SourceError: if the file cannot be read, a line is malformed, or a frame is after the last one.
        """
        rows = read_rows(path, range(7, 11))
        refuse(path, rows[:, FRAME] > frames, f"the sequence has {frames} frames", rows[:, FRAME])
        score, scale = _probabilities(rows[:, SCORE])
        large = (rows[:, WIDTH] >= 1) & (rows[:, HEIGHT] >= 1)
        frame = rows[large, FRAME].astype(np.intp)
        order = np.argsort(frame, kind="stable")
        xywh = rows[large, LEFT : HEIGHT + 1][order]
        return cls(
            path=path,
            xyxy=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(np.float32),
            score=score[large][order].astype(np.float32),
            start=np.searchsorted(frame[order], np.arange(1, frames + 2)),
            scale=scale,
            small=int(np.count_nonzero(~large)),
        )

    def __len__(self) -> int:
        return len(self.xyxy)

    def of(self, frame: int, min_score: float = 0.0) -> Detections:
        """Return the detections of a frame, from 1, with at least this score, in the file's order."""
        rows = slice(self.start[frame - 1], self.start[frame])
        score = self.score[rows]
        found = Detections(self.xyxy[rows], score, np.full(len(score), LABEL))
        return found if min_score <= 0 else found[score >= min_score]


def _probabilities(score: FloatArray) -> tuple[FloatArray, Scale]:
    if not len(score):
        return score, Scale.AS_GIVEN
    low, high = score.min(), score.max()
    if low == high:
        return np.ones_like(score), Scale.AS_GIVEN if low == 1 else Scale.ALL_EQUAL
    if low < 0 or high > 1:
        return 1 / (1 + np.exp(-2 * np.clip(score, -300, 300))), Scale.SIGMOID
    return score, Scale.AS_GIVEN
