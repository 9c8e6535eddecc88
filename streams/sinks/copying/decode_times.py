"""Decoding times for packets whose source tells only when they are shown."""

from __future__ import annotations

from heapq import heappop, heappush

_MOST_REORDERED = 16
"""H.264 (A.3.1) and H.265 (A.4.2) let no more pictures wait."""


class DecodeTimes:
    """Gives each packet a decoding time: increasing, and not after the time it is shown.

    A packet is decoded at the n-th smallest of the times of showing so far, n being its number less the
    depth of reordering. A larger depth than needed only makes decoding times earlier. Where the depth turns
    out to be larger than was known, it is raised, and the packets that showed it are shown a tick late.

    Args:
        reorder: known depth: how many pictures may be decoded before one that is shown earlier.
    """

    def __init__(self, reorder: int = 0) -> None:
        self._reorder = min(reorder, _MOST_REORDERED)
        self._waiting: list[int] = []
        self._last: int | None = None

    def place(self, pts: int, dts: int | None, step: int) -> tuple[int, int]:
        """Return (pts, dts) of the next packet, ticks.

        Args:
            pts: when it is shown.
            dts: when it is decoded, if that is known.
            step: about the distance of two pictures; used before the first is shown.
        """
        if dts is None:
            dts = self._next(pts, max(step, 1))
        if self._last is not None and dts <= self._last:
            dts = self._last + 1
        self._last = dts
        if pts < dts:
            self._reorder = min(self._reorder + 1, _MOST_REORDERED)
        return max(pts, dts), dts

    def _next(self, pts: int, step: int) -> int:
        heappush(self._waiting, pts)
        if len(self._waiting) > self._reorder:
            return heappop(self._waiting)
        if self._last is not None:  # the depth was raised in the midst: the time between two stays unused
            return self._last + 1
        return pts - step * self._reorder
