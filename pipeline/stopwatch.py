"""How long each step takes, so that a report can say where the time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Sums busy wall time and frames by step; each step is written by one thread only.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._spent: dict[str, tuple[float, int]] = {}

    @contextmanager
    def measure(self, step: str, frames: int = 0) -> Iterator[None]:
        """Add the time of the `with` block to `step`, and the number of frames that it handles."""
        start = self._clock()
        try:
            yield
        finally:
            before_s, before = self._spent.get(step, (0.0, 0))
            self._spent[step] = (before_s + self._clock() - start, before + frames)

    def per_frame_ms(self) -> dict[str, float]:
        """Return milliseconds by step, per frame that it handled, in the order of their first run."""
        spent = list(self._spent.items())
        return {step: round(busy_s * 1e3 / frames, 3) for step, (busy_s, frames) in spent if frames}
