"""The clock that the journal's events are dated with: their ages stay right when the box's clock is set."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.steady import SteadyClock

_LEAP_NS = 60_000_000_000
"""So far from where it was expected the box's clock was set; less is drift."""


class JournalClock:
    """UTC that goes on evenly from a start, and tells when it was wrong so far.

    A box without a battery begins in 1970, or where it was switched off, until the network tells it the time:
    by years at once. Whatever was dated before would be too old in that moment.

    Args:
        newest_ns: date of the newest event that there is, 0 for none; it cannot be earlier than that.
        wall_ns: UTC nanoseconds, which may leap.
        steady_ns: nanoseconds that do not.
    """

    def __init__(
        self,
        newest_ns: int = 0,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._least_ns = newest_ns - steady_ns()
        self._ahead_ns = self._wanted_ns()
        self._time_of_day = SteadyClock(wall_ns, lambda: steady_ns() / 1e9)
        if newest_ns:
            self._time_of_day.vouch(newest_ns)

    def now_ns(self) -> int:
        """Return the time."""
        return self._steady_ns() + self._ahead_ns

    def believed_ns(self) -> int:
        """Return the time to count ages by; 0, by which nothing is old, while it may be wrong.

        A clock that is years ahead at the start must not make everything too old: nobody has it yet, maybe.
        """
        return self.now_ns() if self._time_of_day.is_steady() else 0

    def leap_ns(self) -> int:
        """Follow the box's clock where it was set; return what to add to all dates since the start."""
        leap_ns = self._wanted_ns() - self._ahead_ns
        if abs(leap_ns) < _LEAP_NS:
            return 0
        self._ahead_ns += leap_ns
        return leap_ns

    def _wanted_ns(self) -> int:
        """Return how far ahead of the steady clock the box's clock puts us."""
        return max(self._wall_ns() - self._steady_ns(), self._least_ns)
