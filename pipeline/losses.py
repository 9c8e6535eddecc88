"""Frames that a stage has lost: counted, and told to the frame that follows as a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import FrameLost
from pipeline.frame import Frame, Gap, joined
from pipeline.ledger import Ledger


@dataclass(frozen=True, slots=True)
class _Tail:
    """What is still to be told to the next frame.

    Attributes:
        gap: that is complete.
        after_s: media time of the last frame that was not lost, None when there was none.
        lost_s: media time of the frame right before, if it was lost; its time lasts until the next frame.
        why: it was lost.
    """

    gap: Gap | None = None
    after_s: float | None = None
    lost_s: float | None = None
    why: FrameLost | None = None

    def told_to(self, frame: Frame, own: Gap | None) -> Gap | None:
        """Return the gap of a frame that follows and has a gap of its own, or None."""
        gap = self.gap
        if self.why is not None and self.lost_s is not None:
            passed_s = frame.moment.pts_s - self.lost_s
            missing_s = passed_s - ((own.seconds if own else 0.0) or 0.0)
            # A clock that began anew says nothing of the time between.
            seconds = max(missing_s, 0.0) if passed_s > 0 else None
            gap = joined(gap, Gap(self.why.cause, self.after_s, seconds, self.why.detail))
        return joined(gap, own)

    def at_the_end(self) -> Gap | None:
        """Return what is to be told when no frame follows."""
        if self.why is None:
            return self.gap
        return joined(self.gap, Gap(self.why.cause, self.after_s, None, self.why.detail))


class Losses:
    """Keeps the frames of a batch that are left, with their gaps; used by one compute thread.

    Attributes:
        left: the frames of the batch that are not lost, oldest first; another one once a frame is lost.

    Args:
        ledger: of the stream.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before = _Tail()
        self._after = _Tail()
        self._batch: list[tuple[Frame, Gap | None]] = []
        self._lost: dict[Frame, FrameLost] = {}
        self.left: list[Frame] = []

    def begin(self, batch: Sequence[Frame]) -> None:
        """Take the next batch."""
        self._before = self._after
        self._batch = [(frame, frame.gap) for frame in batch]
        self._lost.clear()
        self.left = list(batch)
        self._hand_on()

    def lose(self, stage: str, frame: Frame, why: FrameLost) -> None:
        """Take a frame out of the batch; the one that follows it gets a gap, now or in the next batch."""
        self._lost[frame] = why
        self.left = [one for one in self.left if one is not frame]
        self._ledger.drop(stage, why.cause)
        self._hand_on()

    def at_the_end(self) -> Gap | None:
        """Return what no frame was told because none followed."""
        return self._after.at_the_end()

    def _hand_on(self) -> None:
        """Set the gap of each frame that is left from what was lost before it."""
        tail = self._before
        if not self._lost and self._batch:  # as nearly always: only the first may follow a loss
            frame, own = self._batch[0]
            frame.gap = tail.told_to(frame, own)
            self._after = _Tail(after_s=self._batch[-1][0].moment.pts_s)
            return
        for frame, own in self._batch:
            gap = tail.told_to(frame, own)
            why = self._lost.get(frame)
            if why is None:
                frame.gap = gap
                tail = _Tail(after_s=frame.moment.pts_s)
            else:
                tail = _Tail(gap, tail.after_s, frame.moment.pts_s, why)
        self._after = tail
