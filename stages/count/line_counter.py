"""Decides which tracks have crossed a line, from their positions alone: a library without the engine.

A crossing is made by the path between successive positions, which is straight from each to the next, so an
object that jumps over the line counts. It is *final* once the object has stayed beyond the band around the
line for the hold time, so one that waits on the line, dithers or flickers does not count again and again.

         . . . . . . . . . . .        Around the line lies the band; what happens in it stays open.
       .   start -------> end  .      From beyond the band over the line to beyond the band on the
         . . . . . . . . . . .        other side: that is one crossing. Around an end: none.

All moments (coming into the band, meeting the line, leaving the band) are interpolated on the path. So a path
counts the same however densely it was sampled: further points on its straight parts change nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from stages.count.geometry import F64Array, Polyline
from stages.count.lines.counters import LineCounters
from stages.count.lines.crossing import TRAIL_POINTS, Crossing, TimedPoint
from stages.count.lines.watch import LineWatch

__all__ = ["TRAIL_POINTS", "Crossing", "LineCounter", "TimedPoint"]


class LineCounter:
    """Finds the crossings of one line by many tracks.

    Give it *observed* positions only. A predicted position is no evidence, and across a time without
    observations the path is the straight line between the two observed ends of it.

    A track that is first seen within the band does not count when it merely leaves. A track that comes
    back counts in the other direction. One that goes around an end of the line does not count for that,
    neither far out nor within the band.

    Args:
        line: px.
        band_px: distance from the line that must be exceeded on either side.
        hold_s: media time that a track must stay beyond the band before its crossing is final.
        vanished_s: a track unobserved for this long has left; if it was last seen beyond the band, its
            crossing is final although the hold time has not passed.
        forget_s: a track unobserved for longer is forgotten; should its id return, it is new here.
        labels: count only these classes; None counts all. The class is judged when a crossing is final.

    Raises:
        ValueError: if tracks would be forgotten before they count as vanished.
    """

    def __init__(
        self,
        line: Polyline,
        *,
        band_px: float,
        hold_s: float,
        vanished_s: float = 1.0,
        forget_s: float = 10.0,
        labels: Collection[str] | None = None,
    ) -> None:
        if forget_s < vanished_s:
            raise ValueError(f"forget_s ({forget_s}) must not be less than vanished_s ({vanished_s})")
        counted = None if labels is None else frozenset(labels)

        def wanted(label: str, _: Mapping[str, str]) -> bool:
            return counted is None or label in counted

        watch = LineWatch(line, band_px, hold_s, vanished_s, wanted)
        self._counters = LineCounters([watch], forget_s)

    def __len__(self) -> int:
        """Return the number of tracks that are remembered."""
        return len(self._counters)

    def update(
        self, time_s: float, ids: Sequence[int], points: F64Array, labels: Sequence[str]
    ) -> list[Crossing]:
        """Take the positions observed at `time_s`; call it for every frame, also without any.

        Args:
            time_s: media time, never less than before.
            ids: (N,) track ids, each once.
            points: (N, 2) float64 px, the tracks' anchors.
            labels: (N,) classes.

        Returns:
            The crossings that became final, in the order of `ids`, then those of vanished tracks.
        """
        return [crossing for _, crossing in self._counters.update(time_s, ids, points, labels)]

    def finish(self) -> list[Crossing]:
        """Return the crossings that are final because nothing more will be seen; forget all tracks."""
        return [crossing for _, crossing in self._counters.finish()]
