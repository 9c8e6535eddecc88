"""Puts pictures on the media clock: strictly increasing times from whatever time stamps a file has."""

from __future__ import annotations

from dataclasses import dataclass

_RESTART_PICTURES = 3
_PAUSE_S = 2.0
_PAUSE_RATIO = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies on the media clock.

    Attributes:
        pts_s: its time, None when it has none that can be trusted.
        missing_s: media time between the end of the picture before it and this one, None when unknown.
        trouble: what is wrong with its time stamp, or with the step to it; "" when nothing is.
    """

    pts_s: float | None
    missing_s: float | None = 0.0
    trouble: str = ""


class Timeline:
    """Judges the time stamps of one file's pictures, in the order in which they are shown.

    No time is invented: a picture without a stamp, one that repeats or goes back, and a single one that
    runs ahead of its follower are refused. Where the file's clock itself starts anew (recordings joined end
    to end), i.e. when three pictures in a row go on from an earlier time, the media clock goes on from the
    last good picture with the true distances after it; how long the break was is unknown.

    Args:
        origin_s: stamp that is media time 0; None to take the first good picture's.
        steady: whether pictures come without long pauses, as in a transport stream; then a pause of over 2 s
            and over ten times the longest so far is missing media. Elsewhere it is a scene that stood still:
            recorders of screens and some cameras skip pictures that do not change.
    """

    def __init__(self, origin_s: float | None, *, steady: bool) -> None:
        self.last_s: float | None = None
        self._origin_s = origin_s
        self._steady = steady
        self._step_s = 0.0
        self._longest_s = 0.0
        self._behind_s: list[float] = []

    @property
    def end_s(self) -> float:
        """Media time at which the last placed picture ends, going by the latest step; 0 before the first."""
        return 0.0 if self.last_s is None else self.last_s + self._step_s

    def media_s(self, stamp_s: float) -> float:
        """Convert a time stamp of the file to media time."""
        return _to_ns(stamp_s - (stamp_s if self._origin_s is None else self._origin_s))

    def missing_until(self, stamp_s: float) -> float:
        """Return the media time between the end of the last placed picture and a time stamp, at least 0."""
        return _to_ns(max(0.0, self.media_s(stamp_s) - self.end_s))

    def place(self, stamp_s: float | None, following_s: float | None, *, after_loss: bool = False) -> Place:
        """Place the next picture.

        Args:
            stamp_s: its time stamp.
            following_s: the stamp of the picture after it, None at the end or when it has none.
            after_loss: True when pictures were lost right before it, so that the step to it is no measure.
        """
        if stamp_s is None:
            return Place(None, None, "a picture has no time stamp")
        pts_s = self.media_s(stamp_s)
        if self.last_s is not None and pts_s <= self.last_s:
            return self._place_behind(stamp_s, pts_s, self.last_s)
        if following_s is not None and following_s < stamp_s:
            next_s = self.media_s(following_s)
            if self.last_s is None or next_s > self.last_s:
                return Place(
                    None, None, f"a picture's time runs ahead to {pts_s:.3f} s, the next has {next_s:.3f} s"
                )
        if self._origin_s is None:
            self._origin_s = stamp_s
        return self._accept(pts_s, after_loss)

    def _place_behind(self, stamp_s: float, pts_s: float, last_s: float) -> Place:
        if self._behind_s and pts_s <= self._behind_s[-1]:
            self._behind_s.clear()
        self._behind_s.append(pts_s)
        trouble = f"time goes back from {last_s:.3f} s to {self._behind_s[0]:.3f} s"
        if len(self._behind_s) < _RESTART_PICTURES:
            return Place(None, None, trouble)
        self._step_s = self._behind_s[-1] - self._behind_s[-2]
        resumed_s = _to_ns(self.end_s)
        self._origin_s = stamp_s - resumed_s
        self._behind_s.clear()
        self.last_s = resumed_s
        return Place(resumed_s, None, trouble)

    def _accept(self, pts_s: float, after_loss: bool) -> Place:
        self._behind_s.clear()
        missing_s = _to_ns(max(0.0, pts_s - self.end_s))
        trouble = ""
        if self.last_s is not None and not after_loss:
            step_s = pts_s - self.last_s
            pause_s = max(_PAUSE_S, _PAUSE_RATIO * self._longest_s)
            if self._steady and self._longest_s > 0 and step_s > pause_s:
                trouble = f"time jumps from {self.last_s:.3f} s to {pts_s:.3f} s"
            else:
                self._step_s = step_s
                self._longest_s = max(self._longest_s, step_s)
        self.last_s = pts_s
        return Place(pts_s, missing_s, trouble)


def _to_ns(seconds: float) -> float:
    """Round to whole nanoseconds: container ticks as they are meant, free of rounding noise."""
    return round(seconds, 9)
