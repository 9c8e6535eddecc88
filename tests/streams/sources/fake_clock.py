"""A clock that tests set: it moves only when something waits for it, or when they say so."""

from __future__ import annotations

import threading

from streams.sources.box_clock import BoxClock


class FakeClock(BoxClock):
    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.waits = 0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_ns(self) -> int:
        return 1_700_000_000_000_000_000 + round(self.now_s * 1e9)

    def wait(self, stop: threading.Event, until_s: float) -> bool:
        self.waits += 1
        self.now_s = max(self.now_s, until_s)
        return stop.is_set()
