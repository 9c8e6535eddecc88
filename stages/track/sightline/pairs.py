"""What speaks for each pair of a track and a detection: motion and overlap; and which pairs are sure."""

from __future__ import annotations

import math

import numpy as np

from stages.track.boxes import FloatArray, IntArray
from stages.track.kernels import replaceable
from stages.track.sightline import motion
from stages.track.sightline.rows import HEIGHT, BoolArray

# Log-odds that an object seen in the frame before is detected; what they lose per second without a detection;
# how many lost objects per second come back.
_DETECTED, _FADING, _RETURNS, _FRAME_S = math.log(0.9 / 0.1), 10.0, 2.0, 1 / 30
# Most objects are no further from where they are expected than this, in heights, and heights per second of
# absence; those that are further off are looked for at last.
_NEAR, _NEAR_PER_S, _NEAR_LIMIT_S = 0.7, 1.5, 0.25
# A pair is sure, whatever it looks like, above this and so far above all its rivals.
_SURE, _MARGIN = 8.0, 8.0
# What counts as no overlap.
OVERLAP_NEUTRAL = 0.3
# What a pair loses when the detection is too weak to start a track.
_WEAK = 3.0

# Rows of the prospects' table: as `motion.expectation` returns them, then these.
CORNERS, AREA, NEAR = 6, 10, 11


@replaceable
def prospects(number: FloatArray, absent_s: FloatArray, dt_s: float) -> FloatArray:
    """Return (12, N): where the tracks expect their detections, prepared for many pairs.

    The rows are the six of `motion.expectation`; the four corners of the expected box and its area; and how
    far from its centre, in x or y, most detections are at most.

    Args:
        number: (NUMBERS, N) predicted rows.
        absent_s: (N,) seconds since each was detected.
        dt_s: seconds since the frame before.
    """
    expected = np.empty((12, number.shape[1]))
    returns = min(_RETURNS * max(dt_s, _FRAME_S), 0.5)
    log_odds = _FADING * absent_s
    np.subtract(_DETECTED + _FADING * dt_s, log_odds, out=log_odds)
    np.maximum(log_odds, math.log(returns / (1 - returns)), out=log_odds)
    expected[:CORNERS] = motion.expectation(number, log_odds)
    expected[CORNERS:AREA] = corners = motion.corners_of(number)
    width, height = corners[2:] - corners[:2]
    np.multiply(width, height, out=expected[AREA])
    near = np.minimum(absent_s, max(_NEAR_LIMIT_S, dt_s), out=expected[NEAR])
    near *= _NEAR_PER_S
    near += _NEAR
    near *= number[HEIGHT]
    return expected


@replaceable
def pair_ratio(
    expected: FloatArray,
    track: IntArray,
    table: FloatArray,
    detection: IntArray,
    overlap_weight: float,
    min_score: float,
) -> FloatArray:
    """Return (P,) log likelihood ratios of pairs, all but their looks and labels.

    Args:
        expected: (12, N) of `prospects`.
        track: (P,) of the N.
        table: (10, M) of `Measured`.
        detection: (P,) of the M.
        overlap_weight: what a full overlap counts.
        min_score: weaker detections do not start tracks.
    """
    tracks, seen = expected.take(track, axis=1), table.take(detection, axis=1)
    ratio = motion.log_ratio(tracks, seen)
    overlap = _shared_area(tracks[CORNERS:AREA], seen[4:8])
    union = tracks[AREA] + seen[8]
    union -= overlap
    overlap /= union
    overlap -= OVERLAP_NEUTRAL
    overlap *= overlap_weight
    ratio += overlap
    weak = seen[9] < min_score
    if np.count_nonzero(weak):
        ratio -= _WEAK * weak
    return ratio


@replaceable
def undisputed(ratio: FloatArray, track: IntArray, detection: IntArray, n: int, m: int) -> IntArray:
    """Return the pairs, of (P,), that are sure by motion alone and far better than all others of either.

    They come in no promised order.
    """
    # What is worse than this is no rival of a sure pair.
    pairs = (ratio > _SURE - _MARGIN).nonzero()[0]
    if _differ(track.take(pairs)) and _differ(detection.take(pairs)):
        return pairs[ratio.take(pairs) > _SURE]
    pairs = pairs.take(ratio.take(pairs).argsort())
    ascending = ratio.take(pairs)
    clear = ascending > _SURE
    clear &= _lead(track.take(pairs), n, ascending)
    clear &= _lead(detection.take(pairs), m, ascending)
    return pairs[clear]


@replaceable
def open_pairs(
    track: IntArray,
    detection: IntArray,
    ratio: FloatArray,
    detection_of: IntArray,
    track_of: IntArray,
    least: float,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the pairs, with their ratios, whose sides are both free and whose ratio is above `least`.

    Args:
        track: (P,) of N.
        detection: (P,) of M.
        ratio: (P,).
        detection_of: (N,) -1 where free.
        track_of: (M,) -1 where free.
        least: bound of the ratio.
    """
    is_open = detection_of[track] < 0
    is_open &= track_of[detection] < 0
    is_open &= ratio > least
    pairs = is_open.nonzero()[0]
    return track.take(pairs), detection.take(pairs), ratio.take(pairs)


@replaceable
def hidden_part(
    track: IntArray, detection: IntArray, detection_of: IntArray, table: FloatArray, tracks: IntArray
) -> FloatArray:
    """Return (K,) how much, 0..1, of the detections of K matched tracks is behind other detections.

    What stands lower in the picture is taken to be nearer. Only detections near the same track are compared.

    Args:
        track: (P,) near pairs.
        detection: (P,) near pairs.
        detection_of: (N,) each track's detection.
        table: (10, M) of `Measured`.
        tracks: (K,) of the N.
    """
    wanted = np.zeros(len(detection_of), np.bool_)
    wanted[tracks] = True
    own = detection_of[track]
    is_other = own != detection
    is_other &= wanted[track]
    pair = is_other.nonzero()[0]
    if not len(pair):
        return np.zeros(len(tracks))
    mine, other = table[4:9].take(own[pair], axis=1), table[4:9].take(detection[pair], axis=1)
    part = _shared_area(mine[:4], other[:4])
    part /= mine[4]
    part *= other[3] > mine[3]
    hidden = np.zeros(len(detection_of))
    np.maximum.at(hidden, track[pair], part)
    return hidden[tracks]


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
