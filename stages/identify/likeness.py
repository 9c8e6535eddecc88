"""What it means that two objects look alike: how much more often the same one does than two different ones.

The cosine between two descriptions has another scale for each embedding and each pair of cameras. So it is
not compared with a limit; it is put into two normal distributions, of the same object and of different ones,
which are learned while running: first from within one camera, where objects that are seen together are
different and the looks of one track are the same, then from the matches themselves, each by its probability.
"""

from __future__ import annotations

from math import exp, log, sqrt

from stages.identify.running import Running

_MEMORY = 400.0
_NARROWEST = 0.02
_LEAST = 8.0
"""So many comparisons within a camera make a first guess."""
_GUESS = 4.0
"""So many comparisons across cameras is that guess worth."""
_ACROSS = 0.5
"""Between two cameras the same object looks less like itself: first guess, as a share of the way from the
likeness of different ones to that of the same one within a camera."""
_MOST_SAID = log(100.0)
"""Looks alone never say more than 100 to 1, either way: clothes are bought twice, and the tails of the two
distributions are not known."""


class Likeness:
    """The two distributions of the cosine for one pair of cameras."""

    def __init__(self) -> None:
        self._within_same = Running(_MEMORY)
        self._within_other = Running(_MEMORY)
        self._same = Running(_MEMORY)
        self._other = Running(_MEMORY)

    def see_within(self, same: float | None, others: tuple[float, ...]) -> None:
        """Learn from one camera.

        Args:
            same: cosine between two halves of one track's looks.
            others: cosines with objects that were seen at the same moment.
        """
        if same is not None:
            self._within_same.add(same, 1.0)
        for cosine in others:
            self._within_other.add(cosine, 1.0 / len(others))

    def learn(self, cosine: float, probability: float) -> None:
        """Learn from a pair across cameras that was the same object with this probability.

        Squared, as many doubtful candidates would together outweigh the one that is right, and make the
        distribution of the same object a wide one, which says little.
        """
        self._same.add(cosine, probability**2)
        self._other.add(cosine, 1.0 - probability)

    @property
    def distributions(self) -> tuple[float, float, float, float] | None:
        """Mean and standard deviation of the same, then of different ones; None while too little is known."""
        if self._within_same.weight < _LEAST or self._within_other.weight < 1.0:
            return None
        far, near = self._within_other.mean, self._within_same.mean
        guess = far + _ACROSS * (near - far)
        same = self._same.with_guess(guess, max(_NARROWEST, (near - far) / 3), _GUESS)
        other = self._other.with_guess(far, self._within_other.deviation, _GUESS)
        return same.mean, max(_NARROWEST, same.deviation), other.mean, max(_NARROWEST, other.deviation)

    def ratio(self, cosine: float | None) -> float:
        """Return the likelihood ratio of same to different; 1 where looks say nothing.

        It never falls with the cosine: to look more alike than the same object usually does is no evidence
        against it, and less alike than different ones no evidence for it.
        """
        known = self.distributions
        if cosine is None or known is None:
            return 1.0
        same, same_width, other, other_width = known
        if same <= other:
            return 1.0
        for_same = -((min(0.0, cosine - same) / same_width) ** 2) / 2 - log(same_width)
        for_other = -((max(0.0, cosine - other) / other_width) ** 2) / 2 - log(other_width)
        return exp(min(_MOST_SAID, max(-_MOST_SAID, for_same - for_other)))


def separation(likeness: Likeness) -> float | None:
    """Return by how many standard deviations same and different ones lie apart; None while unknown."""
    known = likeness.distributions
    if known is None:
        return None
    same, same_width, other, other_width = known
    return (same - other) / sqrt((same_width**2 + other_width**2) / 2)
