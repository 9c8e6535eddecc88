"""Stretches of a recording in which an object's identity is beyond doubt: the truth that it brings itself.

Found by a linker of its own rather than by a tracker, so that no method and no setting is judged by itself.
It joins two detections only if nothing else comes near, and gives up rather than guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.objects import F32Array
from stages.track.boxes import FloatArray, IntArray
from stages.track.population import BoolArray
from stages.track.tune.recording import Recording

# All distances are in sizes of the object, the root of its box's area. The next box of an object lies so near
# to where it was going; any other box is at least so far away, and so many times as far.
_REACH, _APART, _TIMES = 0.8, 0.4, 3.0
# Its width and height change by no more than this factor, over the time that it may be missing.
_STRETCH = 1.8
_MISSING_S = 0.3
# A box is alone if no other covers more of the smaller one of both.
_ALONE = 0.3
# What makes a stretch long enough to hide parts of it, and steady enough to trust it.
_LONG_S, _ROWS, _DENSITY = 1.5, 8, 0.6
_REAL_S = 0.6
_MOST = 300
_CHANGES_PER_S = 4.0  # how fast an estimate of velocity follows


@dataclass(frozen=True, eq=False)
class References:
    """The R reference objects of a recording, each a stretch of the recording.

    Attributes:
        object_of: (N,) the object of each detection, -1 for none.
        real_of: (N,) a number for each stretch of 0.6 s and more, -1 for detections in none. These show also
            objects that are hard to see; what flickers ends sooner.
        first_s: (R,) media time of the first detection.
        last_s: (R,) media time of the last one.
    """

    object_of: IntArray
    real_of: IntArray
    first_s: FloatArray
    last_s: FloatArray

    def __len__(self) -> int:
        return len(self.first_s)

    def coexist(self) -> BoolArray:
        """(R, R) bool, True for two that are in the picture at the same time: they are not the same."""
        together = (self.first_s[:, None] <= self.last_s) & (self.first_s <= self.last_s[:, None])
        np.fill_diagonal(together, False)
        return together


def find_references(recording: Recording) -> References:
    """Find the objects that are followed without doubt for at least 1.5 s; the longest 300 of them."""
    chain_of = _Linker(recording).run()
    time_of = recording.time_of
    count = int(chain_of.max(initial=-1)) + 1
    chosen = chain_of >= 0
    first_s, last_s = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first_s, chain_of[chosen], time_of[chosen])
    np.maximum.at(last_s, chain_of[chosen], time_of[chosen])
    rows = np.bincount(chain_of[chosen], minlength=count)
    frames = 1 + np.searchsorted(recording.pts_s, last_s) - np.searchsorted(recording.pts_s, first_s)
    lasts_s = last_s - first_s
    good = np.flatnonzero((lasts_s >= _LONG_S) & (rows >= _ROWS) & (rows >= _DENSITY * frames))
    good = np.sort(good[np.argsort(-lasts_s[good], kind="stable")[:_MOST]])
    number = np.full(count + 1, -1)
    number[good] = np.arange(len(good))
    real = np.append(np.where(lasts_s >= _REAL_S, np.arange(count), -1), -1)
    return References(number[chain_of], real[chain_of], first_s[good], last_s[good])


class _Linker:
    """Joins detections of successive frames to chains; K of them are open at any time."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._chains = 0
        self._open = np.zeros(0, np.intp)
        self._box = np.zeros((0, 4))
        self._velocity = np.zeros((0, 2))
        self._seen_s = np.zeros(0)

    def run(self) -> IntArray:
        """Return (N,) the chain of each detection, -1 for none."""
        chain_of = np.full(len(self._recording), -1)
        for frame, pts_s in enumerate(self._recording.pts_s.tolist()):
            rows = self._recording.rows_of(frame)
            xyxy = self._recording.xyxy[rows].astype(np.float64)
            alone = np.flatnonzero(_alone(xyxy))
            tail, head, doubtful = self._links(xyxy, pts_s)
            sure = np.isin(head, alone)
            joined = np.full(len(xyxy), -1)
            joined[head[sure]] = self._open[tail[sure]]
            stale = pts_s - self._seen_s > _MISSING_S
            ended = doubtful | stale
            ended[tail] = True  # goes on below as what it was joined to
            waiting = ~ended
            new = alone[joined[alone] < 0]
            velocity = np.zeros((len(xyxy), 2))
            velocity[head[sure]] = self._velocities(xyxy[head[sure]], tail[sure], pts_s)
            joined[new] = self._chains + np.arange(len(new))
            self._chains += len(new)
            chain_of[rows] = joined
            goes_on = np.flatnonzero(joined >= 0)
            self._open = np.concatenate([self._open[waiting], joined[goes_on]])
            self._box = np.concatenate([self._box[waiting], xyxy[goes_on]])
            self._velocity = np.concatenate([self._velocity[waiting], velocity[goes_on]])
            self._seen_s = np.concatenate([self._seen_s[waiting], np.full(len(goes_on), pts_s)])
        return chain_of

    def _links(self, xyxy: FloatArray, pts_s: float) -> tuple[IntArray, IntArray, BoolArray]:
        """Return the pairs (open chain, detection) beyond doubt, and (K,) the chains that are in doubt."""
        if not len(xyxy) or not len(self._open):
            nothing = np.zeros(0, np.intp)
            return nothing, nothing, np.zeros(len(self._open), np.bool_)
        expected = _centre(self._box) + self._velocity * (pts_s - self._seen_s)[:, None]
        size = np.sqrt(np.prod(_size(self._box), axis=1))
        apart = np.linalg.norm(expected[:, None] - _centre(xyxy), axis=2) / size[:, None]
        change = np.abs(np.log(_size(self._box)[:, None] / _size(xyxy))).max(axis=2)
        near = apart.argmin(axis=1)
        every = np.arange(len(near))
        best = apart[every, near]
        within = best < _REACH
        rival = np.minimum(_second(apart), _second(apart.T)[near])
        mutual = apart.argmin(axis=0)[near] == every
        sure = (
            mutual & (rival >= np.maximum(_APART, _TIMES * best)) & (change[every, near] < np.log(_STRETCH))
        )
        tail = np.flatnonzero(within & sure)
        return tail, near[tail], within & ~sure

    def _velocities(self, xyxy: FloatArray, tail: IntArray, pts_s: float) -> FloatArray:
        """Return the velocity of each joined chain, px per second, smoothed over a quarter of a second."""
        dt_s = (pts_s - self._seen_s[tail])[:, None]
        measured = (_centre(xyxy) - _centre(self._box[tail])) / dt_s
        before = self._velocity[tail]
        fresh = ~before.any(axis=1, keepdims=True)
        share = np.where(fresh, 1.0, np.minimum(1.0, _CHANGES_PER_S * dt_s))
        velocity: FloatArray = before + share * (measured - before)
        return velocity


def _alone(xyxy: FloatArray) -> BoolArray:
    """(M,) bool, True for boxes that have a size and that no other one touches to speak of."""
    low = np.maximum(xyxy[:, None, :2], xyxy[:, :2])
    high = np.minimum(xyxy[:, None, 2:], xyxy[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    np.fill_diagonal(shared, 0.0)
    area = np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1)
    smaller = np.minimum(area[:, None], area)
    alone: BoolArray = (shared <= _ALONE * smaller).all(axis=1) & (area >= 1.0)
    return alone


def _second(distance: FloatArray) -> FloatArray:
    """Return the second smallest of each row, infinity where there is none."""
    if distance.shape[1] < 2:
        return np.full(len(distance), np.inf)
    second: FloatArray = np.partition(distance, 1, axis=1)[:, 1]
    return second


def _centre(xyxy: FloatArray) -> FloatArray:
    return (xyxy[:, :2] + xyxy[:, 2:]) / 2


def _size(xyxy: F32Array | FloatArray) -> FloatArray:
    size: FloatArray = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 1.0).astype(np.float64)
    return size
