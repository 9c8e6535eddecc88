"""What a frame changes in the tracks' rows: they end, are detected, are missed, begin, and are reported."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.objects import F32Array, I64Array
from stages.track.boxes import FloatArray, IntArray
from stages.track.kernels import replaceable
from stages.track.sightline import evidence, motion
from stages.track.sightline.evidence import ScoreTerms
from stages.track.sightline.rows import (
    CONFIRMED,
    DETECTION,
    EVIDENCE,
    HITS,
    ID,
    LEAD,
    SCORE,
    SCORES,
    SEEN_S,
    SHOWN,
)

# Each detection shrinks the earlier votes for a label to this share: the memory is about 20 detections.
_VOTE_DECAY = 0.95


@replaceable
def overdue(
    number: FloatArray, count: I64Array, pts_s: float, tentative_s: float, confirmed_s: float
) -> tuple[FloatArray, IntArray]:
    """Return (N,) for how many seconds each track was missed, and the rows missed for longer than allowed."""
    absent_s: FloatArray = pts_s - number[SEEN_S]
    late = (absent_s > min(tentative_s, confirmed_s)).nonzero()[0]
    if len(late):
        limit_s = np.where(count[CONFIRMED, late], confirmed_s, tentative_s)
        late = late[absent_s[late] > limit_s]
    return absent_s, late


@replaceable
def absorb(
    number: FloatArray,
    count: I64Array,
    hit: IntArray,
    table: FloatArray,
    seen: IntArray,
    row: IntArray,
    pts_s: float,
    n_init: int,
    terms: ScoreTerms | None,
) -> None:
    """Update the tracks that were detected, all but the vote for their label, in place.

    Args:
        number: (NUMBERS, N) rows.
        count: (COUNTS, N) rows.
        hit: (K,) of the N, each once.
        table: (10, M) of `Measured`.
        seen: (K,) their detections, of the M.
        row: (M,) of each detection in its frame.
        pts_s: the time.
        n_init: detections that make a track.
        terms: what their scores tell.
    """
    part, measured = number.take(hit, axis=1), table.take(seen, axis=1)
    score = measured[9]
    motion.correct(part, measured[:4], measured[4:8])
    evidence.strengthen(part[EVIDENCE], score, terms)
    part[SEEN_S] = pts_s
    part[SCORE] = score
    part[SCORES] += score
    part[LEAD] *= _VOTE_DECAY
    number[:, hit] = part
    hits = count[HITS, hit]
    hits += 1
    count[HITS, hit] = hits
    count[DETECTION, hit] = row[seen]
    confirmed = count[CONFIRMED, hit] > 0
    if np.count_nonzero(confirmed) < len(hit):
        confirmed |= (part[EVIDENCE] >= evidence.CONFIRMED) & (hits >= n_init)
        count[CONFIRMED, hit] = confirmed


@replaceable
def weaken(number: FloatArray, absent_s: FloatArray, limit_s: float) -> None:
    """Take evidence from the tracks that were missed just now, for at most `limit_s`, in place."""
    lost = absent_s.nonzero()[0]
    if len(lost):
        evidence.after_miss(number[EVIDENCE], lost[absent_s[lost] <= limit_s])


@replaceable
def newborn(measured: FloatArray, pts_s: float, terms: ScoreTerms | None) -> FloatArray:
    """Return (NUMBERS, K) rows of objects that are seen for the first time.

    Args:
        measured: (10, K) of `Measured`.
        pts_s: the time.
        terms: what their scores tell.
    """
    number, score = motion.initiate(measured[:4]), measured[9]
    number[EVIDENCE] = evidence.after_hit(np.zeros(len(score)), evidence.log_odds_of(score, terms))
    number[SEEN_S] = pts_s
    number[SCORE] = number[SCORES] = number[LEAD] = score
    number[SHOWN : SHOWN + 4] = measured[4:8]
    return number


Shown = tuple[IntArray, I64Array, F32Array, F32Array, I64Array, F32Array]
"""Rows; their id, (K, 4) xyxy, score, detection and missed_s, as `Tracks` has them."""


@replaceable
def shown(number: FloatArray, count: I64Array, absent_s: FloatArray, limit_s: float) -> Shown:
    """Return what is reported: confirmed tracks, not doubtful, missed for at most `limit_s`."""
    is_shown: npt.NDArray[np.bool_] = absent_s <= limit_s
    is_shown &= count[CONFIRMED] > 0
    is_shown &= number[EVIDENCE] >= evidence.HIDDEN
    row = is_shown.nonzero()[0]
    part, missed_s = number[SCORE:].take(row, axis=1), absent_s[row]
    score, corners, detection = part[0], part[1:], count[DETECTION, row]
    missed = missed_s.nonzero()[0]
    if len(missed):
        corners[:, missed] = motion.corners_of(number.take(row[missed], axis=1))
        detection[missed] = -1
    xyxy = corners.T.astype(np.float32, order="C")
    return row, count[ID, row], xyxy, score.astype(np.float32), detection, missed_s.astype(np.float32)
