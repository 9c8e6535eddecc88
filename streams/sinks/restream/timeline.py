"""One line of time for a connection, over all runs of a source and what stands in between them."""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction

TICKS_PER_S = 90_000
_LEAP_S = 10.0
"""Media time that jumps by more, either way, within a run, did not pass."""
_STEP = TICKS_PER_S // 25


class Timeline:
    """Places packets, in ticks of 1/90000 s, from 0 on. Within a part their distances stay as they were.

    Each new part (a run of the source, a stand-in) begins as much later than the last packet as it came
    later, so that players neither stop nor run ahead.
    """

    def __init__(self) -> None:
        self._part: Hashable = None
        self._shift = Fraction(0)
        self._last_in_s = 0.0
        self._highest: int | None = None
        self._written_s = 0.0

    def place(
        self, part: Hashable, pts: int, dts: int | None, time_base: Fraction, now_s: float
    ) -> tuple[int, int | None]:
        """Return (pts, dts) of the next packet, ticks of 1/90000 s.

        Args:
            part: what it belongs to.
            pts: when it is shown, ticks of `time_base`.
            dts: when it is decoded, likewise; None where that is not known.
            time_base: seconds a tick.
            now_s: monotonic time, s.
        """
        scale = time_base * TICKS_PER_S
        pts_s = float(pts * time_base)
        if part != self._part or abs(pts_s - self._last_in_s) > _LEAP_S:
            first = pts if dts is None else min(pts, dts)
            self._shift = self._begin(now_s) - first * scale
            self._part = part
        self._last_in_s = pts_s
        placed = round(pts * scale + self._shift)
        decoded = None if dts is None else min(placed, round(dts * scale + self._shift))
        self._highest = placed if self._highest is None else max(self._highest, placed)
        self._written_s = now_s
        return placed, decoded

    def _begin(self, now_s: float) -> int:
        if self._highest is None:
            return 0
        passed = round((now_s - self._written_s) * TICKS_PER_S)
        return self._highest + max(_STEP, passed)
