"""Hands pictures on at the speed of their media time, where they come in lumps or as fast as one asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LATE_S = 0.5
_FAR_S = 30.0


class Pacer:
    """Waits until a picture is due; used by one thread.

    The first picture is due at once, the others as much later as media time says. Who comes late by more
    than half a second has run dry (a segment was not there yet): everything is later by that from there on.

    Args:
        stop: ends the waiting at once when set.
        monotonic_s: the clock, seconds.
        wait: waits for so many seconds at most, and tells whether to stop.
    """

    def __init__(
        self,
        stop: threading.Event,
        monotonic_s: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._stop = stop
        self._monotonic_s = monotonic_s
        self._wait = stop.wait if wait is None else wait
        self._start_s: float | None = None

    def __call__(self, pts_s: float) -> bool:
        """Wait until the picture at this media time is due; return False to stop."""
        now_s = self._monotonic_s()
        ahead_s = 0.0 if self._start_s is None else self._start_s + pts_s - now_s
        if self._start_s is None or not -_LATE_S <= ahead_s <= _FAR_S:
            self._start_s = now_s - pts_s
            ahead_s = 0.0
        if ahead_s > 0 and self._wait(ahead_s):
            return False
        return not self._stop.is_set()
