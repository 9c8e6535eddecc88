"""Mean and deviation of weighted numbers that fade."""

from __future__ import annotations

from math import sqrt
from typing import Self


class Running:
    """A weighted mean and standard deviation, of no more than `memory` numbers' weight."""

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self.weight = 0.0
        self.mean = 0.0
        self._variance = 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return sqrt(self._variance)

    def add(self, value: float, weight: float) -> None:
        """Take a number into account (West 1979, with the earlier ones fading at the bound)."""
        if weight <= 0:
            return
        before = min(self.weight, self._memory - weight)
        total = before + weight
        step = value - self.mean
        self.mean += step * weight / total
        self._variance = before / total * (self._variance + step * step * weight / total)
        self.weight = total

    def with_guess(self, mean: float, deviation: float, weight: float) -> Self:
        """Return the same together with a guess that is worth `weight` numbers."""
        both = type(self)(self._memory + weight)
        both.weight = self.weight + weight
        both.mean = (self.weight * self.mean + weight * mean) / both.weight
        own = self._variance + (self.mean - both.mean) ** 2
        guess = deviation**2 + (mean - both.mean) ** 2
        both._variance = (self.weight * own + weight * guess) / both.weight
        return both
