"""The intervals of one stream that are not over yet, and what was counted in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.event import Event
from pipeline.frame import Counts, Frame
from pipeline.moment import Moment
from streams.sinks.counts.calendar import Calendar, Interval
from streams.sinks.counts.coverage import Coverage
from streams.sinks.counts.reading import Counted

LATE_S = 30.0
"""How long after its last frame an interval stays open, since a crossing is certain only some time later."""
MOST_CLASSES = 200
"""Classes told apart in one interval; what reads number plates must not fill the memory."""
OTHERS = "(others)"
MOST_WATCHED = 10_000
"""Lines and movements that have a row although nothing was counted."""


class Key(NamedTuple):
    """What is counted: a line and a direction, or a movement."""

    line: str
    direction: str
    movement: str


@dataclass(slots=True)
class Tally:
    """Objects of one class, and how fast those were whose speed is known: whole km/h -> objects."""

    count: int = 0
    speeds: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Bin:
    """One interval.

    Attributes:
        length_s: nominal length, s.
        interval: when.
        touched_s: media time at which it was last in use.
        observed_ns: how much of it was seen while places could be trusted.
        suspended_ns: how much of it was seen while they could not.
        seen: whether a frame lies in it; else only late events do.
        counting: whether somebody counts there, if perhaps without a line.
        tallies: what -> class -> objects.
    """

    length_s: int
    interval: Interval
    touched_s: float
    observed_ns: int = 0
    suspended_ns: int = 0
    seen: bool = False
    counting: bool = False
    tallies: dict[Key, dict[str, Tally]] = field(default_factory=dict)

    def add(self, counted: Counted) -> None:
        """Count one object."""
        classes = self.tallies.setdefault(Key(counted.line, counted.direction, counted.movement), {})
        name = counted.label
        if name not in classes and len(classes) >= MOST_CLASSES:
            name = OTHERS
        tally = classes.setdefault(name, Tally())
        tally.count += 1
        if counted.speed_kmh is not None:
            tally.speeds[round(counted.speed_kmh)] += 1


BinKey = tuple[int, Interval]


class StreamBins:
    """The open intervals of one stream, of several lengths at once.

    Args:
        calendars: one for each length.
    """

    def __init__(self, calendars: Sequence[Calendar]) -> None:
        self._calendars = calendars
        self._coverage = Coverage()
        self._bins: dict[BinKey, Bin] = {}
        self._watched: dict[Key, None] = {}
        self._counts: Counts | None = None
        self._is_restored = False

    def __len__(self) -> int:
        """Return the number of open intervals."""
        return len(self._bins)

    @property
    def open(self) -> Iterable[Bin]:
        """The open intervals, in no particular order."""
        return self._bins.values()

    @property
    def watched(self) -> Iterable[Key]:
        """What was counted, or could have been, so far."""
        return self._watched

    def restore(self, bins: Iterable[Bin], watched: Iterable[Key]) -> None:
        """Go on with intervals that an earlier process left open; for the time before the first frame."""
        self._watched.update(dict.fromkeys(watched))
        for one in bins:
            self._bins[one.length_s, one.interval] = one
            self._is_restored = True

    def add_frame(self, frame: Frame) -> None:
        """Take note of the time that was seen, and of the lines that are watched."""
        moment = frame.moment
        if self._is_restored:  # their media time was another process's
            self._is_restored = False
            for one in self._bins.values():
                one.touched_s = moment.pts_s
        if frame.counts is not self._counts:  # a new snapshot is made only when something was counted
            self._counts = frame.counts
            self._watch(Key(line, name, "") for line, names in (frame.counts or {}).items() for name in names)
        for one in self._at(moment):
            one.touched_s = moment.pts_s
            one.seen = True
            one.counting |= frame.counts is not None
        span = self._coverage.add(frame)
        if span is None:
            return
        for calendar in self._calendars:
            start_ns = span.start_ns
            while start_ns < span.end_ns:  # seldom more than once
                one = self._bin(calendar, start_ns, moment.pts_s)
                end_ns = min(span.end_ns, one.interval.end_s * 10**9)
                one.seen = True
                if span.suspended:
                    one.suspended_ns += end_ns - start_ns
                else:
                    one.observed_ns += end_ns - start_ns
                start_ns = end_ns

    def add(self, counted: Counted, event: Event) -> None:
        """Count something in the interval of its own moment, of each length."""
        for one in self._at(event.moment):
            one.add(counted)
        if counted.movement:
            self._watch([Key(counted.line, counted.direction, counted.movement)])

    def take_final(self, pts_s: float) -> list[Bin]:
        """Return the intervals whose last frame is `LATE_S` away, by time, and forget them.

        Away in either direction: a new run may start its media clock anew.
        """
        if self._is_restored:
            return []
        return self._take([key for key, one in self._bins.items() if abs(pts_s - one.touched_s) > LATE_S])

    def take_all(self) -> list[Bin]:
        """Return all open intervals, by time, and forget them."""
        return self._take(list(self._bins))

    def _take(self, keys: list[BinKey]) -> list[Bin]:
        return sorted((self._bins.pop(key) for key in keys), key=lambda one: (one.interval, one.length_s))

    def _at(self, moment: Moment) -> Iterator[Bin]:
        for calendar in self._calendars:
            yield self._bin(calendar, moment.time_ns, moment.pts_s)

    def _bin(self, calendar: Calendar, time_ns: int, pts_s: float) -> Bin:
        interval = calendar.at(time_ns // 10**9)
        found = self._bins.get((calendar.length_s, interval))
        if found is None:
            found = Bin(calendar.length_s, interval, pts_s)
            found.tallies = {key: {} for key in self._watched}
            self._bins[calendar.length_s, interval] = found
        return found

    def _watch(self, keys: Iterable[Key]) -> None:
        """Have a row in every interval from now on, also where it is 0."""
        new = [key for key in keys if key not in self._watched][: MOST_WATCHED - len(self._watched)]
        if not new:
            return
        self._watched.update(dict.fromkeys(new))
        for one in self._bins.values():
            for key in new:
                one.tallies.setdefault(key, {})


def percentile_kmh(speeds: Mapping[int, int], share: float) -> int | None:
    """Return the speed that `share` of the objects did not exceed, whole km/h; None of none."""
    wanted = share * sum(speeds.values())
    below = 0
    for speed in sorted(speeds):
        below += speeds[speed]
        if below >= wanted:
            return speed
    return None
