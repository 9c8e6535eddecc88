"""Sheets from tables: added up, told apart by class and movement, with the busiest hour."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, SourceError
from pipeline.event import Producer
from streams.sinks.counts.calendar import Calendar, zone_named
from streams.sinks.counts.export import show
from streams.sinks.counts.export.read import Entry, Wanted, read_entries, tables_in
from streams.sinks.counts.export.sheet import Sheet, peak_hour, sheets
from tests.command import Sightline
from tests.streams.sinks.counts.table import feed, open_sink, utc_s
from tests.streams.sinks.material import crossing, frame

EIGHT = utc_s("2026-11-24T08:00:00+01:00")
LINES = {"main": {"in": {}, "out": {}}}


def recorded(
    folder: Path,
    minutes: int,
    *,
    every_s: int = 20,
    is_live: bool = True,
    routes: bool = False,
    **options: Any,
) -> None:
    """A stream from eight in Berlin on, a picture every 4 s, a car into the place every `every_s`."""
    options = {"bin_s": [60, 900], "time_zone": "Europe/Berlin", **options}
    sink = open_sink(folder, is_live=is_live, **options)
    for n in range(0, minutes * 60 + 4, 4):
        if n % every_s == 0:
            feed(sink, crossing(n, f"{n}", start_s=EIGHT, label="bus" if n % 100 == 0 else "car"))
            data = {"route": "turns", "movement": "north > east" if n % 40 else "north > south"}
            route = frame(n, start_s=EIGHT).event(
                "route.completed", f"{n}", Producer("count"), label="car", data=data
            )
            if routes:
                feed(sink, route)
        feed(sink, frame(n, counts=LINES, start_s=EIGHT))
    sink.close()


def made(folder: Path, bin_s: int | None, **wanted: Any) -> Sheet:
    (sheet,) = sheets(read_entries(tables_in(folder), Wanted(**wanted)), bin_s)
    return sheet


def test_shorter_intervals_are_added_up(tmp_path: Path) -> None:
    recorded(tmp_path, 90)
    for bin_s, count in ((60, 91), (300, 19), (900, 7), (3600, 2)):
        sheet = made(tmp_path, bin_s)
        assert (len(sheet.intervals), sheet.bin_s) == (count, bin_s)
        assert sum(one.total for one in sheet.intervals) == 271
        first = sheet.intervals[0]
        assert first.start.isoformat() == "2026-11-24T08:00:00+01:00"
        assert (first.total, first.is_complete) == (bin_s // 20, True)
    assert made(tmp_path, None).bin_s == 60


def test_what_the_table_lacks_is_missing(tmp_path: Path) -> None:
    recorded(tmp_path, 90)
    last = made(tmp_path, 3600).intervals[-1]
    assert (last.end - last.start, last.is_complete) == (timedelta(hours=1), False)
    assert last.seconds == pytest.approx((1800, 0, 1800), abs=5)


def test_movements_come_first_lines_on_demand(tmp_path: Path) -> None:
    recorded(tmp_path, 30, routes=True)
    sheet = made(tmp_path, 900)
    assert sheet.ways == [("north > east", "car"), ("north > south", "car")]
    (lines,) = sheets(read_entries(tables_in(tmp_path), Wanted()), 900, movements=False)
    assert lines.ways == [("main in", "bus"), ("main in", "car"), ("main out", "")]


def test_the_same_movement_of_two_sets_of_routes_is_told_apart(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    for n, routes in enumerate(("cars", "cars", "bicycles")):
        data = {"route": routes, "movement": "north > east"}
        feed(sink, frame(n).event("route.completed", f"{n}", Producer("count"), label="car", data=data))
        feed(sink, frame(n))
    sink.close()
    (interval,) = made(tmp_path, 60).intervals
    assert interval.counts == {("cars: north > east", "car"): 2, ("bicycles: north > east", "car"): 1}


def test_the_busiest_hour_and_its_factor(tmp_path: Path) -> None:
    """HCM: volume of the hour over four times that of its busiest quarter."""
    sink = open_sink(tmp_path, bin_s=900, time_zone="Europe/Berlin")
    volumes = [10, 20, 40, 30, 25, 5, 0]
    for quarter, volume in enumerate(volumes):
        for n in range(225):
            pts_s = quarter * 900 + n * 4
            if n < volume:
                feed(sink, crossing(pts_s, f"{pts_s}", start_s=EIGHT))
            feed(sink, frame(pts_s, counts=LINES, start_s=EIGHT))
    feed(sink, frame(7 * 900, counts=LINES, start_s=EIGHT))
    sink.close()
    peak = peak_hour(made(tmp_path, 900))
    assert peak is not None
    assert peak.start.isoformat() == "2026-11-24T08:15:00+01:00"
    assert (peak.total, peak.factor) == (115, pytest.approx(115 / 160))
    assert peak_hour(made(tmp_path, 3600)) is not None
    assert "busiest hour: from 2026-11-24 08:15 +0100, 115 objects, peak hour factor 0.72" in show.text(
        made(tmp_path, 900), 100
    )


def test_an_hour_that_was_not_watched_is_no_busiest_hour(tmp_path: Path) -> None:
    recorded(tmp_path, 50)
    assert peak_hour(made(tmp_path, 900)) is None
    assert "no hour was watched as a whole" in show.text(made(tmp_path, 900), 100)
    assert "* 1 of 4 intervals were not watched as a whole: 600 s missing" in show.text(
        made(tmp_path, 900), 100
    )


def test_a_wide_sheet_is_not_cut_off(tmp_path: Path) -> None:
    counts = {f"crossing {n} of the main road": {"to the right": {}, "to the left": {}} for n in range(8)}
    sink = open_sink(tmp_path, bin_s=60)
    for second in range(0, 63, 3):
        feed(sink, frame(second, counts=counts))
    sink.close()
    shown = show.text(made(tmp_path, 60), 80)
    assert "1970-01-01 00:00 +0000  00:01" in shown
    assert shown.count("crossing") == 16
    assert "\u2026" not in shown


def test_the_csv_has_a_column_for_each_way_and_class(tmp_path: Path) -> None:
    recorded(tmp_path, 30)
    rows = list(csv.DictReader(io.StringIO(show.csv_text([made(tmp_path, 900)]))))
    assert list(rows[0]) == [
        *("stream", "start", "end", "main in bus", "main in car", "main out"),
        *("total", "complete", "observed_s"),
    ]
    assert (rows[0]["main in bus"], rows[0]["main in car"], rows[0]["total"]) == ("9", "36", "45")


ZONES = ["Europe/Berlin", "UTC", "Asia/Kathmandu", "America/New_York"]


@settings(max_examples=30, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    start=st.integers(1_790_000_000, 1_799_000_000),  # September 2026 to January 2027: the clocks go back
    lengths=st.sampled_from([(60, 900), (900, 3600), (300, 86_400), (3600, 7200)]),
    hours=st.integers(1, 30),
)
def test_adding_up_gives_the_intervals_of_the_calendar(
    zone: str, start: int, lengths: tuple[int, int], hours: int
) -> None:
    short, long = (Calendar(length_s, zone_named(zone)) for length_s in lengths)
    second = long.at(start).start_s
    end, entries, expected = long.at(second + hours * 3600).end_s, [], {}
    while second < end and len(entries) < 2000:
        one, within = short.at(second), long.at(second)
        begin = short.local(one.start_s)
        fixed = datetime.fromisoformat(begin.isoformat())
        until = datetime.fromisoformat(short.local(one.end_s).isoformat())
        entries.append(
            Entry("gate", lengths[0], fixed, until, "main in", False, "car", 1, (one.seconds, 0.0, 0.0))
        )
        expected[within.start_s] = expected.get(within.start_s, 0) + 1
        second = one.end_s
    (sheet,) = sheets(entries, lengths[1])
    assert {int(one.start.timestamp()): one.total for one in sheet.intervals} == expected
    whole = sheet.intervals[:-1] if second < end else sheet.intervals
    assert all(one.is_complete for one in whole)


def test_the_command(tmp_path: Path, sightline: Sightline) -> None:
    recorded(tmp_path / "out", 30, routes=True)
    said = sightline(
        "export", tmp_path / "out", "--day", "2026-11-24", "--bin", "15", "--csv", tmp_path / "tuesday.csv"
    )
    assert said.code == 0, said.err
    assert "gate, 15 min" in said.out
    assert "north > east" in said.out
    assert (tmp_path / "tuesday.csv").read_text().startswith("stream,start,end,north > east car,")
    found = json.loads(sightline("export", tmp_path / "out", "--lines", "--bin", "15", "--json").out)
    assert found["streams"]["gate"]["intervals"][0]["counts"]["main in"] == {"bus": 9, "car": 36}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--bin", "7"], 2, "the nearest that do are 400"),
        (["--bin", "0.5"], 2, "stream 'gate' has intervals of 1, 15 min; 0.5 min cannot be made of them"),
        (["--day", "2026-11-24", "--to", "2026-11-25"], 2, "give one or the other"),
        (["--from", "2026-11-25", "--to", "2026-11-24"], 2, "lies before --from"),
        (["--day", "2026-01-01"], 1, "there are 'gate' 2026-11-24 to 2026-11-24"),
        (["--stream", "gaet"], 1, "there are 'gate' 2026-11-24"),
    ],
)
def test_bad_words(tmp_path: Path, sightline: Sightline, words: list[str], code: int, message: str) -> None:
    recorded(tmp_path, 2)
    said = sightline("export", tmp_path, *words)
    assert said.code == code
    assert message in said.err
    assert len(said.errors) == 1


def test_folders_without_tables_and_damaged_rows(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        tables_in(tmp_path / "none")
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="no tables of counts"):
        tables_in(tmp_path)
    recorded(tmp_path, 2, is_live=False)
    table = tmp_path / "counts.csv"
    table.write_text(table.read_text() + "gate,60,yesterday\n")
    with pytest.raises(SourceError, match=r"counts\.csv:\d+: is no row of counts"):
        list(read_entries(tables_in(tmp_path), Wanted()))


def test_a_table_is_not_overwritten(tmp_path: Path, sightline: Sightline) -> None:
    recorded(tmp_path, 2, is_live=False)
    said = sightline("export", tmp_path, "--csv", tmp_path / "counts.csv")
    assert (said.code, "is a table that is read" in said.err) == (2, True)
    with pytest.raises(ConfigError, match="cannot be made"):
        sheets(read_entries(tables_in(tmp_path), Wanted()), 30)
