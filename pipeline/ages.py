"""How old live frames are at each step: counts in buckets of fixed bounds, however long a run is."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass

BOUNDS_S: tuple[float, ...] = tuple(round(1e-3 * 10 ** (k / 8), 6) for k in range(41))
"""Upper bounds of the buckets, 1 ms to 100 s, a third apart."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The ages seen at one step.

    Attributes:
        counts: frames by bucket; the last, beyond `BOUNDS_S`, is for all that are older.
        total_s: their sum.
        latest_s: of the latest frame.
    """

    counts: tuple[int, ...]
    total_s: float
    latest_s: float

    def percentile_s(self, percent: float) -> float:
        """Return the age that so many percent of the frames did not exceed, interpolated in its bucket."""
        frames = sum(self.counts)
        if not frames:
            return 0.0
        wanted, below = frames * percent / 100, 0
        for bucket, count in enumerate(self.counts):
            if count and below + count >= wanted:
                if bucket == len(BOUNDS_S):
                    return BOUNDS_S[-1]
                low_s = BOUNDS_S[bucket - 1] if bucket else 0.0
                return low_s + (BOUNDS_S[bucket] - low_s) * (wanted - below) / count
            below += count
        return BOUNDS_S[-1]


class Ages:
    """The ages of one stream's frames by step; safe to use from all of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, tuple[float, float]] = {}

    def note(self, step: str, age_s: float) -> None:
        """Count a frame that is `age_s` old when `step` has done with it."""
        bucket = bisect_left(BOUNDS_S, age_s)
        with self._lock:
            counts = self._counts.setdefault(step, [0] * (len(BOUNDS_S) + 1))
            counts[bucket] += 1
            total_s, _ = self._sums.get(step, (0.0, 0.0))
            self._sums[step] = (total_s + age_s, age_s)

    def spreads(self) -> dict[str, Spread]:
        """Return what was seen so far, by step, in the order of their first frame."""
        with self._lock:
            return {step: Spread(tuple(counts), *self._sums[step]) for step, counts in self._counts.items()}

    def summary_ms(self) -> dict[str, dict[str, float]]:
        """Return the median, 99th percentile and latest age by step, in ms."""
        return {
            step: {
                "p50": round(1e3 * spread.percentile_s(50), 1),
                "p99": round(1e3 * spread.percentile_s(99), 1),
                "latest": round(1e3 * spread.latest_s, 1),
            }
            for step, spread in self.spreads().items()
        }
