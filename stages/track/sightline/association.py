"""Which detection is which track: one log likelihood ratio a pair, settled where sure, assigned where not."""

from __future__ import annotations

import math

import numpy as np

from pipeline.objects import StrArray
from stages.track.assignment import match_pairs
from stages.track.boxes import FloatArray, IntArray
from stages.track.sightline import motion
from stages.track.sightline.candidates import near_pairs
from stages.track.sightline.frame import Measured
from stages.track.sightline.looks import MOST_FOR, FrameLooks, Looks
from stages.track.sightline.rows import CONFIRMED, HEIGHT, HITS, LOG_HEIGHT, SLOT, BoolArray, Rows, X
from stages.track.sightline.shift import common_shift

# Log-odds that an object seen in the frame before is detected; what they lose per second without a detection;
# how many lost objects per second come back.
_DETECTED, _FADING, _RETURNS, _FRAME_S = math.log(0.9 / 0.1), 10.0, 2.0, 1 / 30
# Most objects are no further from where they are expected than this, in heights, and heights per second of
# absence; those that are further off are looked for at last.
_NEAR, _NEAR_PER_S, _NEAR_LIMIT_S = 0.7, 1.5, 0.25
# A pair is sure, whatever it looks like, above this and so far above all its rivals.
_SURE, _MARGIN = 8.0, 8.0
# Overlap tells what the distance of centres does not: the box's shape. Its weight without looks and beside
# them, and what counts as none.
_OVERLAP, _OVERLAP_BESIDE_LOOKS, _OVERLAP_NEUTRAL = 8.0, 2.0, 0.3
# What a pair loses when the labels differ, and when the detection is too weak to start a track.
_OTHER_LABEL, _WEAK = 2.0, 3.0
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
        self.detection_of = np.empty(len(rows), np.intp)
        self.detection_of.fill(-1)
        self._taken = np.zeros(len(measured), np.bool_)
        returns = min(_RETURNS * max(dt_s, _FRAME_S), 0.5)
        log_odds = _FADING * absent_s
        np.subtract(_DETECTED + _FADING * dt_s, log_odds, out=log_odds)
        self._log_odds = np.maximum(log_odds, math.log(returns / (1 - returns)), out=log_odds)
        near = np.minimum(absent_s, max(_NEAR_LIMIT_S, dt_s))
        near *= _NEAR_PER_S
        near += _NEAR
        near *= rows.number[HEIGHT]
        self._near = near
        weak = measured.score < min_score
        self._weak = _WEAK * weak if np.count_nonzero(weak) else None
        label = measured.label[:1]
        self.one_label = _are_all(measured.label, label) and _are_all(rows.label, label)
        self.track = self.detection = np.zeros(0, np.intp)

    def solve(self, *, seek_shift: bool) -> None:
        """Find the matching; `seek_shift` lets all tracks move by a common shift first."""
        expected, ratio, settled = self._settle()
        if seek_shift and self._are_few(len(settled)) and self._shift():
            expected, ratio, settled = self._settle()
        self._take(self.track[settled], self.detection[settled])
        if len(settled) < len(self.track):
            is_open = self.detection_of[self.track] < 0
            is_open &= ~self._taken[self.detection]
            pairs = is_open.nonzero()[0]
            if len(pairs):
                self._match(self.track[pairs], self.detection[pairs], ratio[pairs])
        left = self.left
        if len(left):
            lost = (self.detection_of < 0).nonzero()[0]
            if len(lost):
                self._search(expected, lost, left)

    def _settle(self) -> tuple[motion.Expectation, FloatArray, IntArray]:
        """Find the near pairs; return what tracks expect, the pairs' ratios, and which of them are sure."""
        number, measured = self._rows.number, self._measured
        expected = motion.Expectation(number, self._log_odds)
        self._corners = motion.corners_of(number)
        width, height = self._corners[2:] - self._corners[:2]
        self._area = np.multiply(width, height, out=width)
        points = measured.vector[:LOG_HEIGHT]
        self.track, self.detection = near_pairs(number[X:LOG_HEIGHT], self._near, points)
        ratio = self._ratio(expected, self.track, self.detection)
        return expected, ratio, self._undisputed(ratio)

    def _undisputed(self, ratio: FloatArray) -> IntArray:
        """Return the near pairs that are sure by motion alone and far better than all others of either."""
        # What is worse than this is no rival of a sure pair.
        pairs = (ratio > _SURE - _MARGIN).nonzero()[0]
        if _differ(self.track.take(pairs)) and _differ(self.detection.take(pairs)):
            return pairs[ratio.take(pairs) > _SURE]
        pairs = pairs.take(ratio.take(pairs).argsort())
        ascending = ratio.take(pairs)
        clear = ascending > _SURE
        clear &= _lead(self.track.take(pairs), len(self._rows), ascending)
        clear &= _lead(self.detection.take(pairs), len(self._measured), ascending)
        return pairs[clear]

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

    def _ratio(self, expected: motion.Expectation, track: IntArray, detection: IntArray) -> FloatArray:
        """Return (P,) log likelihood ratios of pairs, all but their looks."""
        seen = self._measured.table.take(detection, axis=1)
        vector, corners, area = seen[:4], seen[4:8], seen[8]
        ratio = expected.log_ratio(track, vector)
        overlap = _shared_area(self._corners.take(track, axis=1), corners)
        union = self._area[track]
        union += area
        union -= overlap
        overlap /= union
        overlap -= _OVERLAP_NEUTRAL
        overlap *= _OVERLAP if self._looks is None else _OVERLAP_BESIDE_LOOKS
        ratio += overlap
        if not self.one_label:
            ratio -= _OTHER_LABEL * (self._rows.label[track] != self._measured.label[detection])
        if self._weak is not None:
            ratio -= self._weak[detection]
        return ratio

    def _search(self, expected: motion.Expectation, lost: IntArray, left: IntArray) -> None:
        """Match lost tracks and left detections at any distance that is likely enough."""
        overlap = _OVERLAP if self._looks is None else _OVERLAP_BESIDE_LOOKS
        bonus = overlap * (1 - _OVERLAP_NEUTRAL) + (0.0 if self._looks is None else MOST_FOR)
        centre = self._rows.number[X:LOG_HEIGHT].take(lost, axis=1)
        points = self._measured.vector[:LOG_HEIGHT].take(left, axis=1)
        t, d = near_pairs(centre, expected.reach(lost, bonus), points)
        if len(t):
            t, d = lost[t], left[d]
            self._match(t, d, self._ratio(expected, t, d))

    def _match(self, track: IntArray, detection: IntArray, ratio: FloatArray) -> None:
        """Take the best matching of the pairs, with their looks."""
        if self._looks is not None:
            hopeful = (ratio > -MOST_FOR).nonzero()[0]
            if not len(hopeful):
                return
            track, detection = track[hopeful], detection[hopeful]
            memory, seen = self._looks
            ratio = ratio[hopeful]
            ratio += memory.log_ratio(self._rows.count[SLOT, track], seen.of(detection))
        best = match_pairs(track, detection, -ratio, 0.0)
        self._take(track[best], detection[best])

    def _take(self, track: IntArray, detection: IntArray) -> None:
        self.detection_of[track] = detection
        self._taken[detection] = True

    @property
    def left(self) -> IntArray:
        """Detections that no track took, ascending."""
        return (~self._taken).nonzero()[0]

    def cover(self, tracks: IntArray) -> FloatArray:
        """Return (K,) how much, 0..1, of the detections of K matched tracks is behind other detections.

        What stands lower in the picture is taken to be nearer. Only detections near the same track are
        compared.
        """
        wanted = np.zeros(len(self._rows), np.bool_)
        wanted[tracks] = True
        own = self.detection_of[self.track]
        is_other = own != self.detection
        is_other &= wanted[self.track]
        pair = is_other.nonzero()[0]
        if not len(pair):
            return np.zeros(len(tracks))
        corners = self._measured.corners
        mine, other = corners.take(own[pair], axis=1), corners.take(self.detection[pair], axis=1)
        part = _shared_area(mine, other)
        part /= self._measured.area[own[pair]]
        part *= other[3] > mine[3]
        hidden = np.zeros(len(self._rows))
        np.maximum.at(hidden, self.track[pair], part)
        return hidden[tracks]


def _are_all(labels: StrArray, label: StrArray) -> bool:
    """Whether all labels are the (1,) label."""
    if labels.dtype == label.dtype:  # bytes are compared far quicker than words
        return labels.tobytes() == label.tobytes() * len(labels)
    return bool((labels == label).all())


def _differ(names: IntArray) -> bool:
    """Whether no name comes twice."""
    if not len(names):
        return True
    times = np.bincount(names)
    return bool(times[times.argmax()] == 1)


def _lead(group: IntArray, groups: int, ascending: FloatArray) -> BoolArray:
    """Return (P,) whether each pair is better than all others of its group, by more than the margin.

    Args:
        group: (P,) of each pair, 0 to `groups` - 1.
        groups: how many there are.
        ascending: (P,) the pairs' ratios.
    """
    place = np.arange(len(group))
    best = np.empty(groups, np.intp)
    best[group] = place  # of several the last, the best, stays
    leads: BoolArray = best[group] == place
    others = (~leads).nonzero()[0]
    if len(others):
        rival = np.full(groups, -np.inf)
        rival[group[others]] = ascending[others]
        leads &= ascending - rival[group] > _MARGIN
    return leads


def _shared_area(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return (P,) px^2 that lie within both of (4, P) corners."""
    side = np.minimum(a[2:], b[2:])
    side -= np.maximum(a[:2], b[:2])
    width, height = np.maximum(side, 0.0, out=side)
    shared: FloatArray = np.multiply(width, height, out=width)
    return shared
