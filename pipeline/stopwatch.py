"""How long each step of a stream is busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType


class _Lap:
    """A `with` block that is timed; as a class, as a generator would cost three times as much."""

    __slots__ = ("_begun_s", "_clock", "_frames", "_spent", "_step")

    def __init__(
        self, clock: Callable[[], float], spent: dict[str, tuple[float, int]], step: str, frames: int
    ) -> None:
        self._clock, self._spent, self._step, self._frames = clock, spent, step, frames

    def __enter__(self) -> None:
        self._begun_s = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        before_s, before = self._spent.get(self._step, (0.0, 0))
        self._spent[self._step] = (before_s + self._clock() - self._begun_s, before + self._frames)


class Stopwatch:
    """Sums busy wall time and frames by step; each step is written by one thread only.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._spent: dict[str, tuple[float, int]] = {}

    def measure(self, step: str, frames: int = 0) -> _Lap:
        """Add the time of the `with` block to `step`, and the number of frames that it handles."""
        return _Lap(self._clock, self._spent, step, frames)

    def per_frame_ms(self) -> dict[str, float]:
        """Return milliseconds by step, per frame that it handled, in the order of their first run."""
        spent = list(self._spent.items())
        return {step: round(busy_s * 1e3 / frames, 3) for step, (busy_s, frames) in spent if frames}
