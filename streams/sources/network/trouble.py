"""Watches how decoding goes, and says why there is no picture as soon as that is clear."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.condition import Progress, Reason

_PATIENCE_S = 1.0
_FROZEN_S = 2.0
_ERRORS_IN_A_ROW = 3
_SHARE_OF = 64


class Watch:
    """Keeps `Progress.trouble` true; used by the reading thread.

    Args:
        progress: where the trouble is told.
        monotonic_s: the clock of this box, seconds.
    """

    def __init__(self, progress: Progress, monotonic_s: Callable[[], float]) -> None:
        self._progress = progress
        self._monotonic_s = monotonic_s
        self._since_s: float | None = None
        self._packets = 0
        self._errors = 0
        self._last_error = ""
        self._share = 0.0
        self._has_played = False

    def good(self) -> None:
        """Take note of a good picture with a time."""
        self._has_played = True
        self._since_s = None
        self._packets = self._errors = 0
        self._share *= 1 - 1 / _SHARE_OF
        if self._share < 0.25:
            self._progress.trouble = None

    def damaged(self, reason: str) -> None:
        """Take note of a packet that gave no good picture; no reason means that a key frame is waited for."""
        now_s = self._monotonic_s()
        if self._since_s is None:
            self._since_s = now_s
        self._packets += 1
        waited_s = now_s - self._since_s
        if reason:
            self._errors += 1
            self._last_error = reason
        if self._has_played:
            self._share += (1 - self._share) / _SHARE_OF
        if self._errors >= _ERRORS_IN_A_ROW:
            self._progress.trouble = (
                Reason.DECODE_ERRORS,
                f"{self._errors} decode errors in {waited_s:.0f} s and no good picture; {self._last_error}",
            )
        elif waited_s >= _PATIENCE_S:
            self._progress.trouble = (
                Reason.NO_KEY_FRAME,
                f"{self._packets} packets in {waited_s:.0f} s, but no key frame; shorten the camera's key "
                "frame interval",
            )
        elif self._share > 0.5:
            self._progress.trouble = (
                Reason.DECODE_ERRORS,
                f"more than half of the pictures are damaged or missing; {self._last_error}",
            )

    def timeless(self, frozen_s: float, detail: str) -> None:
        """Take note of a good picture without a usable time; `frozen_s`: how long time has stood still."""
        if frozen_s >= _FROZEN_S:
            self._progress.trouble = (
                Reason.FROZEN_CLOCK,
                f"pictures come, but their clock has stood still for {frozen_s:.0f} s; {detail}",
            )

    def remark(self) -> str:
        """Return what is known of the trouble, to be added to a message."""
        trouble = self._progress.trouble
        return f" ({trouble[1]})" if trouble else ""
