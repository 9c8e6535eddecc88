"""Counts as a sheet: a row for each interval, a column for each movement (or line, direction) and class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from pipeline.errors import ConfigError
from streams.sinks.counts.calendar import HOUR_S
from streams.sinks.counts.export.read import OF, Entry
from streams.sinks.counts.layout import COMPLETE

Way = tuple[str, str]
"""A movement (or a line with its direction), and a class."""


@dataclass(slots=True)
class Interval:
    """One row of a sheet.

    Attributes:
        start: local time.
        end: local time.
        counts: way -> objects.
        seen_s: start of each interval of the table within it -> seconds observed, suspended, missing.
    """

    start: datetime
    end: datetime
    counts: dict[Way, int] = field(default_factory=dict)
    seen_s: dict[datetime, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Objects of all ways."""
        return sum(self.counts.values())

    @property
    def seconds(self) -> tuple[float, float, float]:
        """Seconds observed, suspended and missing; what the table says nothing of is missing."""
        observed_s, suspended_s = (sum(one[place] for one in self.seen_s.values()) for place in (0, 1))
        length_s = (self.end - self.start).total_seconds()
        return observed_s, suspended_s, max(0.0, length_s - observed_s - suspended_s)

    @property
    def is_complete(self) -> bool:
        """Whether at least 99 % of it were observed."""
        return self.seconds[0] >= COMPLETE * (self.end - self.start).total_seconds()


@dataclass(slots=True)
class Sheet:
    """The intervals of one stream, by time.

    Attributes:
        stream: its name.
        bin_s: their nominal length, s.
        intervals: those of which anything is known.
    """

    stream: str
    bin_s: int
    intervals: list[Interval]

    @property
    def ways(self) -> list[Way]:
        """The columns: all ways that were taken, and those without a class that never were."""
        found = {way for one in self.intervals for way in one.counts}
        taken = {name for name, label in found if label}
        return sorted(way for way in found if way[1] or way[0] not in taken)


@dataclass(frozen=True, slots=True)
class Peak:
    """The busiest hour, from quarters or shorter intervals that follow each other.

    Attributes:
        start: local time.
        total: objects in it.
        factor: peak hour factor: the hour's volume over that of its busiest quarter, held for an hour
            (Highway Capacity Manual, chapter 4); None where nothing was counted, or the intervals are longer.
    """

    start: datetime
    total: int
    factor: float | None


def sheets(entries: Iterable[Entry], bin_s: int | None, *, movements: bool | None = None) -> list[Sheet]:
    """Return a sheet for each stream.

    Args:
        entries: rows of the tables.
        bin_s: length of the intervals; None takes the shortest that there are. Where the tables do not have
            it, it is added up from shorter ones.
        movements: True for movements, False for lines; None for movements if there are any.

    Raises:
        ConfigError: if the tables have no intervals of which these can be made.
    """
    streams: dict[str, dict[int, _Collected]] = {}
    for entry in entries:
        lengths = streams.setdefault(entry.stream, {})
        collected = lengths.get(entry.bin_s)
        if collected is None:
            collected = lengths[entry.bin_s] = _Collected(bin_s or entry.bin_s)
        if collected.bin_s % entry.bin_s == 0:
            collected.add(entry)
    return [
        lengths[_source(name, lengths, bin_s)].sheet(name, _source(name, lengths, bin_s), movements)
        for name, lengths in sorted(streams.items())
    ]


def peak_hour(sheet: Sheet) -> Peak | None:
    """Return the busiest hour of a sheet; None where no whole hour was observed without a break."""
    if HOUR_S % sheet.bin_s:
        return None
    number, quarter = HOUR_S // sheet.bin_s, max(1, 900 // sheet.bin_s)
    hours = [
        hour
        for first in range(len(sheet.intervals) - number + 1)
        if (hour := sheet.intervals[first : first + number])[-1].end - hour[0].start == timedelta(hours=1)
        and all(one.is_complete for one in hour)
    ]
    if not hours:
        return None
    busiest = max(hours, key=lambda hour: sum(one.total for one in hour))
    totals = [one.total for one in busiest]
    total = sum(totals)
    most = max(sum(totals[n : n + quarter]) for n in range(0, number, quarter))
    factor = total / (4 * most) if total and sheet.bin_s <= 900 else None
    return Peak(busiest[0].start, total, factor)


class _Collected:
    """The intervals of one stream, made of those of one length; lines and movements apart."""

    def __init__(self, bin_s: int) -> None:
        self.bin_s = bin_s
        self._has_movements = False
        self._found: dict[tuple[object, ...], tuple[Interval, Interval]] = {}

    def add(self, entry: Entry) -> None:
        """Add a row of the table."""
        key, start = _place(entry.start, self.bin_s)
        pair = self._found.get(key)
        if pair is None:
            pair = self._found[key] = Interval(start, entry.end), Interval(start, entry.end)
        for one in pair:
            one.start = min(one.start, start)
            one.end = max(one.end, entry.end)
            if entry.seen_s is not None:
                one.seen_s[entry.start] = entry.seen_s
        if entry.way:
            self._has_movements |= entry.is_movement
            counts, way = pair[entry.is_movement].counts, (entry.way, entry.label)
            counts[way] = counts.get(way, 0) + entry.count

    def sheet(self, stream: str, source_s: int, movements: bool | None) -> Sheet:
        """Return the intervals by time, of movements or of lines; None for movements if there are any."""
        which = self._has_movements if movements is None else movements
        intervals = sorted((pair[which] for pair in self._found.values()), key=lambda one: one.start)
        routes = {way.partition(OF)[0] for one in intervals for way, _ in one.counts}
        if which and len(routes) == 1:  # then its name says nothing
            for one in intervals:
                one.counts = {(way.partition(OF)[2], label): n for (way, label), n in one.counts.items()}
        if self.bin_s != source_s and self.bin_s <= HOUR_S:
            for one in intervals:  # of what the table lacks nothing was observed
                one.end = max(one.end, one.start + timedelta(seconds=self.bin_s))
        return Sheet(stream, self.bin_s, intervals)


def _source(stream: str, lengths: Iterable[int], bin_s: int | None) -> int:
    """Return of which intervals those of the wanted length are made: the longest that fit."""
    if bin_s is None:
        return min(lengths)
    fitting = [length for length in lengths if bin_s % length == 0]
    if fitting:
        return max(fitting)
    raise ConfigError(
        f"stream '{stream}' has intervals of {', '.join(f'{one / 60:g}' for one in sorted(lengths))} min; "
        f"{bin_s / 60:g} min cannot be made of them: choose another --bin, or another bin_s"
    )


def _place(start: datetime, bin_s: int) -> tuple[tuple[object, ...], datetime]:
    """Return which interval of the local clock a time lies in, and when that begins.

    Up to an hour, those of an hour that comes twice are told apart by their offset (see `Calendar`).
    """
    midnight = start.replace(hour=0, minute=0, second=0)
    number, rest_s = divmod(start.hour * HOUR_S + start.minute * 60 + start.second, bin_s)
    day: date = start.date()
    if bin_s <= HOUR_S:
        return (day, number, start.utcoffset()), start - timedelta(seconds=rest_s)
    return (day, number), min(start, midnight + timedelta(seconds=number * bin_s))
