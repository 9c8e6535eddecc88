"""How long each step takes, so that a report can say where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Sums busy wall time by step; each step is written by one thread only."""

    def __init__(self) -> None:
        self._busy_s: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Add the time of the `with` block to `step`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._busy_s[step] = self._busy_s.get(step, 0.0) + time.perf_counter() - start

    def per_frame_ms(self, frames: int) -> dict[str, float]:
        """Return milliseconds per frame by step, in the order in which the steps first ran."""
        return {step: round(busy_s * 1e3 / max(1, frames), 3) for step, busy_s in list(self._busy_s.items())}
