"""Which detection continues which track: DeepSORT's matching cascade, then overlap (paper, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.objects import Detections, StrArray
from stages.track.assignment import match_pairs
from stages.track.boxes import (
    FloatArray,
    IntArray,
    paired_iou,
    touching_pairs,
    xyah_to_xyxy,
    xyxy_to_xyah,
)
from stages.track.gallery import F32Array, Gallery, unit_rows
from stages.track.kalman import ConstantVelocity
from stages.track.population import BoolArray, Population

GATE = 9.4877
"""The 0.95 quantile of the chi-square distribution with the four degrees of freedom of (u, v, a, h)."""

# Media times are sums of rounded frame times: two times closer than this are one.
ROUNDING_S = 1e-6
# The filter's noises are shares of the height, so there must be one.
_MIN_SIDE_PX = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The M detections of one frame that can be tracked.

    Attributes:
        row: (M,) row of each in the frame's table.
        xyxy: (M, 4) float64 px.
        xyah: (M, 4) the same boxes as measurements of the filter.
        score: (M,) float32.
        label: (M,) str.
        embedding: (M, D) unit rows, or None.
    """

    row: IntArray
    xyxy: FloatArray
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
        sides = detections.xyxy[:, 2:] - detections.xyxy[:, :2]
        row = np.flatnonzero((sides >= _MIN_SIDE_PX).all(axis=1))
        xyxy = detections.xyxy[row].astype(np.float64)
        embedding = None if detections.embedding is None else unit_rows(detections.embedding[row])
        return cls(row, xyxy, xyxy_to_xyah(xyxy), detections.score[row], detections.label[row], embedding)

    def __len__(self) -> int:
        return len(self.row)


class Association:
    """One frame's matching between predicted tracks and detections, built stage by stage.

    All costs are in units of their limit, so that 1 is the dearest pair a stage accepts; a change of label
    adds `label_change_cost`. `detection_of`, (N,), is each track's detection, -1 without one.

    Args:
        tracks: predicted to the time of the detections.
        measured: the detections.
        motion: the filter that made the tracks' states.
        label_change_cost: what a pair costs more when the labels differ.
    """

    def __init__(
        self, tracks: Population, measured: Measured, motion: ConstantVelocity, label_change_cost: float
    ) -> None:
        self._tracks = tracks
        self._measured = measured
        self.detection_of = np.full(len(tracks), -1)
        self._taken = np.zeros(len(measured), np.bool_)

        boxes = xyah_to_xyxy(tracks.state[0])
        reach = np.sqrt(GATE * motion.innovation_variance(tracks.state)[:, :2])
        centre = tracks.state[0, :, :2]
        low, high = np.minimum(boxes[:, :2], centre - reach), np.maximum(boxes[:, 2:], centre + reach)
        self._track, self._detection = touching_pairs(np.concatenate([low, high], axis=1), measured.xyxy)
        t, d = self._track, self._detection
        self._distance = motion.gating_distance(tracks.state[:, t], measured.xyah[d])
        self._iou = paired_iou(boxes[t], measured.xyxy[d])
        self._label_cost = label_change_cost * (tracks.label[t] != measured.label[d])

    @property
    def unmatched(self) -> IntArray:
        """Detections that no track took, ascending."""
        return np.flatnonzero(~self._taken)

    def cascade(self, gallery: Gallery, max_cosine_distance: float, max_iou_distance: float) -> None:
        """Match confirmed tracks within the Mahalanobis gate, those seen most recently first (listing 1).

        The cost is the smallest cosine distance to the track's gallery, or, when the detections carry no
        embedding, the IoU distance.
        """
        gated = np.flatnonzero((self._distance <= GATE) & self._tracks.confirmed[self._track])
        seen_s = self._tracks.seen_s[self._track[gated]]
        latest = seen_s == seen_s.max(initial=-np.inf)
        # The latest level takes most detections, so the wide gates of lost tracks hold little after it.
        for pairs in (gated[latest], gated[~latest]):
            still_open = pairs[self._is_open(pairs)]
            self._cascade(still_open, gallery, max_cosine_distance, max_iou_distance)

    def overlap(self, seen_since_s: float, max_iou_distance: float) -> None:
        """Match tentative tracks, and those seen since `seen_since_s`, by their overlap."""
        recent = ~self._tracks.confirmed | (self._tracks.seen_s >= seen_since_s - ROUNDING_S)
        pairs = np.flatnonzero(recent[self._track])
        self._match(pairs, (1 - self._iou[pairs]) / max_iou_distance + self._label_cost[pairs])

    def _cascade(
        self, pairs: IntArray, gallery: Gallery, max_cosine_distance: float, max_iou_distance: float
    ) -> None:
        """Match `pairs` level by level; what has no rival at any level needs no level."""
        if not len(pairs):
            return
        t, d = self._track[pairs], self._detection[pairs]
        is_lone = (np.bincount(t)[t] == 1) & (np.bincount(d)[d] == 1)
        lone, rivals = np.flatnonzero(is_lone), np.flatnonzero(~is_lone)
        label_cost = self._label_cost[pairs]
        if self._measured.embedding is None:
            cost = (1 - self._iou[pairs]) / max_iou_distance + label_cost
        else:
            slot, embedding = self._tracks.slot[t], self._measured.embedding
            enough = max_cosine_distance * (1 - label_cost[lone])
            cosine = np.empty(len(pairs))
            cosine[lone] = gallery.distance_up_to(slot[lone], embedding[d[lone]], enough)
            cosine[rivals] = gallery.distance(slot[rivals], embedding[d[rivals]])
            cost = cosine / max_cosine_distance + label_cost
        self._match(pairs[lone], cost[lone])
        rivals = rivals[cost[rivals] <= 1]
        seen_s = self._tracks.seen_s[t[rivals]]
        for latest in np.unique(seen_s)[::-1]:
            level = rivals[seen_s == latest]
            self._match(pairs[level], cost[level])

    def _is_open(self, pairs: IntArray) -> BoolArray:
        """Return where both the track and the detection are still without a match."""
        return (self.detection_of[self._track[pairs]] < 0) & ~self._taken[self._detection[pairs]]

    def _match(self, pairs: IntArray, cost: FloatArray) -> None:
        """Add the best matching among those `pairs` that are still open."""
        usable = self._is_open(pairs) & (cost <= 1)
        t, d = self._track[pairs[usable]], self._detection[pairs[usable]]
        best = match_pairs(t, d, cost[usable], 1.0)
        self.detection_of[t[best]] = d[best]
        self._taken[d[best]] = True
