"""How much of the time was really watched: between which frames there were pictures, and places to trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.frame import Frame

SPARSE_S = 5.0
"""Between pictures further apart an object may pass unseen, whatever the reason."""


class Span(NamedTuple):
    """A piece of UTC that was seen, [start, end) ns; `suspended` where places could not be trusted."""

    start_ns: int
    end_ns: int
    suspended: bool


@dataclass(frozen=True, slots=True)
class _Previous:
    """What is needed of the frame before; the frame itself would keep its picture."""

    run: str
    pts_s: float
    time_ns: int
    suspended: bool


class Coverage:
    """Turns the frames of one stream into the spans that were seen.

    From each frame to the next the scene counts as seen: a slow camera and a busy box still see. It does not
    where they are more than `SPARSE_S` apart, where a frame says that media is missing before it, where the
    media clock began anew, nor for what the wall clock jumped over without media.
    """

    def __init__(self) -> None:
        self._previous: _Previous | None = None

    def add(self, frame: Frame) -> Span | None:
        """Return what was seen between the frame before and this one, None if nothing."""
        now = frame.moment
        before, self._previous = (
            self._previous,
            _Previous(frame.run, now.pts_s, now.time_ns, frame.suspended is not None),
        )
        if before is None or not (before.run == frame.run or before.pts_s < now.pts_s):
            return None
        media_s = now.pts_s - before.pts_s
        if media_s > SPARSE_S and frame.gap is None:
            return None
        if frame.gap is not None:
            media_s = 0.0 if frame.gap.seconds is None else media_s - frame.gap.seconds
        seen_ns = min(round(media_s * 1e9), now.time_ns - before.time_ns)
        if seen_ns <= 0:
            return None
        return Span(before.time_ns, before.time_ns + seen_ns, before.suspended)
