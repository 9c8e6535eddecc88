"""Media time of a live stream: strictly increasing seconds from whatever time stamps come in."""

from __future__ import annotations

from dataclasses import dataclass

_WRAPS = (1 << 32, 1 << 33)
"""Ticks after which RTP's and RTMP's (32 bits) and MPEG-TS' (33 bits) time stamps begin anew."""
_WRAP_SLACK_S = 30.0
_RESTART_PICTURES = 3
_JUMP_S = 2.0
_PAUSE_RATIO = 10.0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a picture lies in media time.

    Attributes:
        pts_s: seconds since the first picture; None when it has no time that can be trusted.
        cause: of the gap right before it (see `Gap.cause`), "" when there is none.
        missing_s: media time that is missing there, None when it cannot be known.
        detail: one line for a person about the gap, or about why the picture has no time.
    """

    pts_s: float | None
    cause: str = ""
    missing_s: float | None = None
    detail: str = ""


class MediaTime:
    """Judges the time stamps of one live connection's pictures, in the order in which they are shown.

    Stamps are believed, with four exceptions. Where they wrap around, they go on. A picture without a stamp,
    or whose stamp does not advance, gets no time. Where stamps go on from an earlier time for three pictures
    in a row, or run ahead of the clock of this box by more than two seconds at once, the camera has set its
    clock: media time goes on by the time that passed here. A pause of over two seconds that the clock of
    this box saw, too, is media that was not sent.

    Args:
        tick_s: seconds per unit of the stamps.
    """

    def __init__(self, tick_s: float) -> None:
        self.last_s: float | None = None
        self._tick_s = tick_s
        self._wrapped = 0
        self._last_ticks = 0
        self._shift_s = 0.0
        self._arrived_s = 0.0
        self._step_s = 0.0
        self._longest_s = 0.0
        self._behind: list[int] = []

    def frozen_s(self, arrived_s: float) -> float:
        """Return for how long media time has stood still at a picture that arrived then."""
        return 0.0 if self.last_s is None else max(0.0, arrived_s - self._arrived_s)

    def place(self, ticks: int | None, arrived_s: float) -> Placed:
        """Place the next picture.

        Args:
            ticks: its time stamp in units of `tick_s`.
            arrived_s: when it arrived by the monotonic clock of this box, seconds; never less than before.
        """
        if ticks is None:
            return Placed(None, detail="a picture has no time stamp")
        if self.last_s is None:
            self._shift_s = -ticks * self._tick_s
            self._accept(0.0, ticks, arrived_s)
            return Placed(0.0)
        ticks = self._unwrapped(ticks)
        stamp_s = ticks * self._tick_s + self._shift_s
        step_s = stamp_s - self.last_s
        if ticks <= self._last_ticks or round(step_s, 9) <= 0:
            return self._behind_last(ticks, stamp_s, arrived_s, self.last_s)
        waited_s = max(0.0, arrived_s - self._arrived_s)
        if step_s > waited_s + _JUMP_S:
            return self._restart(
                ticks, arrived_s, f"time stamps jump ahead by {step_s:.3f} s within {waited_s:.3f} s"
            )
        pause_s = max(_JUMP_S, _PAUSE_RATIO * self._longest_s)
        usual_s = self._step_s
        after_s = self.last_s
        is_pause = self._longest_s > 0 and step_s > pause_s
        if not is_pause:
            self._step_s = step_s
            self._longest_s = max(self._longest_s, step_s)
        pts_s = self._accept(stamp_s, ticks, arrived_s)
        if is_pause:
            missing_s = round(step_s - usual_s, 9)
            return Placed(
                pts_s, "no data", missing_s, f"nothing was sent from {after_s:.3f} s to {pts_s:.3f} s"
            )
        return Placed(pts_s)

    def _unwrapped(self, ticks: int) -> int:
        ticks += self._wrapped
        for wrap in _WRAPS:
            if abs(ticks + wrap - self._last_ticks) * self._tick_s < _WRAP_SLACK_S:
                self._wrapped += wrap
                return ticks + wrap
        return ticks

    def _behind_last(self, ticks: int, stamp_s: float, arrived_s: float, last_s: float) -> Placed:
        if self._behind and ticks <= self._behind[-1]:
            self._behind.clear()
        self._behind.append(ticks)
        if len(self._behind) >= _RESTART_PICTURES:
            return self._restart(
                ticks, arrived_s, f"time stamps go back from {last_s:.3f} s to {stamp_s:.3f} s"
            )
        return Placed(
            None, detail=f"a picture's time stamp does not advance: {stamp_s:.3f} s after {last_s:.3f} s"
        )

    def _restart(self, ticks: int, arrived_s: float, detail: str) -> Placed:
        """Go on from the last picture by the time that passed here: the stamps do not say how long it was."""
        passed_s = max(arrived_s - self._arrived_s, self._step_s, self._tick_s)
        pts_s = (self.last_s or 0.0) + passed_s
        self._shift_s = pts_s - ticks * self._tick_s
        return Placed(self._accept(pts_s, ticks, arrived_s), "timestamp jump", None, detail)

    def _accept(self, pts_s: float, ticks: int, arrived_s: float) -> float:
        # Whole nanoseconds, free of rounding noise; never two pictures at one, whatever the tick.
        rounded_s = round(pts_s, 9)
        if self.last_s is not None and rounded_s <= self.last_s:
            rounded_s = round(self.last_s + 1e-9, 9)
        self.last_s = rounded_s
        self._last_ticks = ticks
        self._arrived_s = arrived_s
        self._behind.clear()
        return rounded_s
