"""Whether the time of day can be believed, for who removes what is too old by it."""

from __future__ import annotations

import time
from collections.abc import Callable

_LEAP_S = 60.0
"""A time server moves a clock by less than this without a leap."""
_PROBATION_S = 3600.0
_LATELY_S = 2 * 86_400.0


def up_s() -> float:
    """Return seconds since this box was started, where the system tells also those for which it slept."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SteadyClock:
    """Watches the time of day against a clock that nobody sets.

    A box without a battery begins with any time of day, and a time server or a person sets it by years. By a
    clock that is a year ahead all is too old, and what is removed then is still gone when the clock is right
    again. So nothing counts as old before the time of day has gone on for an hour without a leap.

    Args:
        utc_ns: the time of day, ns since 1970.
        up: the clock that nobody sets, s; it goes on while the box sleeps, or that is a leap.
    """

    def __init__(
        self,
        utc_ns: Callable[[], int] = time.time_ns,
        up: Callable[[], float] = up_s,
    ) -> None:
        self._utc_ns = utc_ns
        self._up_s = up
        self._since_s = up()
        self._is_new = True
        self._offset_ns = self._difference_ns()

    def look(self) -> int:
        """Return by how much the time of day has leapt since the last look, ns; 0: it has not."""
        before_ns, self._offset_ns = self._offset_ns, self._difference_ns()
        leap_ns = self._offset_ns - before_ns
        if abs(leap_ns) <= _LEAP_S * 1e9:
            return 0
        self._since_s, self._is_new = self._up_s(), False
        return leap_ns

    def is_steady(self) -> bool:
        """Whether there was no leap for an hour, as far as it was looked; looks itself."""
        self.look()
        return self._up_s() - self._since_s >= _PROBATION_S

    def vouch(self, stored_ns: int) -> None:
        """Believe it from the start if what was stored last, before this start, was stored lately.

        For runs that are shorter than an hour. Only the first call counts: later ones would hear of what was
        stored since.

        Args:
            stored_ns: when that was, UTC.
        """
        self.look()
        if self._is_new and 0 <= self._utc_ns() - stored_ns <= _LATELY_S * 1e9:
            self._since_s = float("-inf")
        self._is_new = False

    def _difference_ns(self) -> int:
        return self._utc_ns() - round(self._up_s() * 1e9)
