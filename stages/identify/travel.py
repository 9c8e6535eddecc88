"""How long the way from one gate to another takes: a log-normal distribution, given or learned.

Times of walking and driving vary by a factor, not by seconds, and have a long tail; the log-normal
distribution has both.
"""

from __future__ import annotations

from math import exp, log, pi, sqrt

_NARROWEST = 0.05
"""Smallest standard deviation of the logarithm: 5 %. Nobody's walk is more exact, and clocks are not."""
_MEMORY = 300.0
"""Most journeys that count; later ones let earlier ones fade, as the way changes with the hour."""
_GUESS, _GIVEN = 4.0, 20.0
"""How many journeys a first guess is worth, and how many a time that somebody gave."""


class TravelTime:
    """The distribution of one way's travel time, which learns from journeys that probably were one.

    Args:
        median_s: half of the journeys take less; None when nobody knows.
        spread: about two of three journeys take between median / spread and median * spread.
        longest_s: no journey takes longer.
    """

    def __init__(self, median_s: float | None, spread: float, longest_s: float) -> None:
        self._longest_s = longest_s
        known = median_s is not None
        # Not known: two of three within a factor of three around the middle of one second and the longest.
        middle = log(median_s) if median_s is not None else log(longest_s) / 2
        variance = log(spread if known else max(3.0, spread)) ** 2
        weight = _GIVEN if known else _GUESS
        self._weight, self._sum, self._squares = weight, weight * middle, weight * (variance + middle**2)

    @property
    def median_s(self) -> float:
        """The median as it is known now, seconds."""
        return exp(self._sum / self._weight)

    @property
    def spread(self) -> float:
        """The factor around the median within which two of three journeys lie."""
        return exp(self._deviation)

    @property
    def _deviation(self) -> float:
        mean = self._sum / self._weight
        return max(_NARROWEST, sqrt(max(0.0, self._squares / self._weight - mean**2)))

    def density(self, seconds: float) -> float:
        """Return the probability density of a journey of so many seconds, 1/s."""
        if not 0 < seconds <= self._longest_s:
            return 0.0
        deviation = self._deviation
        away = (log(seconds) - self._sum / self._weight) / deviation
        return exp(-away * away / 2) / (seconds * deviation * sqrt(2 * pi))

    def learn(self, seconds: float, weight: float) -> None:
        """Take a journey into account that was one with the probability `weight`."""
        if not 0 < seconds <= self._longest_s or weight <= 0:
            return
        value = log(seconds)
        kept = min(1.0, _MEMORY / (self._weight + weight))
        self._weight = kept * (self._weight + weight)
        self._sum = kept * (self._sum + weight * value)
        self._squares = kept * (self._squares + weight * value * value)
