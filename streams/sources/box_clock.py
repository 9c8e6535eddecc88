"""The clocks of this box, handed in so that tests set the time, and media time made of what they say."""

from __future__ import annotations

import threading
import time

from pipeline.moment import Clock, Moment


class BoxClock:
    """The system's monotonic and wall clocks; a test hands in its own."""

    def monotonic_s(self) -> float:
        """Return monotonic seconds, the same clock as `Frame.arrived_s`."""
        return time.monotonic()

    def utc_ns(self) -> int:
        """Return UTC, ns since 1970-01-01."""
        return time.time_ns()

    def wait(self, stop: threading.Event, until_s: float) -> bool:
        """Wait until the monotonic time `until_s`, or shorter if `stop` is set; return whether it is."""
        return stop.wait(max(0.0, until_s - self.monotonic_s()))


class ArrivalTimes:
    """Gives the pictures of one connection their moments from when they were there, on the monotonic clock.

    Args:
        clock: of this box.
    """

    def __init__(self, clock: BoxClock) -> None:
        self._clock = clock
        self._first_s: float | None = None
        self.last_s: float | None = None

    def moment(self, at_s: float, uncertainty_ns: int | None = None) -> Moment | None:
        """Return the moment of a picture, or None if it is no later than the one before it.

        The wall clock is read now and counted back, so that a picture keeps its place when that clock is set.

        Args:
            at_s: monotonic time of the picture, s.
            uncertainty_ns: half width of the interval it is known to.
        """
        if self._first_s is None:
            self._first_s = at_s
        pts_s = round(at_s - self._first_s, 9)
        if self.last_s is not None and pts_s <= self.last_s:
            return None
        self.last_s = pts_s
        age_ns = round((self._clock.monotonic_s() - at_s) * 1e9)
        return Moment(pts_s, self._clock.utc_ns() - age_ns, Clock.ARRIVAL, uncertainty_ns)
