"""The live tracks as rows of two preallocated arrays: what is a number, and what counts or names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.objects import StrArray
from stages.track.boxes import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

# Columns of `number`. Those up to RESTLESS are the filter's (see motion.py).
X, Y, LOG_HEIGHT, LOG_ASPECT = range(4)
VX, VY, HEIGHT = range(4, 7)
VELOCITY_VARIANCE, COVARIANCE, VARIANCE, HEIGHT_VARIANCE, NOISE, RESTLESS = range(7, 13)
SEEN_S, EVIDENCE, SCORES, LEAD, SCORE = range(13, 18)
SHOWN = 18
NUMBERS = SHOWN + 4
# Columns of `count`.
ID, HITS, CONFIRMED, DETECTION, SLOT = range(5)
COUNTS = 5

_FIRST_CAPACITY = 64


class Rows:
    """N live tracks, oldest first: column k of row i is `number[k, i]` or `count[k, i]`.

    The arrays have room to spare, so that a birth writes and a frame without births or deaths moves nothing.

    Attributes:
        number: (NUMBERS, N) float64 view. X, Y: predicted or corrected centre, px. LOG_HEIGHT: of px.
            LOG_ASPECT: of width / height. VX, VY: px/s. HEIGHT: px. VELOCITY_VARIANCE, COVARIANCE, VARIANCE:
            of vx and x, the same for y. HEIGHT_VARIANCE: of the logarithm. NOISE: variance of a measured
            centre.
            RESTLESS: how much more than expected it swerves, at least 1. SEEN_S: media time of the latest
            detection. EVIDENCE: log-odds that it is an object. SCORES: sum of all its detections' scores.
            LEAD: of its label over others. SCORE: of the latest detection. SHOWN and the three after it:
            smoothed xyxy of the latest detection.
        count: (COUNTS, N) int64 view. ID; HITS: detections; CONFIRMED: 0 or 1; DETECTION: row of the latest
        in
            its frame; SLOT: where its looks are kept.
    """

    def __init__(self) -> None:
        self._number = np.zeros((NUMBERS, _FIRST_CAPACITY))
        self._count = np.zeros((COUNTS, _FIRST_CAPACITY), np.int64)
        self._label: StrArray = np.zeros(_FIRST_CAPACITY, "<U1")
        self._n = 0
        self._view()

    def __len__(self) -> int:
        return self._n

    @property
    def label(self) -> StrArray:
        """(N,) str view: the label that each track's detections voted for."""
        return self._label[: self._n]

    def append(self, number: FloatArray, count: npt.NDArray[np.int64], label: StrArray) -> None:
        """Add the (NUMBERS, K) and (COUNTS, K) rows of tracks whose ids are larger than all before."""
        begin, end = self._n, self._n + number.shape[1]
        capacity = self._number.shape[1]
        if end > capacity:
            spare = max(end, 2 * capacity) - capacity
            self._number = np.pad(self._number, ((0, 0), (0, spare)))
            self._count = np.pad(self._count, ((0, 0), (0, spare)))
            self._label = np.pad(self._label, (0, spare))
        self._number[:, begin:end] = number
        self._count[:, begin:end] = count
        self.relabel(slice(begin, end), label)
        self._n = end
        self._view()

    def relabel(self, rows: IntArray | slice, label: StrArray) -> None:
        """Set the labels of rows; longer words than ever before find room."""
        if label.dtype.itemsize > self._label.dtype.itemsize:
            self._label = self._label.astype(label.dtype)
        self._label[rows] = label

    def keep(self, rows: IntArray) -> None:
        """Drop all other tracks; `rows` ascending."""
        k = len(rows)
        self._number[:, :k] = self.number.take(rows, axis=1)
        self._count[:, :k] = self.count.take(rows, axis=1)
        self._label[:k] = self._label[rows]
        self._n = k
        self._view()

    def _view(self) -> None:
        self.number = self._number[:, : self._n]
        self.count = self._count[:, : self._n]
