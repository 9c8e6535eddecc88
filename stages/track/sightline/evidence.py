"""Whether a track is an object at all: log-odds that grow with every detection and shrink with every miss.

A false detection seldom comes again in the same place, and a place that fires again and again does so with
low scores and long pauses. How scores of objects and of false detections differ is learned while tracking:
objects are what was followed for long, false is what came once or twice and never again.
"""

from __future__ import annotations

import numpy as np

from stages.track.boxes import FloatArray, IntArray
from stages.track.sightline.rows import BoolArray
from stages.track.sightline.statistics import Normal, Terms, log_ratio, terms_of

CONFIRMED, CONFIRMED_AT_ONCE, HIDDEN = 3.0, 0.0, -1.0
"""From here on a track is reported; below, it is no longer."""

_HIT, _MISS = 1.3, 1.5
_LEAST, _MOST = -5.0, 10.0
# Bounds of what one score may say, and how many learned scores make it say half of it.
_SCORE_AGAINST, _SCORE_FOR, _HALF_LEARNED = -1.0, 1.0, 50.0
# From here on one more detection makes it the most, whatever its score says.
_FULL = _MOST - _HIT - _SCORE_AGAINST
_OBJECT, _FALSE, _OPINION, _MEMORY, _FLOOR = (0.8, 0.15), (0.4, 0.15), 10.0, 300.0, 0.05


class Scores:
    """What the detector's scores say, learned from this scene."""

    def __init__(self) -> None:
        self.of_objects = Normal(*_OBJECT, _OPINION, _MEMORY)
        self.of_false = Normal(*_FALSE, _OPINION, _MEMORY)

    def terms(self) -> ScoreTerms | None:
        """Return what `log_odds_of` needs; None before anything was learned."""
        learned = min(self.of_objects.samples, self.of_false.samples)
        if not learned or self.of_objects.mean <= self.of_false.mean:
            return None
        return terms_of(self.of_false, self.of_objects, _FLOOR), -learned / (learned + _HALF_LEARNED)

    def log_odds(self, score: FloatArray) -> FloatArray:
        """Return (K,): what each score says for an object; nothing before anything was learned."""
        return log_odds_of(score, self.terms())


ScoreTerms = tuple[Terms, float]
"""What the scores of objects and of false detections are like, and how much that counts."""


def log_odds_of(score: FloatArray, terms: ScoreTerms | None) -> FloatArray:
    """Return (K,): what each score says for an object; nothing without terms."""
    if terms is None:
        return np.zeros(len(score))
    ratio = log_ratio(score, terms[0])
    ratio *= terms[1]
    np.maximum(ratio, _SCORE_AGAINST, out=ratio)
    return np.minimum(ratio, _SCORE_FOR, out=ratio)


def strengthen(evidence: FloatArray, score: FloatArray, terms: ScoreTerms | None) -> None:
    """Add to the evidence of tracks that were detected with these scores, in place."""
    doubtful = (evidence < _FULL).nonzero()[0]
    stronger = None
    if len(doubtful):
        stronger = after_hit(evidence[doubtful], log_odds_of(score[doubtful], terms))
    evidence.fill(_MOST)
    if stronger is not None:
        evidence[doubtful] = stronger


def after_hit(evidence: FloatArray, score_log_odds: FloatArray) -> FloatArray:
    """Return the evidence of tracks that were detected."""
    return np.minimum(evidence + (_HIT + score_log_odds), _MOST)


def after_miss(evidence: FloatArray, missed: BoolArray | IntArray) -> None:
    """Take evidence from those that were `missed`, a mask or rows, in place."""
    evidence[missed] = np.maximum(evidence[missed] - _MISS, _LEAST)
