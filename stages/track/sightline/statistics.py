"""Normal distributions that are learned while running, and what they say for one of two hypotheses."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray

AnyFloats = npt.NDArray[np.floating]


class Normal:
    """A normal distribution that begins with an opinion, learns from samples, and slowly forgets.

    Args:
        mean: of the opinion.
        deviation: its standard deviation.
        weight: how many samples the opinion is worth.
        memory: the latest so many samples count; older ones fade.
    """

    def __init__(self, mean: float, deviation: float, weight: float, memory: float) -> None:
        self.mean = mean
        self.variance = deviation * deviation
        self.samples = 0.0
        self._weight = weight
        self._memory = memory

    def learn(self, values: AnyFloats) -> None:
        """Take the (K,) samples into account."""
        k = len(values)
        if not k:
            return
        share = k / (self.samples + self._weight + k)
        self.samples = min(self.samples + k, self._memory)
        centre = float(values.sum()) / k
        offset = values - centre
        spread = float(offset.dot(offset)) / k
        step = centre - self.mean
        self.mean += share * step
        self.variance += share * (spread + (1 - share) * step * step - self.variance)


Terms = tuple[float, float, float, float, float]
"""What `log_ratio` needs of two distributions: means, 1 / (2 variances), and the constant."""


def terms_of(low: Normal, high: Normal, floor: float) -> Terms:
    """Return the terms of two hypotheses, that of small values first.

    Args:
        low: has the smaller mean.
        high: has the larger.
        floor: standard deviation that is always there.
    """
    below, above = low.variance + floor * floor, high.variance + floor * floor
    return low.mean, high.mean, 1 / (2 * below), 1 / (2 * above), 0.5 * math.log(above / below)


def log_ratio(values: FloatArray, terms: Terms) -> FloatArray:
    """Return (K,): the log likelihood of each value under the first hypothesis against that under the second.

    The first is the hypothesis of small values. What is beyond either mean counts as at the mean: a value
    that is smaller than small is not evidence against it.
    """
    low, high, per_below, per_above, constant = terms
    under_low, ratio = values - low, values - high
    np.maximum(under_low, 0.0, out=under_low)
    np.minimum(ratio, 0.0, out=ratio)
    under_low *= under_low
    under_low *= per_below
    ratio *= ratio
    ratio *= per_above
    ratio -= under_low
    ratio += constant
    return ratio
