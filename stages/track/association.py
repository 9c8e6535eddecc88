"""Which detection continues which track: DeepSORT's matching cascade, then overlap (paper, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.objects import Detections, StrArray
from stages.track.assignment import match_pairs
from stages.track.boxes import (
    FloatArray,
    IntArray,
    overlapping_pairs,
    paired_iou,
    points_within,
    xyah_to_xyxy,
    xyxy_to_xywh,
)
from stages.track.gallery import F32Array, Gallery, unit_rows
from stages.track.kalman import squared_distance
from stages.track.kernels import replaceable
from stages.track.population import BoolArray, Population

GATE = 9.4877
"""The 0.95 quantile of the chi-square distribution with the four degrees of freedom of (u, v, a, h)."""

# Media times are sums of rounded frame times: two times closer than this are one.
ROUNDING_S = 1e-6
# The filter's noises are shares of the height, so there must be one.
_MIN_SIDE_PX = 1.0
# Up to this many cells the distance of everything to everything is found quicker than what lies near.
_DENSE_CELLS = 2_000
# Pairs looked at together: what they need in between stays small, however many there are.
_BLOCK = 4096


@dataclass(slots=True)
class Measured:
    """The M detections of one frame that can be tracked.

    Attributes:
        row: (M,) row of each in the frame's table.
        xyxy: (M, 4) float32 px.
        xyah: (M, 4) float64, the same boxes as measurements of the filter.
        score: (M,) float32.
        label: (M,) str.
        embedding: (M, D) unit rows, or None.
    """

    row: IntArray
    xyxy: F32Array
    xyah: FloatArray
    score: F32Array
    label: StrArray
    embedding: F32Array | None

    @classmethod
    def of(cls, detections: Detections) -> Self:
        """Select and convert the detections at least 1 px wide and high.

        Raises:
            ValueError: if an embedding is not finite.
        """
        xyxy, score, label = detections.xyxy, detections.score, detections.label
        embedding = detections.embedding
        row = np.arange(len(xyxy))
        xyah = xyxy_to_xywh(xyxy)
        if np.minimum.reduce(xyah[:, 2:], axis=None, initial=_MIN_SIDE_PX) < _MIN_SIDE_PX:
            row = np.flatnonzero((xyah[:, 2:] >= _MIN_SIDE_PX).all(axis=1))
            xyxy, xyah, score, label = xyxy[row], xyah[row], score[row], label[row]
            embedding = None if embedding is None else embedding[row]
        xyah[:, 2] /= xyah[:, 3]
        looks = None if embedding is None else unit_rows(embedding)
        return cls(row, xyxy, xyah, score, label, looks)

    def __len__(self) -> int:
        return len(self.row)


class Association:
    """One frame's matching between predicted tracks and detections, built stage by stage.

    Attributes:
        detection_of: (N,) each track's detection, -1 without one.

    Args:
        tracks: predicted to the time of the detections; one at least.
        measured: the detections; one at least.
        seen_s: time of the frame before; tracks seen then are recent.
    """

    def __init__(self, tracks: Population, measured: Measured, seen_s: float) -> None:
        self.detection_of = np.full(len(tracks), -1)
        self._tracks = tracks
        self._measured = measured
        self._free = np.ones(len(measured), np.bool_)
        self._recent = tracks.seen_s == seen_s

    @property
    def unmatched(self) -> IntArray:
        """Detections that no track took, ascending."""
        return self._free.nonzero()[0]

    def cascade(
        self, spread: FloatArray, gallery: Gallery, max_cosine_distance: float, max_iou_distance: float
    ) -> None:
        """Match confirmed tracks within the Mahalanobis gate, those seen most recently first (listing 1).

        The cost is the smallest cosine distance to the track's gallery, or, when the detections carry no
        embedding, the IoU distance.

        Args:
            spread: (N, 4) innovation variances of the tracks.
            gallery: appearance of the tracks.
            max_cosine_distance: largest cost with embeddings.
            max_iou_distance: largest cost without.
        """
        tracks, measured = self._tracks, self._measured
        costs: _Costs
        if measured.embedding is None:
            costs = _Overlaps(tracks.state[0], measured.xyxy, max_iou_distance)
        else:
            costs = _Looks(gallery, tracks.slot, measured.embedding, max_cosine_distance)

        # The recent tracks, the first level, leave few detections to the wide gates of the lost ones.
        recent = (tracks.confirmed & self._recent).nonzero()[0]
        self._serve(*self._gated(recent, np.arange(len(measured)), spread), costs)
        free = self.unmatched
        if len(free) and np.count_nonzero(tracks.confirmed) > len(recent):
            lost = (tracks.confirmed & ~self._recent).nonzero()[0]
            self._serve(*self._gated(lost, free, spread), costs)

    def overlap(self, max_iou_distance: float) -> None:
        """Match tentative tracks, and those seen in the frame before, by their overlap.

        A tentative track has always been seen in the frame before, or it would have ended.
        """
        free = self.unmatched
        if not len(free):
            return
        left = ((self.detection_of < 0) & self._recent).nonzero()[0]
        if not len(left):
            return
        boxes = xyah_to_xyxy(self._tracks.state[0].take(left, axis=0))
        xyxy = self._measured.xyxy.take(free, axis=0)
        t, d, iou = overlapping_pairs(boxes, xyxy)
        if len(t):
            best = match_pairs(t, d, 1 - iou, max_iou_distance)
            self._take(left.take(t.take(best)), free.take(d.take(best)))

    def _gated(self, tracks: IntArray, detections: IntArray, spread: FloatArray) -> tuple[IntArray, IntArray]:
        """Return the pairs of these tracks and detections within the gate."""
        position, xyah = self._tracks.state[0], self._measured.xyah
        if len(tracks) < len(position):
            position, spread = position.take(tracks, axis=0), spread.take(tracks, axis=0)
        if len(detections) < len(xyah):
            xyah = xyah.take(detections, axis=0)
        t, d = gated_pairs(position, spread, xyah)
        t = tracks.take(t) if len(tracks) < len(self._tracks) else t
        return t, detections.take(d) if len(detections) < len(self._measured) else d

    def _serve(self, t: IntArray, d: IntArray, costs: _Costs) -> None:
        """Match the open pairs (t, d) level by level; what has no rival at any level needs no level.

        Only rivals need their exact costs; for the others it is enough that they are within the limit.
        """
        if not len(t):
            return
        t, d = _only(_in_blocks(costs.within, t, d), t, d)
        alone = np.bincount(t).take(t) + np.bincount(d).take(d) == 2
        self._take(*_only(alone, t, d))
        if np.count_nonzero(alone) == len(t):
            return
        t, d = _only(~alone, t, d)
        cost = _in_blocks(costs.exact, t, d)
        while len(t):
            seen_s = self._tracks.seen_s.take(t)
            latest = seen_s == seen_s.max()
            level = latest.nonzero()[0]
            level_t, level_d = t.take(level), d.take(level)
            best = match_pairs(level_t, level_d, cost.take(level), costs.limit)
            self._take(level_t.take(best), level_d.take(best))
            rest = (~latest & self._free.take(d)).nonzero()[0]
            t, d, cost = t.take(rest), d.take(rest), cost.take(rest)

    def _take(self, t: IntArray, d: IntArray) -> None:
        self.detection_of[t] = d
        self._free[d] = False


_Answer = TypeVar("_Answer", np.float64, np.bool_)


class _Costs(Protocol):
    """What pairs cost in the cascade."""

    limit: float

    def exact(self, t: IntArray, d: IntArray) -> FloatArray:
        """Return the cost of each pair."""
        ...

    def within(self, t: IntArray, d: IntArray) -> BoolArray:
        """Return whether each pair costs at most the limit."""
        ...


@dataclass(slots=True)
class _Looks:
    """The smallest cosine distance of a detection to a track's gallery."""

    gallery: Gallery
    slot: IntArray
    embedding: F32Array
    limit: float

    def exact(self, t: IntArray, d: IntArray) -> FloatArray:
        return self.gallery.distance(self.slot.take(t), self.embedding.take(d, axis=0))

    def within(self, t: IntArray, d: IntArray) -> BoolArray:
        return self.gallery.within(self.slot.take(t), self.embedding.take(d, axis=0), self.limit)


@dataclass(slots=True)
class _Overlaps:
    """1 - IoU of a detection and a track."""

    position: FloatArray
    xyxy: F32Array
    limit: float

    def exact(self, t: IntArray, d: IntArray) -> FloatArray:
        boxes = xyah_to_xyxy(self.position.take(t, axis=0))
        return 1 - paired_iou(boxes, self.xyxy.take(d, axis=0))

    def within(self, t: IntArray, d: IntArray) -> BoolArray:
        return self.exact(t, d) <= self.limit


@replaceable
def gated_pairs(position: FloatArray, spread: FloatArray, xyah: FloatArray) -> tuple[IntArray, IntArray]:
    """Return all (track, detection) within the Mahalanobis gate, in no promised order (equation 1).

    Args:
        position: (N, 4) predicted.
        spread: (N, 4) innovation variances.
        xyah: (M, 4) measurements.
    """
    if len(position) * len(xyah) <= _DENSE_CELLS:
        distance = squared_distance(position.T[:, :, None], spread.T[:, :, None], xyah.T[:, None])
        t, d = (distance <= GATE).nonzero()
        return t, d
    # A little further than the gate, which rounding must not narrow.
    reach = np.sqrt(1.0001 * GATE * spread[:, :2])
    t, d = points_within(position[:, :2], reach, xyah[:, :2])

    def inside(t: IntArray, d: IntArray) -> BoolArray:
        taken = position.take(t, axis=0), spread.take(t, axis=0), xyah.take(d, axis=0)
        return squared_distance(*(columns.T for columns in taken)) <= GATE

    return _only(_in_blocks(inside, t, d), t, d)


def _in_blocks(
    answer: Callable[[IntArray, IntArray], npt.NDArray[_Answer]], t: IntArray, d: IntArray
) -> npt.NDArray[_Answer]:
    """Return the answers for all pairs, asked a block at a time."""
    if len(t) <= _BLOCK:
        return answer(t, d)
    blocks = (slice(begin, begin + _BLOCK) for begin in range(0, len(t), _BLOCK))
    return np.concatenate([answer(t[block], d[block]) for block in blocks])


def _only(chosen: BoolArray, t: IntArray, d: IntArray) -> tuple[IntArray, IntArray]:
    if np.count_nonzero(chosen) == len(t):
        return t, d
    rows = chosen.nonzero()[0]
    return t.take(rows), d.take(rows)
