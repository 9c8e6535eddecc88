"""Which detection is which track: one log likelihood ratio a pair, settled where sure, assigned where not."""

from __future__ import annotations

import numpy as np

from pipeline.objects import StrArray
from stages.track.assignment import match_pairs
from stages.track.boxes import FloatArray, IntArray
from stages.track.sightline import motion
from stages.track.sightline.candidates import near_pairs
from stages.track.sightline.frame import Measured
from stages.track.sightline.looks import MOST_FOR, FrameLooks, Looks
from stages.track.sightline.pairs import (
    NEAR,
    OVERLAP_NEUTRAL,
    hidden_part,
    open_pairs,
    pair_ratio,
    prospects,
    undisputed,
)
from stages.track.sightline.rows import CONFIRMED, HEIGHT, HITS, LOG_HEIGHT, SLOT, Rows, X
from stages.track.sightline.shift import common_shift

# Overlap tells what the distance of centres does not: the box's shape. Its weight without looks and beside
# them.
_OVERLAP, _OVERLAP_BESIDE_LOOKS = 8.0, 2.0
# What a pair loses when the labels differ.
_OTHER_LABEL = 2.0
# A common shift is sought among tracks with so many detections, when so few of those seen just now are
# settled.
_STEADY_HITS, _SETTLED = 5, 0.6


class Association:
    """One frame's matching between predicted tracks and detections.

    Three steps, each with fewer pairs and more to compute for each: near pairs that are sure by motion alone;
    the other near pairs, with looks, in one assignment; then lost tracks, at any distance that is likely
    enough, for the detections that are left.

    Attributes:
        detection_of: (N,) each track's detection, -1 without one.
        track: (P,) rows of the near pairs, ascending.
        detection: (P,) their detections.

    Args:
        rows: the tracks, predicted to the time of the detections.
        measured: the detections, at least one.
        looks: what the tracks look like and what the detections do, or None.
        absent_s: (N,) seconds since each track was detected.
        dt_s: seconds since the frame before.
        min_score: weaker detections do not start tracks.
    """

    def __init__(
        self,
        rows: Rows,
        measured: Measured,
        looks: tuple[Looks, FrameLooks] | None,
        absent_s: FloatArray,
        dt_s: float,
        min_score: float,
    ) -> None:
        self._rows, self._measured, self._looks = rows, measured, looks
        self._absent_s, self._dt_s = absent_s, dt_s
        self._min_score = min_score
        self._overlap = _OVERLAP if looks is None else _OVERLAP_BESIDE_LOOKS
        self.detection_of = np.empty(len(rows), np.intp)
        self.detection_of.fill(-1)
        self._track_of = np.empty(len(measured), np.intp)
        self._track_of.fill(-1)
        label = measured.label[:1]
        self.one_label = _are_all(measured.label, label) and _are_all(rows.label, label)
        self.track = self.detection = np.zeros(0, np.intp)

    def solve(self, *, seek_shift: bool) -> None:
        """Find the matching; `seek_shift` lets all tracks move by a common shift first."""
        expected, ratio, settled = self._settle()
        if seek_shift and self._are_few(len(settled)) and self._shift():
            expected, ratio, settled = self._settle()
        self._take(self.track.take(settled), self.detection.take(settled))
        if len(settled) < len(self.track):
            self._match(self.track, self.detection, ratio)
        left = self.left
        if len(left):
            lost = (self.detection_of < 0).nonzero()[0]
            if len(lost):
                self._search(expected, lost, left)

    def _settle(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Find the near pairs; return what tracks expect, the pairs' ratios, and which of them are sure."""
        expected = prospects(self._rows.number, self._absent_s, self._dt_s)
        centre, points = expected[:LOG_HEIGHT], self._measured.table[:LOG_HEIGHT]
        self.track, self.detection = near_pairs(centre, expected[NEAR], points)
        ratio = self._ratio(expected, self.track, self.detection)
        n, m = len(self.detection_of), len(self._track_of)
        return expected, ratio, undisputed(ratio, self.track, self.detection, n, m)

    def _are_few(self, settled: int) -> bool:
        """Whether so few of those seen just now are settled that something must be wrong with all."""
        if settled >= _SETTLED * len(self._rows):
            return False
        return settled < _SETTLED * int(np.count_nonzero(self._absent_s <= 1.5 * self._dt_s))

    def _shift(self) -> bool:
        """Move all tracks by what they are off together; return whether they were."""
        number, count = self._rows.number, self._rows.count
        is_steady = count[HITS, self.track] >= _STEADY_HITS
        is_steady &= count[CONFIRMED, self.track] > 0
        steady = is_steady.nonzero()[0]
        t, d = self.track[steady], self.detection[steady]
        offset = self._measured.vector[:2, d] - number[X:LOG_HEIGHT, t]
        by = common_shift(t, offset, number[HEIGHT, t])
        if by is not None:
            motion.shift(number, by)
        return by is not None

    def _ratio(self, expected: FloatArray, track: IntArray, detection: IntArray) -> FloatArray:
        """Return (P,) log likelihood ratios of pairs, all but their looks."""
        measured = self._measured
        ratio = pair_ratio(expected, track, measured.table, detection, self._overlap, self._min_score)
        if not self.one_label:
            ratio -= _OTHER_LABEL * (self._rows.label[track] != measured.label[detection])
        return ratio

    def _search(self, expected: FloatArray, lost: IntArray, left: IntArray) -> None:
        """Match lost tracks and left detections at any distance that is likely enough."""
        bonus = self._overlap * (1 - OVERLAP_NEUTRAL) + (0.0 if self._looks is None else MOST_FOR)
        centre = expected[:LOG_HEIGHT].take(lost, axis=1)
        points = self._measured.table[:LOG_HEIGHT].take(left, axis=1)
        t, d = near_pairs(centre, motion.reach(expected, lost, bonus), points)
        if len(t):
            t, d = lost.take(t), left.take(d)
            self._match(t, d, self._ratio(expected, t, d))

    def _match(self, track: IntArray, detection: IntArray, ratio: FloatArray) -> None:
        """Take the best matching of those of the pairs that are open, with their looks."""
        least = 0.0 if self._looks is None else -MOST_FOR
        track, detection, ratio = open_pairs(
            track, detection, ratio, self.detection_of, self._track_of, least
        )
        if not len(track):
            return
        if self._looks is not None:
            memory, seen = self._looks
            ratio += memory.log_ratio(self._rows.count[SLOT, track], seen.of(detection))
        best = match_pairs(track, detection, -ratio, 0.0)
        self._take(track.take(best), detection.take(best))

    def _take(self, track: IntArray, detection: IntArray) -> None:
        self.detection_of[track] = detection
        self._track_of[detection] = track

    @property
    def left(self) -> IntArray:
        """Detections that no track took, ascending."""
        return (self._track_of < 0).nonzero()[0]

    def cover(self, tracks: IntArray) -> FloatArray:
        """Return (K,) how much, 0..1, of the detections of K matched tracks is behind other detections."""
        return hidden_part(self.track, self.detection, self.detection_of, self._measured.table, tracks)


def _are_all(labels: StrArray, label: StrArray) -> bool:
    """Whether all labels are the (1,) label."""
    if labels.dtype == label.dtype:  # bytes are compared far quicker than words
        return labels.tobytes() == label.tobytes() * len(labels)
    return bool((labels == label).all())
