"""The live tracks as columns of arrays, one row a track, oldest first."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.objects import F32Array, I64Array, StrArray
from stages.track.boxes import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

# Each new detection shrinks the earlier votes for a label to this share: the memory is about 20 detections.
_VOTE_DECAY = 0.95


@dataclass(eq=False)
class Population:
    """N live tracks; `keep` and `append` are the only ways to change N.

    Attributes:
        state: (5, N, 4) states of the Kalman filter.
        id: (N,) int64, ascending.
        hits: (N,) int64, matched detections so far.
        confirmed: (N,) bool, False while tentative.
        seen_s: (N,) media time of the latest matched detection.
        detection: (N,) row of that detection in its frame.
        score: (N,) float32, its score.
        label: (N,) str, the label that leads the vote.
        lead: (N,) float64, how far it leads.
        slot: (N,) where the track's appearance is kept.
    """

    state: FloatArray
    id: I64Array
    hits: I64Array
    confirmed: BoolArray
    seen_s: FloatArray
    detection: IntArray
    score: F32Array
    label: StrArray
    lead: FloatArray
    slot: IntArray

    @classmethod
    def born(
        cls,
        state: FloatArray,
        first_id: int,
        pts_s: float,
        detection: IntArray,
        score: F32Array,
        label: StrArray,
        slot: IntArray,
    ) -> Self:
        """Return tracks that are seen for the first time at `pts_s`, numbered from `first_id`."""
        n = state.shape[1]
        return cls(
            state=state,
            id=np.arange(first_id, first_id + n),
            hits=np.ones(n, np.int64),
            confirmed=np.zeros(n, np.bool_),
            seen_s=np.full(n, pts_s),
            detection=detection,
            score=score,
            label=label,
            lead=score.astype(np.float64),
            slot=slot,
        )

    @classmethod
    def empty(cls) -> Self:
        """Return a population of no tracks."""
        nobody = np.zeros(0, np.intp)
        score, label = np.zeros(0, np.float32), np.zeros(0, np.str_)
        return cls.born(np.zeros((5, 0, 4)), 1, 0.0, nobody, score, label, nobody)

    def __len__(self) -> int:
        return len(self.id)

    def keep(self, rows: BoolArray) -> None:
        """Drop all other tracks."""
        for field in fields(self):
            column = getattr(self, field.name)
            setattr(self, field.name, column[:, rows] if field.name == "state" else column[rows])

    def append(self, others: Self) -> None:
        """Add the tracks of `others`, whose ids must be larger."""
        for field in fields(self):
            column, more = getattr(self, field.name), getattr(others, field.name)
            setattr(self, field.name, np.concatenate([column, more], axis=1 if field.name == "state" else 0))

    def most_valuable(self, count: int) -> BoolArray:
        """Return (N,) bool: at most `count` tracks to keep, confirmed ones first, then those seen latest."""
        rows = np.zeros(len(self), np.bool_)
        rows[np.lexsort((self.id, self.seen_s, self.confirmed))[-count:]] = True
        return rows

    def hit(
        self, rows: IntArray, pts_s: float, detection: IntArray, score: F32Array, label: StrArray
    ) -> None:
        """Note that the tracks `rows` were seen at `pts_s` as these detections.

        The vote is a majority vote in constant memory (Boyer and Moore, 1981) with scores as weights and
        older votes fading: another label takes over once it outweighs the lead of the present one.
        """
        self.hits[rows] += 1
        self.seen_s[rows] = pts_s
        self.detection[rows] = detection
        self.score[rows] = score
        same = self.label[rows] == label
        lead = _VOTE_DECAY * self.lead[rows] + np.where(same, score, -score)
        self.lead[rows] = np.abs(lead)
        lost = np.flatnonzero(lead < 0)
        if len(lost):
            self.label = self.label.astype(np.promote_types(self.label.dtype, label.dtype), copy=False)
            self.label[rows[lost]] = label[lost]
