"""Decides which tracks have crossed a line, from their positions alone: a library without the engine.

A crossing is made by the path between two successive positions, so an object that jumps over the line
counts. It is *final* once the object has stayed beyond the band around the line for the hold time, so one
that waits on the line, dithers or flickers does not count again and again.

         . . . . . . . . . . .        Around the segment lies the band; what happens in it stays open.
       .   start -------> end  .      From beyond the band over the segment to beyond the band on the
         . . . . . . . . . . .        other side: that is one crossing. Around an end: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.count.geometry import F64Array, Point, Segment

TRAIL_POINTS = 32
"""Most positions in a crossing's trail: half before the crossing, half after it."""

TimedPoint = tuple[float, float, float]
"""Media time in seconds, x and y in pixels."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One object that went over the line.

    Attributes:
        track_id: whose.
        number: which of the track's crossings of this line it is, from 1.
        to_right: direction, see `Segment`.
        label: the track's class when the crossing became final.
        time_s: media time at which the path met the line, interpolated between two positions.
        position: where it met the line, (x, y) px.
        trail: positions around the crossing, oldest first; the last one made it final.
    """

    track_id: int
    number: int
    to_right: bool
    label: str
    time_s: float
    position: Point
    trail: tuple[TimedPoint, ...]


class _Sample(NamedTuple):
    """One observed position in relation to the line."""

    time_s: float
    position: Point
    side: int
    distance_px: float


@dataclass(frozen=True, slots=True)
class _Passage:
    """Where and when a track's path met the line, with the trail around it (which still grows)."""

    time_s: float
    position: Point
    trail: list[TimedPoint]


@dataclass(slots=True)
class _Track:
    """What is known of one track.

    Attributes:
        last: the latest observation.
        label: the class at that time.
        home: side on which the track was last settled beyond the band, 0 before that ever was.
        net: crossings of the segment since then, +1 for each to the right, -1 for each to the left.
        passage: the latest of them that led away from home.
        beyond_since_s: since when the track is seen beyond the band on the other side, while its crossing
            is not yet final; else None.
        counted: crossings that were counted.
        recent: the latest positions.
    """

    last: _Sample
    label: str
    home: int = 0
    net: int = 0
    passage: _Passage | None = None
    beyond_since_s: float | None = None
    counted: int = 0
    recent: deque[TimedPoint] = field(default_factory=lambda: deque(maxlen=TRAIL_POINTS // 2))


class LineCounter:
    """Finds the crossings of one line by many tracks.

    Give it *observed* positions only. A predicted position is no evidence, and across a time without
    observations the path is the straight line between the two observed ends of it.

    A track that is first seen within the band does not count when it merely leaves. A track that comes
    back counts in the other direction. One that goes around an end of the segment does not count for
    that, neither far out nor within the band.

    Args:
        segment: the line, px.
        band_px: distance from the segment that must be exceeded on either side.
        hold_s: media time that a track must be seen beyond the band before its crossing is final.
        vanished_s: a track unobserved for this long has left; if it was last seen beyond the band, its
            crossing is final although the hold time has not passed.
        forget_s: a track unobserved for longer is forgotten; should its id return, it is new here.
        labels: count only these classes; None counts all. The class is judged when a crossing is final.

    Raises:
        ValueError: if tracks would be forgotten before they count as vanished.
    """

    def __init__(
        self,
        segment: Segment,
        *,
        band_px: float,
        hold_s: float,
        vanished_s: float = 1.0,
        forget_s: float = 10.0,
        labels: Collection[str] | None = None,
    ) -> None:
        if forget_s < vanished_s:
            raise ValueError(f"forget_s ({forget_s}) must not be less than vanished_s ({vanished_s})")
        self._segment = segment
        self._band_px = band_px
        self._hold_s = hold_s
        self._vanished_s = vanished_s
        self._forget_s = forget_s
        self._labels = None if labels is None else frozenset(labels)
        self._tracks: dict[int, _Track] = {}  # in the order of their latest observation
        self._pending: dict[int, _Track] = {}  # those whose crossing waits to become final

    def __len__(self) -> int:
        """Return the number of tracks that are remembered."""
        return len(self._tracks)

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
        if not ids:  # as on most pictures of most cameras
            return self._retire(time_s)
        final: list[Crossing] = []
        sides = self._segment.sides(points).tolist()
        distances_px = self._segment.distances_px(points).tolist()
        for track_id, (x, y), side, distance_px, label in zip(
            ids, points.tolist(), sides, distances_px, labels, strict=True
        ):
            now = _Sample(time_s, (x, y), side, distance_px)
            track = self._tracks.pop(track_id, None) or _Track(now, label)
            self._tracks[track_id] = track
            track.label = label
            final += self._advance(track_id, track, now)
        return final + self._retire(time_s)

    def finish(self) -> list[Crossing]:
        """Return the crossings that are final because nothing more will be seen; forget all tracks."""
        final = self._finalise_pending(lambda _: True)
        self._tracks.clear()
        return final

    def _advance(self, track_id: int, track: _Track, now: _Sample) -> list[Crossing]:
        """Move a track on to `now`; return what became final by that."""
        final: list[Crossing] = []
        last = track.last
        share = None if now.side == last.side else self._segment.crossing(last.position, now.position)
        beyond = now.distance_px > self._band_px

        if track.beyond_since_s is not None and (share is not None or not beyond):
            if self._returned_s(last, now, share) - track.beyond_since_s >= self._hold_s:
                final += self._finalise(track_id, track)
            track.beyond_since_s = None
            self._pending.pop(track_id, None)

        if share is not None:
            track.net += now.side
            if track.home == -now.side:
                track.passage = _passage(last, now, share, track.recent)
        here = (now.time_s, *now.position)
        track.recent.append(here)
        if track.passage is not None and len(track.passage.trail) < TRAIL_POINTS - 1:
            track.passage.trail.append(here)
        track.last = now

        if beyond:
            if track.beyond_since_s is None and track.home == -now.side and track.net * now.side > 0:
                track.beyond_since_s = now.time_s
                self._pending[track_id] = track
            if track.beyond_since_s is None:
                _settle(track)
            elif now.time_s - track.beyond_since_s >= self._hold_s:
                final += self._finalise(track_id, track)
        return final

    def _returned_s(self, last: _Sample, now: _Sample, share: float | None) -> float:
        """Return when the path from `last`, beyond the band, came back to the band.

        Estimated from the distances at both ends, so that a sparsely seen track that stayed on the other
        side between two observations is treated like a densely seen one.
        """
        step_s = now.time_s - last.time_s
        distance_px = now.distance_px
        if share is not None:
            step_s, distance_px = step_s * share, 0.0
        outside = (last.distance_px - self._band_px) / (last.distance_px - distance_px)
        return last.time_s + step_s * outside

    def _finalise(self, track_id: int, track: _Track) -> list[Crossing]:
        """Settle a track on the other side; return its crossing if its class is counted."""
        passage, to_right = track.passage, track.home < 0
        self._pending.pop(track_id, None)
        _settle(track)
        if passage is None or (self._labels is not None and track.label not in self._labels):
            return []
        track.counted += 1
        if passage.trail[-1] != track.recent[-1]:
            passage.trail.append(track.recent[-1])
        return [
            Crossing(
                track_id,
                track.counted,
                to_right,
                track.label,
                passage.time_s,
                passage.position,
                tuple(passage.trail),
            )
        ]

    def _finalise_pending(self, has_left: Callable[[_Track], bool]) -> list[Crossing]:
        final: list[Crossing] = []
        for track_id, track in list(self._pending.items()):
            if has_left(track):
                final += self._finalise(track_id, track)
        return final

    def _retire(self, time_s: float) -> list[Crossing]:
        """Decide on the tracks that have vanished and forget those unseen for long."""
        final = self._finalise_pending(lambda track: time_s - track.last.time_s >= self._vanished_s)
        while self._tracks:
            oldest = next(iter(self._tracks))
            if time_s - self._tracks[oldest].last.time_s <= self._forget_s:
                break
            del self._tracks[oldest]
        return final


def _settle(track: _Track) -> None:
    """Make the side where the track is now its home; what went before is decided."""
    track.home = track.last.side
    track.net = 0
    track.passage = None
    track.beyond_since_s = None


def _passage(last: _Sample, now: _Sample, share: float, recent: Iterable[TimedPoint]) -> _Passage:
    (x, y), (to_x, to_y) = last.position, now.position
    return _Passage(
        time_s=last.time_s + (now.time_s - last.time_s) * share,
        position=(x + (to_x - x) * share, y + (to_y - y) * share),
        trail=list(recent),
    )
