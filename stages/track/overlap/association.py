"""Which detection continues which track: passes of best overlap, each over what the ones before it left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.objects import Detections, F32Array, StrArray
from stages.track.assignment import match_pairs
from stages.track.boxes import FloatArray, IntArray, paired_iou, touching_pairs
from stages.track.gallery import unit_rows
from stages.track.overlap.filters import BoxFilter
from stages.track.overlap.settings import Settings
from stages.track.population import BoolArray

# Noises and areas are shares of the sides, so there must be some.
_MIN_SIDE_PX = 1.0
# Up to this many cells comparing everything with everything in one go is quicker than finding pairs first.
_DENSE_CELLS = 4_000


@dataclass(frozen=True, slots=True)
class Measured:
    """The M detections of one frame that can be tracked.

    Attributes:
        row: (M,) row of each in the frame's table.
        xyxy: (M, 4) float64 px.
        measurement: (M, 4) the same boxes as measurements of the filter.
        score: (M,) float32.
        label: (M,) str.
        strong: (M,) bool, for the first pass; None when all are.
        embedding: (M, D) unit rows, or None.
    """

    row: IntArray
    xyxy: FloatArray
    measurement: FloatArray
    score: F32Array
    label: StrArray
    strong: BoolArray | None
    embedding: F32Array | None

    @classmethod
    def of(cls, detections: Detections, settings: Settings, motion: BoxFilter) -> Self:
        """Select and convert the detections at least 1 px wide and high whose score is enough.

        Raises:
            ValueError: if an embedding is not finite.
        """
        xyxy, score, label = detections.xyxy.astype(np.float64), detections.score, detections.label
        embedding = None
        if settings.appearance is not None and detections.embedding is not None:
            embedding = unit_rows(detections.embedding)
        usable = (xyxy[:, 2:] - xyxy[:, :2] >= _MIN_SIDE_PX).all(axis=1)
        strong: BoolArray = score >= settings.high_score
        usable &= strong if settings.low_score is None else score > settings.low_score
        row = usable.nonzero()[0]
        if len(row) < len(xyxy):
            xyxy, score, label, strong = xyxy[row], score[row], label[row], strong[row]
            embedding = None if embedding is None else embedding[row]
        some = None if strong.all() else strong
        return cls(row, xyxy, motion.measure(xyxy), score, label, some, embedding)

    def __len__(self) -> int:
        return len(self.row)


class Association:
    """One frame's matching of tracks and detections, built pass by pass.

    Attributes:
        detection_of: (N,) each track's detection, -1 without one.
        free: (M,) bool, detections that no track took.
        track: (P,) track of each pair of boxes that overlap.
        detection: (P,) its detection.
        overlap: (P,) its IoU.
    """

    def __init__(self, boxes: FloatArray, xyxy: FloatArray) -> None:
        self.detection_of = np.full(len(boxes), -1)
        self.free = np.ones(len(xyxy), np.bool_)
        self.track, self.detection, self.overlap = overlaps(boxes, xyxy)

    def match(
        self,
        similarity: FloatArray,
        minimum: float,
        tracks: BoolArray | None = None,
        detections: BoolArray | None = None,
    ) -> None:
        """Add the best matching of the pairs that reach `minimum`.

        Args:
            similarity: (P,) of each pair; the sum of what is above the minimum becomes as large as possible.
            minimum: pairs below are never matched.
            tracks: (N,) those that take part, all still without a detection; None for all.
            detections: (M,) those that take part, all still free; None for all.
        """
        allowed = similarity >= minimum
        if tracks is not None:
            allowed &= tracks[self.track]
        if detections is not None:
            allowed &= detections[self.detection]
        pairs = allowed.nonzero()[0]
        if len(pairs):
            self._add(self.track[pairs], self.detection[pairs], similarity[pairs], minimum)

    def match_boxes(
        self, boxes: FloatArray, tracks: IntArray, xyxy: FloatArray, detections: IntArray, minimum: float
    ) -> None:
        """Add the best matching by the IoU of other boxes than the predicted ones."""
        t, d, overlap = overlaps(boxes[tracks], xyxy[detections])
        near = (overlap >= minimum).nonzero()[0]
        if len(near):
            self._add(tracks[t[near]], detections[d[near]], overlap[near], minimum)

    def _add(self, t: IntArray, d: IntArray, similarity: FloatArray, minimum: float) -> None:
        # Most objects have no rival; then there is nothing to search.
        if np.bincount(t).max() > 1 or np.bincount(d).max() > 1:
            best = match_pairs(t, d, -similarity, -minimum)
            t, d = t[best], d[best]
        self.detection_of[t] = d
        self.free[d] = False


def overlaps(a_xyxy: FloatArray, b_xyxy: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return all pairs of (N, 4) and (M, 4) boxes that overlap, and their IoU, as three (P,) arrays."""
    if len(a_xyxy) * len(b_xyxy) > _DENSE_CELLS:
        i, j = touching_pairs(a_xyxy, b_xyxy)
        return i, j, paired_iou(a_xyxy[i], b_xyxy[j])
    a, b = a_xyxy[:, None], b_xyxy
    side = np.minimum(a[:, :, 2:], b[:, 2:])
    side -= np.maximum(a[:, :, :2], b[:, :2])
    np.maximum(side, 0.0, out=side)
    shared = side[:, :, 0] * side[:, :, 1]
    i, j = shared.nonzero()
    size_a, size_b = a_xyxy[:, 2:] - a_xyxy[:, :2], b_xyxy[:, 2:] - b_xyxy[:, :2]
    area_a, area_b = size_a[:, 0] * size_a[:, 1], size_b[:, 0] * size_b[:, 1]
    common = shared[i, j]
    return i, j, common / (area_a[i] + area_b[j] - common)
