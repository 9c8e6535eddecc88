"""Intervals of local time: a table of days that are not 24 hours long, and what must hold everywhere."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.sinks.counts.calendar import DAY_S, HOUR_S, Calendar, Interval, checked_length, zone_named

LENGTHS = [60, 300, 900, 3600, 2 * HOUR_S, 3 * HOUR_S, 12 * HOUR_S, DAY_S]
ZONES = sorted(available_timezones())


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


def told(calendar: Calendar, start: str, end: str) -> list[str]:
    """The local starts of the intervals from one instant to another."""
    second, found = utc(start), []
    while second < utc(end):
        interval = calendar.at(second)
        found.append(calendar.local(interval.start_s).isoformat())
        second = interval.end_s
    return found


def of_local_day(calendar: Calendar, day: str) -> list[Interval]:
    """The intervals that begin on a local date."""
    second = utc(f"{day}T12:00:00+00:00") - 2 * DAY_S
    found = []
    while True:
        interval = calendar.at(second)
        local_day = calendar.local(interval.start_s).date().isoformat()
        if local_day > day:
            return found
        if local_day == day:
            found.append(interval)
        second = interval.end_s


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-28", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Asia/Kolkata", "2026-03-29", 24),
        ("Africa/Cairo", "2026-04-24", 23),  # midnight itself does not exist
        ("America/Havana", "2026-11-01", 25),  # from 01:00 back to 00:00: midnight comes twice
        ("UTC", "2026-03-29", 24),
    ],
)
@pytest.mark.parametrize("length_s", LENGTHS)
def test_a_day_has_its_true_length(zone: str, day: str, hours: float, length_s: int) -> None:
    calendar = Calendar(length_s, zone_named(zone))
    intervals = of_local_day(calendar, day)
    assert sum(interval.seconds for interval in intervals) == hours * HOUR_S
    if length_s == DAY_S:
        assert len(intervals) == 1


def test_in_autumn_the_hour_comes_twice_told_apart_by_its_offset() -> None:
    calendar = Calendar(1800, zone_named("Europe/Berlin"))
    assert told(calendar, "2026-10-25T01:30:00+02:00", "2026-10-25T03:30:00+01:00") == [
        "2026-10-25T01:30:00+02:00",
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]


def test_in_spring_the_skipped_hour_has_no_intervals() -> None:
    calendar = Calendar(1800, zone_named("Europe/Berlin"))
    assert told(calendar, "2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00") == [
        "2026-03-29T01:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
    ]


def test_where_the_clock_moves_by_half_an_hour_the_hour_is_cut_there() -> None:
    calendar = Calendar(3600, zone_named("Australia/Lord_Howe"))
    assert told(calendar, "2026-04-05T01:00:00+11:00", "2026-04-05T03:00:00+10:30") == [
        "2026-04-05T01:00:00+11:00",
        "2026-04-05T01:30:00+10:30",
        "2026-04-05T02:00:00+10:30",
    ]
    assert told(calendar, "2026-10-04T01:00:00+10:30", "2026-10-04T04:00:00+11:00") == [
        "2026-10-04T01:00:00+10:30",
        "2026-10-04T02:30:00+11:00",
        "2026-10-04T03:00:00+11:00",
    ]


def test_hours_begin_with_the_local_clock_where_the_offset_is_not_whole() -> None:
    calendar = Calendar(3600, zone_named("Asia/Kathmandu"))  # +05:45
    (start,) = told(calendar, "2026-03-01T08:00:00+05:45", "2026-03-01T08:59:00+05:45")
    assert start == "2026-03-01T08:00:00+05:45"
    assert calendar.at(utc(start)).start_s % HOUR_S == 900


def test_longer_ones_have_the_change_within() -> None:
    calendar = Calendar(2 * HOUR_S, zone_named("Europe/Berlin"))
    spring = of_local_day(calendar, "2026-03-29")
    assert [one.seconds // HOUR_S for one in spring] == [2, 1] + [2] * 10
    autumn = of_local_day(calendar, "2026-10-25")
    assert [one.seconds // HOUR_S for one in autumn] == [2, 3] + [2] * 10


def test_a_date_that_was_left_out_has_no_day() -> None:
    """Samoa went over the date line: there was no 2011-12-30."""
    calendar = Calendar(DAY_S, zone_named("Pacific/Apia"))
    assert told(calendar, "2011-12-29T12:00:00-10:00", "2012-01-01T00:00:00+14:00") == [
        "2011-12-29T00:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
    ]
    assert calendar.at(utc("2011-12-29T12:00:00-10:00")).seconds == DAY_S


def test_a_clock_that_goes_back_over_midnight_makes_the_new_day_longer() -> None:
    """Newfoundland went back at 00:01, into the day before: that hour lies in the day that had begun."""
    calendar = Calendar(DAY_S, zone_named("America/St_Johns"))
    (day,) = of_local_day(calendar, "2006-10-29")
    assert day.seconds == 25 * HOUR_S
    again = calendar.at(utc("2006-10-28T23:30:00-03:30"))
    assert again == day


@settings(max_examples=120, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    length_s=st.sampled_from(LENGTHS),
    second=st.integers(0, 2**32),
)
def test_every_instant_lies_in_exactly_one_interval(zone: str, length_s: int, second: int) -> None:
    tz = zone_named(zone)
    interval = Calendar(length_s, tz).at(second)
    assert interval.start_s <= second < interval.end_s
    for other in (interval.start_s, interval.end_s - 1):
        assert Calendar(length_s, tz).at(other) == interval
    assert Calendar(length_s, tz).at(interval.end_s).start_s == interval.end_s
    assert Calendar(length_s, tz).at(interval.start_s - 1).end_s == interval.start_s
    if length_s <= HOUR_S:
        assert interval.seconds <= length_s
        local = [datetime.fromtimestamp(one, tz) for one in (interval.start_s, interval.end_s - 1)]
        assert local[0].utcoffset() == local[1].utcoffset()


@settings(max_examples=60, deadline=None)
@given(zone=st.sampled_from(ZONES), day=st.dates(date(2020, 1, 1), date(2035, 12, 31)))
def test_days_go_from_midnight_to_midnight(zone: str, day: date) -> None:
    tz = zone_named(zone)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=tz)
    interval = Calendar(DAY_S, tz).at(int(noon.timestamp()))
    first, last = (datetime.fromtimestamp(one, tz) for one in (interval.start_s, interval.end_s - 1))
    assert (first.date(), last.date()) == (day, day)
    before = datetime.fromtimestamp(interval.start_s - 1, tz)
    assert before.date() == day - timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Berlim", "did you mean Europe/Berlin"),
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("berlin", "did you mean Europe/Berlin"),
        ("New York", "did you mean America/New_York"),
        ("xyzzy", "names look like Europe/Berlin"),
        ("../../etc/passwd", "names look like Europe/Berlin"),
        ("Europe", "did you mean|names look like"),
        ("", "names look like Europe/Berlin"),
    ],
)
def test_a_zone_that_does_not_exist_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=rf"time zone '{name}' does not exist; .*({hint})"):
        zone_named(name)


def test_a_system_without_zones_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.counts.calendar.available_timezones", set)
    with pytest.raises(ValueError, match="pip install tzdata"):
        zone_named("Mars/Olympus")
    assert zone_named("utc") is UTC


@pytest.mark.parametrize(
    ("seconds", "nearest"), [(0, 1), (-60, 1), (7, 6), (700, 720), (5400, 3600), (100_000, 86_400)]
)
def test_a_length_that_does_not_divide_the_day_names_the_nearest(seconds: int, nearest: int) -> None:
    with pytest.raises(ValueError, match=rf"the nearest that do are {nearest}$"):
        checked_length(seconds)
