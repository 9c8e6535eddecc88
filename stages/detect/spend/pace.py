"""How often a detector looks: as often as it should, and no more often than it may."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stages.detect.spend.options import SpendOptions

# Share of a stream's time that detection takes by itself, so that the stages after it have theirs.
_LIVE_SHARE = 0.7
# A live stream may lose frames although detection keeps its share: others want the box. The share shrinks by
# this factor for each second with such a loss, and grows back by so much in one without.
_BACK_OFF, _RECOVER_PER_S, _LEAST_SHARE = 0.8, 0.05, 0.1
_SETTLE_S = 1.0
# What a look costs is averaged over about so many looks.
_MEMORY = 8
_ROUNDING_S = 1e-6
_MOST_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Beat:
    """What a pacer needs of a frame: its place in its run, and its media time."""

    run: str
    sequence: int
    pts_s: float


class Pacer:
    """Says whether a frame should be looked at.

    For a recording all that counts is media time and the number of frames, so its answers do not depend on
    the speed of the box. For a live stream `every: auto` and `budget.cpu` go by what a look costs, in seconds
    that the detector holds up its stream, and by frames that were lost on the way here.

    Args:
        options: of the detector.
    """

    def __init__(self, options: SpendOptions) -> None:
        self._every = options.every
        self._cpu = options.budget.cpu
        rate_hz = options.budget.looks_hz
        self._least_s = 0.0 if rate_hz is None else 1 / rate_hz
        self._live = False
        self._cost_s = 0.0
        self._looks = 0
        self._share = _LIVE_SHARE
        self._judged_s = -math.inf
        self._lost = False
        self._since = 0
        self._next_s: float | None = None
        self._last: Beat | None = None
        self._step_s = 0.0

    @property
    def cost_s(self) -> float:
        """Seconds that a look takes, on average of the last few."""
        return self._cost_s

    @property
    def spacing_s(self) -> float:
        """Seconds of media time that lie between two looks, at least."""
        spacing_s = self._least_s
        if self._live and self._cost_s:
            if self._cpu is not None:
                spacing_s = max(spacing_s, self._cost_s / self._cpu)
            if self._every == "auto":
                share_s = self._cost_s / self._share
                # While there is time for all of them nothing needs to be left out.
                spacing_s = max(spacing_s, share_s if share_s > self._step_s else 0.0)
        return spacing_s

    def begin(self, *, live: bool) -> None:
        """Begin anew; what a look costs is remembered.

        Args:
            live: pictures come at their own pace.
        """
        self._live = live
        self._share = _LIVE_SHARE
        self._last, self._next_s, self._lost = None, None, False

    def due(self, beat: Beat) -> bool:
        """Take the next frame, in order; return whether it should be looked at."""
        self._observe(beat)
        self._since += 1
        if self._next_s is None:
            return True
        if self._every != "auto" and self._since < self._every:
            return False
        # Frames come at a step of their own: the one nearest to the time that is due is taken.
        return beat.pts_s >= self._next_s - self._step_s / 2 - _ROUNDING_S

    def looked(self, pts_s: float) -> None:
        """Note that the frame at `pts_s` is looked at."""
        # From when it was due, so that the rate holds on average; time without looks is not made up for.
        spacing_s = self.spacing_s
        due_s = pts_s if self._next_s is None else max(self._next_s, pts_s - spacing_s / 2)
        self._next_s, self._since = due_s + spacing_s, 0

    def paid(self, seconds: float, looks: int) -> None:
        """Note what some looks cost together."""
        for _ in range(min(looks, _MEMORY)):
            self._looks = min(self._looks + 1, _MEMORY)
            self._cost_s += (seconds / looks - self._cost_s) / self._looks

    def _observe(self, beat: Beat) -> None:
        last, self._last = self._last, beat
        if last is None or last.run != beat.run or beat.pts_s <= last.pts_s:
            return
        frames = max(beat.sequence - last.sequence, 1)
        # What came during a look may be lost, that is in the nature of it; what is lost later is not.
        self._lost |= frames > 1 and self._since > 0
        step_s = min((beat.pts_s - last.pts_s) / frames, _MOST_STEP_S)
        self._step_s = step_s if self._step_s == 0.0 else self._step_s + (step_s - self._step_s) / _MEMORY
        if not self._live or beat.pts_s - self._judged_s < _SETTLE_S:
            return
        seconds = min(beat.pts_s - self._judged_s, 10.0)
        if self._lost:
            self._share = max(self._share * _BACK_OFF, _LEAST_SHARE)
        else:
            self._share = min(self._share + _RECOVER_PER_S * seconds, _LIVE_SHARE)
        self._judged_s, self._lost = beat.pts_s, False
