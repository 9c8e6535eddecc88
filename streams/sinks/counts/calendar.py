"""Intervals of the calendar, in the local time of a place; every instant lies in one of each length."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

DAY_S = 86_400
HOUR_S = 3_600


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open piece of time, [start, end), in whole seconds of UTC since 1970-01-01."""

    start_s: int
    end_s: int

    @property
    def seconds(self) -> int:
        """Its true length."""
        return self.end_s - self.start_s


def zone_named(name: str) -> tzinfo:
    """Return the time zone of this name in the IANA database.

    Raises:
        ValueError: if there is none, with the nearest name; or if this system has no zones at all.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, or a folder of zones
        pass
    known = sorted(available_timezones())
    if not known:
        raise ValueError(
            f"time zone '{name}' cannot be looked up: this system has no time zones; pip install tzdata"
        )
    # "berlin" means Europe/Berlin, "europe/berlim" too.
    by_name = {zone.lower(): zone for zone in known} | {
        zone.rpartition("/")[2].lower(): zone for zone in known
    }
    word = name.strip().lower().replace(" ", "_")
    near = difflib.get_close_matches(word, by_name, n=1, cutoff=0.7)
    hint = f"did you mean {by_name[near[0]]}?" if near else "names look like Europe/Berlin"
    raise ValueError(f"time zone '{name}' does not exist; {hint}")


def checked_length(seconds: int) -> int:
    """Return the length if the calendar can be divided into intervals of it.

    Raises:
        ValueError: if it neither divides an hour nor is as many hours as divide a day.
    """
    fits = 0 < seconds <= DAY_S and (
        HOUR_S % seconds == 0 or (seconds % HOUR_S == 0 and DAY_S % seconds == 0)
    )
    if fits:
        return seconds
    lengths = [n for n in range(1, HOUR_S + 1) if HOUR_S % n == 0]
    lengths += [n * HOUR_S for n in range(2, 25) if 24 % n == 0]
    nearest = min(lengths, key=lambda length: abs(length - seconds))
    raise ValueError(
        f"{seconds} s do not divide an hour, nor are they hours that divide a day; "
        f"the nearest that do are {nearest}"
    )


class Calendar:
    """Divides time into intervals of one length, in step with the clock on the wall.

    Up to an hour, an interval begins when the local clock shows a multiple of the length, and also when the
    clock is changed: in autumn the hour that is lived through twice has twice as many intervals, which
    differ in their UTC offset; in spring those of the hour that is skipped do not exist.

    Longer ones begin when the local clock first shows a multiple of the length on that date: a day is from
    midnight to midnight, which is 23 or 25 hours when the clock is changed.

    Args:
        length_s: as `checked_length` allows.
        zone: of the place.
    """

    def __init__(self, length_s: int, zone: tzinfo) -> None:
        self.length_s = checked_length(length_s)
        self._zone = zone
        self._latest = Interval(0, 0)

    def at(self, second: int) -> Interval:
        """Return the interval in which a second of UTC since 1970-01-01 lies."""
        if not self._latest.start_s <= second < self._latest.end_s:  # the next one asked is mostly the same
            within = self._within_an_hour if self.length_s <= HOUR_S else self._within_a_day
            self._latest = within(second)
        return self._latest

    def local(self, second: int) -> datetime:
        """Return the local time of a second of UTC, with its offset."""
        return datetime.fromtimestamp(second, UTC).astimezone(self._zone)

    def _within_an_hour(self, second: int) -> Interval:
        offset_s = self._offset_s(second)
        start_s = second - (second + offset_s) % self.length_s
        end_s = start_s + self.length_s
        if self._offset_s(start_s) != offset_s:
            start_s = self._changed_after(start_s, second)
        if self._offset_s(end_s - 1) != offset_s:
            end_s = self._changed_after(second, end_s - 1)
        return Interval(start_s, end_s)

    def _changed_after(self, early: int, late: int) -> int:
        """Return the first second after `early` that has the offset of `late`, which has another one."""
        wanted = self._offset_s(early)
        while late - early > 1:
            middle = (early + late) // 2
            if self._offset_s(middle) == wanted:
                early = middle
            else:
                late = middle
        return late

    def _within_a_day(self, second: int) -> Interval:
        today = self.local(second).date()
        edges = sorted(
            {edge for days in (-1, 0, 1) for edge in self._edges(today + timedelta(days=days))}
            | {next(iter(self._edges(today + timedelta(days=2))))}
        )
        place = bisect_right(edges, second)
        return Interval(edges[place - 1], edges[place])

    def _edges(self, day: date) -> list[int]:
        """Return when the local clock first shows each multiple of the length on a date.

        A time that is skipped stands for the moment of the change, and thus gives no interval of its own.
        """
        midnight = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        edges = []
        for hour in range(0, 24, self.length_s // HOUR_S):
            wanted = midnight.replace(hour=hour)  # with `fold` 0: the first of two, or the offset from before
            edge = int(wanted.timestamp())
            is_skipped = self.local(edge).replace(tzinfo=None) != wanted.replace(tzinfo=None)
            edges.append(self._changed_after(edge - DAY_S, edge) if is_skipped else edge)
        return edges

    def _offset_s(self, second: int) -> int:
        offset = self.local(second).utcoffset()
        return 0 if offset is None else round(offset.total_seconds())
