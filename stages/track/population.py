"""The live tracks as columns of arrays, one row a track, oldest first."""

from __future__ import annotations

from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.objects import F32Array, I64Array, StrArray
from stages.track.boxes import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
_Scalar = TypeVar("_Scalar", bound=np.generic)

# Each new detection shrinks the earlier votes for a label to this share: the memory is about 20 detections.
_VOTE_DECAY = 0.95
_LEAST_CAPACITY = 16


class Population:
    """N live tracks; `keep` and `append` are the only ways to change N.

    The columns are views of the used part of larger arrays, so that tracks come and go without making them
    anew. Write into a column; only `state` may be replaced by another array of its shape.

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

    id: I64Array
    hits: I64Array
    confirmed: BoolArray
    seen_s: FloatArray
    detection: IntArray
    score: F32Array
    label: StrArray
    lead: FloatArray
    slot: IntArray

    def __init__(self) -> None:
        # Few tables make few calls: numbers of one type share one.
        self._states: FloatArray = np.zeros((5, 0, 4))
        self._whole: I64Array = np.zeros((4, 0), np.int64)
        self._real: FloatArray = np.zeros((2, 0))
        self._score: F32Array = np.zeros(0, np.float32)
        self._confirmed: BoolArray = np.zeros(0, np.bool_)
        self._label: StrArray = np.zeros(0, np.str_)
        self._resize(0)

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
        born = cls()
        born.begin(state, first_id, pts_s, detection, score, label, slot)
        return born

    @classmethod
    def empty(cls) -> Self:
        """Return a population of no tracks."""
        return cls()

    def __len__(self) -> int:
        return self._n

    @property
    def state(self) -> FloatArray:
        """(5, N, 4) states of the Kalman filter; assigning copies."""
        return self._state

    @state.setter
    def state(self, state: FloatArray) -> None:
        self._state[...] = state

    def keep(self, rows: BoolArray) -> None:
        """Drop all other tracks."""
        kept = rows.nonzero()[0]
        n = len(kept)
        self._states[:, :n] = self._state.take(kept, axis=1)
        self._whole[:, :n] = self._whole.take(kept, axis=1)
        self._real[:, :n] = self._real.take(kept, axis=1)
        self._score[:n] = self._score.take(kept)
        self._confirmed[:n] = self._confirmed.take(kept)
        self._label[:n] = self._label.take(kept)
        self._resize(n)

    def begin(
        self,
        state: FloatArray,
        first_id: int,
        pts_s: float,
        detection: IntArray,
        score: F32Array,
        label: StrArray,
        slot: IntArray,
    ) -> None:
        """Add tracks that are seen for the first time at `pts_s`, numbered from `first_id` on."""
        old = self._n
        n = old + len(detection)
        self._reserve(n, label.dtype)
        self._states[:, old:n] = state
        self._whole[0, old:n] = np.arange(first_id, first_id + n - old)
        self._whole[1, old:n] = 1
        self._whole[2, old:n] = detection
        self._whole[3, old:n] = slot
        self._real[0, old:n] = pts_s
        self._real[1, old:n] = score
        self._score[old:n] = score
        self._confirmed[old:n] = False
        self._label[old:n] = label
        self._resize(n)

    def append(self, others: Self) -> None:
        """Add the tracks of `others`, whose ids must be larger."""
        old = self._n
        n = old + len(others)
        self._reserve(n, others.label.dtype)
        self._states[:, old:n] = others.state
        self._whole[:, old:n] = others._whole[:, : len(others)]
        self._real[:, old:n] = others._real[:, : len(others)]
        self._score[old:n] = others.score
        self._confirmed[old:n] = others.confirmed
        self._label[old:n] = others.label
        self._resize(n)

    def most_valuable(self, count: int) -> BoolArray:
        """Return (N,) bool: at most `count` tracks to keep, confirmed ones first, then those seen latest."""
        rows = np.zeros(len(self), np.bool_)
        rows[np.lexsort((self.id, self.seen_s, self.confirmed))[-count:]] = True
        return rows

    def hit(
        self, rows: IntArray | slice, pts_s: float, detection: IntArray, score: F32Array, label: StrArray
    ) -> None:
        """Note that the tracks `rows` were seen at `pts_s` as these detections.

        The vote is a majority vote in constant memory (Boyer and Moore, 1981) with scores as weights and
        older votes fading: another label takes over once it outweighs the lead of the present one.
        """
        self.hits[rows] += 1
        self.seen_s[rows] = pts_s
        self.detection[rows] = detection
        self.score[rows] = score
        other = self.label[rows] != label
        lead = _VOTE_DECAY * self.lead[rows]
        if not np.count_nonzero(other):
            lead += score
            self.lead[rows] = lead
            return
        lead += np.where(other, -score, score)
        self.lead[rows] = np.abs(lead)
        lost = (lead < 0).nonzero()[0]
        if len(lost):
            self._reserve(self._n, label.dtype)
            self._resize(self._n)
            changed = np.arange(self._n)[rows][lost]
            self.label[changed] = label[lost]

    def _resize(self, n: int) -> None:
        """Let the columns be views of the first `n` rows."""
        self._n = n
        self._state = self._states[:, :n]
        self.id, self.hits, self.detection, self.slot = self._whole[:, :n]
        self.seen_s, self.lead = self._real[:, :n]
        self.score, self.confirmed, self.label = self._score[:n], self._confirmed[:n], self._label[:n]

    def _reserve(self, n: int, label: np.dtype[np.str_]) -> None:
        """Make room for `n` tracks and for labels as long as these."""
        if label.itemsize > self._label.itemsize:
            self._label = self._label.astype(label)
        capacity = len(self._score)
        if n <= capacity:
            return
        capacity = max(n, 2 * capacity, _LEAST_CAPACITY)
        states = np.zeros((5, capacity, 4))
        states[:, : self._n] = self._state
        self._states = states
        self._whole, self._real = _longer(self._whole, capacity), _longer(self._real, capacity)
        self._score, self._confirmed = _longer(self._score, capacity), _longer(self._confirmed, capacity)
        self._label = _longer(self._label, capacity)


def _longer(column: npt.NDArray[_Scalar], length: int) -> npt.NDArray[_Scalar]:
    """Return the columns, the last axis of the array, with room for `length` rows."""
    longer: npt.NDArray[_Scalar] = np.zeros((*column.shape[:-1], length), column.dtype)
    longer[..., : column.shape[-1]] = column
    return longer
