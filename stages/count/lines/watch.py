"""Decides for one line which paths count: what happens between coming into its band and leaving it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stages.count.geometry import Meeting, Point, Polyline
from stages.count.lines.crossing import TRAIL_POINTS, Crossing, Reason, TimedPoint, Verdict

SMALLEST_BAND_PX = 1e-6
"""A band of 0 is as narrow as this, so that a point within it and one beyond it can be told apart."""

Wanted = Callable[[str, Mapping[str, str]], bool]
"""Tells of a class and of attributes whether they are counted."""


class Sight(NamedTuple):
    """An object as it is observed: where, and what it is."""

    track_id: int
    at: TimedPoint
    label: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Passage:
    """Where and when a path met the line, with the trail around it (which still grows)."""

    time_s: float
    position: Point
    trail: list[TimedPoint]


@dataclass(slots=True)
class Stay:
    """An object from its coming into the band until it is decided whether it counts.

    Attributes:
        sight: the latest observation.
        home: side from which it came, 0 if it was first seen within the band.
        from_s: when it came.
        until_s: when it left the band, or was last seen in it.
        inside: whether it is in the band; else its crossing waits to become final.
        net: crossings so far, +1 for each to the right, -1 for each to the left.
        met: all of them.
        returns: how often it came back into the band before its crossing was final.
        passage: the latest crossing that led away from home.
    """

    sight: Sight
    home: int
    from_s: float
    until_s: float
    inside: bool = True
    net: int = 0
    met: int = 0
    returns: int = 0
    passage: _Passage | None = None


class Outcome(NamedTuple):
    """What a step led to: crossings that became final, and whether the step itself met the line."""

    final: list[Crossing]
    met: bool


class LineWatch:
    """Follows the objects in the band of one line, each from its coming until it counts or does not.

    It is told of steps: straight paths between two successive observations of an object, and only of those
    that may touch the band, or of objects that it follows already. Objects elsewhere cost nothing.

    Args:
        line: px.
        band_px: distance from the line that must be exceeded on either side.
        hold_s: media time that an object must stay beyond the band before its crossing is final.
        vanished_s: one unobserved for this long has left, so its crossing is final.
        wanted: which objects count; judged when a crossing is final.
        numbers: crossings by object, of those that have any; gates of one line share it.
        tell: is told of each decision; None tells nobody.

    Attributes:
        stays: the objects that it follows, by id: it must be told of their every step.
    """

    def __init__(
        self,
        line: Polyline,
        band_px: float,
        hold_s: float,
        vanished_s: float,
        wanted: Wanted,
        numbers: dict[int, int] | None = None,
        tell: Callable[[Verdict], None] | None = None,
    ) -> None:
        self.line = line
        self.band_px = max(band_px, SMALLEST_BAND_PX)
        self._hold_s = hold_s
        self._vanished_s = vanished_s
        self._wanted = wanted
        self._tell = tell
        self.stays: dict[int, Stay] = {}
        self._numbers = {} if numbers is None else numbers

    def begin(self, sight: Sight) -> None:
        """Take an object that is seen for the first time."""
        time_s, x, y = sight.at
        if self.line.within((x, y), (x, y), self.band_px):
            self.stays[sight.track_id] = Stay(sight, 0, time_s, time_s)

    def step(self, last: TimedPoint, sight: Sight, recent: Sequence[TimedPoint]) -> Outcome:
        """Take an object's straight path from `last` to where it is seen now.

        Args:
            last: the observation before.
            sight: the observation now.
            recent: the observations before, oldest first; `last` is the last of them.
        """
        final: list[Crossing] = []
        stay = self.stays.get(sight.track_id)
        if stay is not None and not stay.inside and sight.at[0] - last[0] >= self._vanished_s:
            final += self._finalise(stay)
            stay = None
        origin, target = last[1:], sight.at[1:]
        spans = self.line.within(origin, target, self.band_px)
        met = self.line.crossings(origin, target) if spans else []
        meets = bool(met)
        for number, (start, end) in enumerate(spans, 1):
            if stay is None or not stay.inside:
                came = _at(last, sight.at, start)
                if stay is not None:
                    stay = self._returned(stay, came, final)
                if stay is None:
                    stay = Stay(sight, self.line.side(came[1:]), came[0], came[0])
                    self.stays[sight.track_id] = stay
            while met and (met[0].share <= end or number == len(spans)):
                _meet(stay, met.pop(0), last, sight.at, recent)
            if end < 1:
                left = _at(last, sight.at, end)
                stay = self._left(stay, left)
        if stay is None:
            return Outcome(final, meets)
        stay.sight = sight
        if stay.inside:
            stay.until_s = sight.at[0]
        if stay.passage is not None and len(stay.passage.trail) < TRAIL_POINTS - 1:
            stay.passage.trail.append(sight.at)
        if not stay.inside and sight.at[0] - stay.until_s >= self._hold_s:
            final += self._finalise(stay)
        return Outcome(final, meets)

    def retire(self, time_s: float) -> list[Crossing]:
        """Return the crossings of objects that have vanished beyond the band."""
        gone = [
            stay
            for stay in self.stays.values()
            if not stay.inside and time_s - stay.sight.at[0] >= self._vanished_s
        ]
        return [crossing for stay in gone for crossing in self._finalise(stay)]

    def finish(self) -> list[Crossing]:
        """Return the crossings that are final because nothing more will be seen; `clear` it then."""
        waiting = [stay for stay in self.stays.values() if not stay.inside]
        final = [crossing for stay in waiting for crossing in self._finalise(stay)]
        self._drop_all(Reason.LOST_INSIDE)
        return final

    def clear(self) -> None:
        """Forget all objects."""
        self.stays.clear()
        self._numbers.clear()

    def forget(self, track_id: int) -> None:
        """Forget an object for good."""
        self._numbers.pop(track_id, None)
        stay = self.stays.pop(track_id, None)
        if stay is not None:
            self._decide(stay, Reason.LOST_INSIDE)

    def suspend(self) -> None:
        """Give up all that is undecided: places cannot be trusted any more. Numbers go on."""
        self._drop_all(Reason.SUSPENDED)

    def _returned(self, stay: Stay, came: TimedPoint, final: list[Crossing]) -> Stay | None:
        """Take an object that comes back into the band; None if its crossing had become final before."""
        if came[0] - stay.until_s >= self._hold_s:
            final += self._finalise(stay)
            return None
        stay.inside = True
        stay.returns += 1
        return stay

    def _left(self, stay: Stay, left: TimedPoint) -> Stay | None:
        """Take an object that leaves the band; None if there is nothing to wait for."""
        side = self.line.side(left[1:])
        stay.until_s = left[0]
        stay.inside = False
        if stay.home == -side and stay.net * side > 0:
            return stay
        del self.stays[stay.sight.track_id]
        self._decide(stay, _why_not(stay, side))
        return None

    def _finalise(self, stay: Stay) -> list[Crossing]:
        """End a stay beyond the band on the other side; return its crossing if its kind is counted."""
        track_id, at, label, attributes = stay.sight
        del self.stays[track_id]
        passage = stay.passage
        if passage is None or not self._wanted(label, attributes):
            self._decide(stay, Reason.OTHER_KIND)
            return []
        number = self._numbers[track_id] = self._numbers.get(track_id, 0) + 1
        if passage.trail[-1] != at:
            passage.trail.append(at)
        self._decide(stay, Reason.COUNTED, number)
        to_right, trail = stay.home < 0, tuple(passage.trail)
        return [
            Crossing(track_id, number, to_right, label, passage.time_s, passage.position, trail, attributes)
        ]

    def _drop_all(self, reason: Reason) -> None:
        stays = list(self.stays.values())
        self.stays.clear()
        for stay in stays:
            self._decide(stay, reason)

    def _decide(self, stay: Stay, reason: Reason, number: int = 0) -> None:
        if self._tell is None:
            return
        track_id, _, label, attributes = stay.sight
        self._tell(
            Verdict(
                track_id,
                reason,
                label,
                stay.from_s,
                stay.until_s,
                met=stay.met,
                returns=stay.returns,
                number=number,
                to_right=stay.home < 0,
                attributes=attributes,
            )
        )


def _at(last: TimedPoint, now: TimedPoint, share: float) -> TimedPoint:
    (t, x, y), (to_t, to_x, to_y) = last, now
    return t + (to_t - t) * share, x + (to_x - x) * share, y + (to_y - y) * share


def _meet(
    stay: Stay, meeting: Meeting, last: TimedPoint, now: TimedPoint, recent: Iterable[TimedPoint]
) -> None:
    """Note that a path met the line."""
    stay.net += meeting.side
    stay.met += 1
    if stay.home == -meeting.side:
        time_s, x, y = _at(last, now, meeting.share)
        stay.passage = _Passage(time_s, (x, y), list(recent))


def _why_not(stay: Stay, side: int) -> Reason:
    """Return why an object that left the band to this side does not count."""
    if stay.home == 0:
        return Reason.BORN_INSIDE
    if stay.home != side:
        return Reason.AROUND
    if stay.net:
        return Reason.OVER_AND_AROUND
    return Reason.CAME_BACK if stay.met else Reason.TURNED_BACK
