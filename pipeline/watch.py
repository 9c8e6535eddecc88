"""Judges a connection by what it delivers: pictures whose media time goes on, not bytes and not sockets."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.backoff import KeeperOptions
from pipeline.condition import Progress, Reason, SourceState

_STALLED_S, _STALLED_SHARE = 1.5, 0.5
"""A source that shows nothing new for so long, or for this share of the patience, is called stalled."""
_INTERVALS = 3.0
"""A slow source may take so many of its own intervals."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of a connection at one moment.

    Attributes:
        state: CONNECTING, WAITING, PLAYING or STALLED.
        give_up: why it should be given up now, as a reason and one line; None to go on.
        trouble: what is known to be wrong although it may yet come right.
    """

    state: SourceState
    give_up: tuple[Reason, str] | None = None
    trouble: tuple[Reason, str] | None = None


class Watch:
    """The clock of one connection. Times are monotonic seconds.

    Attributes:
        pictures: how many have come.
        patient: see below; may be set once it is known what the source is.

    Args:
        options: how patient to be.
        progress: what the source tells of itself.
        now_s: when the connection was begun.
        patient: True for sources whose pictures come whenever they come: they are never given up.
    """

    def __init__(self, options: KeeperOptions, progress: Progress, now_s: float, *, patient: bool) -> None:
        self._options = options
        self._progress = progress
        self.patient = patient
        self._begun_s = now_s
        self._connected_s: float | None = None
        self._first_s: float | None = None
        self._picture_s: float | None = None
        self._interval_s = 0.0
        self.pictures = 0

    def picture(self, now_s: float) -> None:
        """Note that a picture with a later media time has come."""
        if self._picture_s is None:
            self._first_s = now_s
        else:
            self._interval_s = now_s - self._picture_s
        self._picture_s = now_s
        self.pictures += 1

    def handed_on(self, now_s: float) -> None:
        """Note that the picture was taken: until then the source waited for us, not we for it."""
        self._picture_s = now_s

    def played_s(self, now_s: float) -> float:
        """Return for how long the connection has had pictures, 0 without any."""
        return 0.0 if self._first_s is None else now_s - self._first_s

    def judge(self, now_s: float) -> Verdict:
        """Say where the connection stands."""
        trouble = self._progress.trouble
        if self._picture_s is not None:
            return self._of_playing(now_s - self._picture_s, trouble)
        if self._progress.connected:
            if self._connected_s is None:
                self._connected_s = now_s
            waited_s = now_s - self._connected_s
            late = trouble or (Reason.NO_DATA, "connected, but no picture came")
            give_up = self._late(waited_s, self._options.picture_s, late, "to its first picture")
            return Verdict(SourceState.WAITING, give_up, trouble)
        late = (Reason.NO_ANSWER, "no answer")
        give_up = self._late(now_s - self._begun_s, self._options.connect_s, late, "")
        return Verdict(SourceState.CONNECTING, give_up, trouble)

    def _of_playing(self, idle_s: float, trouble: tuple[Reason, str] | None) -> Verdict:
        patience_s = max(self._options.stall_s, _INTERVALS * self._interval_s)
        unusual_s = min(max(_STALLED_S, _INTERVALS * self._interval_s), _STALLED_SHARE * patience_s)
        if self.patient or idle_s <= unusual_s:
            return Verdict(SourceState.PLAYING, None, trouble)
        late = trouble or (Reason.NO_DATA, "no new picture came")
        give_up = self._late(idle_s, patience_s, late, "")
        return Verdict(SourceState.STALLED, give_up, late)

    def _late(
        self, waited_s: float, patience_s: float, late: tuple[Reason, str], until: str
    ) -> tuple[Reason, str] | None:
        if self.patient or waited_s <= patience_s:
            return None
        reason, detail = late
        return reason, " ".join(f"{detail} within {patience_s:.3g} s {until}".split())
