"""Live streams: a table for each day, and a restart in the middle of an interval, however it came."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.event import Event
from pipeline.frame import Frame
from streams.sinks.counts import CountsSink
from streams.sinks.counts.books import OPEN, REMEMBER_S
from tests.streams.sinks.counts.table import day, feed, frames, open_sink, read, utc_s
from tests.streams.sinks.material import crossing, frame

EIGHT = utc_s("2026-03-01T08:00:00+00:00")


def start(folder: Path, **options: Any) -> CountsSink:
    return open_sink(folder, is_live=True, **{"bin_s": 900, **options})


def run(
    sink: CountsSink, from_s: float, to_s: float, *, run_id: str = "run", step_s: float = 1.0, every: int = 10
) -> None:
    """A process that sees [from_s, to_s] after eight; its media clock begins at 0; an object every 10 s."""
    for n in range(round((to_s - from_s) / step_s) + 1):
        pts_s = n * step_s
        fields: dict[str, Any] = {"start_s": EIGHT + from_s}
        if n % every == 0:
            feed(sink, crossing(pts_s, f"{run_id}{n}", **fields))
        feed(sink, next(frames(pts_s, pts_s, run=run_id, **fields)))


def counts_in(rows: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(row["start"][11:16], row["count"]) for row in rows if row["direction"] == "in"]


def test_a_live_stream_has_a_table_for_each_local_day(tmp_path: Path) -> None:
    sink = start(tmp_path, bin_s=3600, time_zone="Pacific/Auckland")
    run(sink, 2 * 3600, 4 * 3600, step_s=5, every=360)  # midnight in Auckland is at 11:00 UTC
    sink.close()
    assert sorted(path.name for path in (tmp_path / "counts/gate").glob("*.csv")) == [
        "2026-03-01.csv",
        "2026-03-02.csv",
    ]
    assert counts_in(day(tmp_path, "2026-03-01")) == [("23:00", "2")]
    assert counts_in(day(tmp_path, "2026-03-02")) == [("00:00", "2"), ("01:00", "1")]
    assert {row["complete"] for row in day(tmp_path, "2026-03-01")} == {"true"}
    assert not (tmp_path / "counts.csv").exists()


def test_a_restart_goes_on_with_the_open_interval(tmp_path: Path) -> None:
    first = start(tmp_path)
    run(first, 0, 1000)
    first.close()
    assert counts_in(day(tmp_path, "2026-03-01")) == [("08:00", "90"), ("08:15", "11")], "as far as it goes"
    second = start(tmp_path)
    run(second, 1100, 2000, run_id="b")
    second.close()
    rows = day(tmp_path, "2026-03-01")
    assert counts_in(rows) == [("08:00", "90"), ("08:15", "81"), ("08:30", "21")]
    (middle,) = [row for row in rows if row["start"][11:16] == "08:15" and row["direction"] == "in"]
    assert (middle["complete"], float(middle["missing_s"])) == ("false", pytest.approx(100))


def test_a_restart_after_the_interval_writes_it_as_it_was(tmp_path: Path) -> None:
    first = start(tmp_path)
    run(first, 0, 1000)
    first.close()
    second = start(tmp_path)
    run(second, 50_000, 50_100, run_id="b")
    second.close()
    assert counts_in(day(tmp_path, "2026-03-01")) == [("08:00", "90"), ("08:15", "11"), ("21:45", "11")]


def test_a_restart_without_a_picture_loses_nothing(tmp_path: Path) -> None:
    run(first := start(tmp_path), 0, 1000)
    first.close()
    before = (tmp_path / "counts/gate/2026-03-01.csv").read_bytes()
    for _ in range(3):
        start(tmp_path).close()
    assert (tmp_path / "counts/gate/2026-03-01.csv").read_bytes() == before


def test_another_picture_size_goes_on_in_the_same_row(tmp_path: Path) -> None:
    sink = start(tmp_path)
    run(sink, 0, 100)
    sink.close_stream("gate")
    other = start(tmp_path)  # as the engine does: close_stream, open_stream
    run(other, 100, 200, run_id="b")
    other.close()
    assert counts_in(day(tmp_path, "2026-03-01")) == [("08:00", "22")]


def kill(folder: Path, sink: CountsSink) -> Path:
    """Return what a killed process leaves: a copy of the folder before anything is closed."""
    left = folder.with_name(f"{folder.name}-killed")
    shutil.copytree(folder, left)
    sink.close()
    return left


def test_a_kill_loses_the_seconds_since_the_last_note_and_says_so(tmp_path: Path) -> None:
    first = start(tmp_path / "out")
    run(first, 0, 995)
    left = kill(tmp_path / "out", first)
    second = start(left)
    run(second, 1100, 2000, run_id="b")
    second.close()
    rows = day(left, "2026-03-01")
    (middle,) = [row for row in rows if row["start"][11:16] == "08:15" and row["direction"] == "in"]
    assert int(middle["count"]) in (80, 81)
    assert 105 <= float(middle["missing_s"]) <= 105 + REMEMBER_S
    assert counts_in(rows)[0] == ("08:00", "90")


def test_a_kill_between_table_and_memory_writes_nothing_twice(tmp_path: Path) -> None:
    """The rows are in the table, the memory still has their interval open."""
    first = start(tmp_path / "out")
    memory = tmp_path / f"out/counts/gate/{OPEN}"
    before = b""
    for n in range(940):
        if not (tmp_path / "out/counts/gate/2026-03-01.csv").exists():
            before = memory.read_bytes() if memory.exists() else b""
        if n % 10 == 0:
            feed(first, crossing(n, f"{n}", start_s=EIGHT))
        feed(first, next(frames(n, n, start_s=EIGHT)))
    left = kill(tmp_path / "out", first)
    assert counts_in(day(left, "2026-03-01")) == [("08:00", "90")]
    (left / f"counts/gate/{OPEN}").write_bytes(before)
    table = left / "counts/gate/2026-03-01.csv"
    table.write_bytes(table.read_bytes() + b"gate,900,2026-03-01T08:0")  # and its last line is not whole
    second = start(left)
    run(second, 950, 1000, run_id="b")
    second.close()
    rows = counts_in(day(left, "2026-03-01"))
    assert [row[0] for row in rows] == ["08:00", "08:15"]


def test_what_somebody_wrote_into_the_table_stays(tmp_path: Path) -> None:
    run(first := start(tmp_path), 0, 1000)
    first.close()
    table = tmp_path / "counts/gate/2026-03-01.csv"
    note = "gate,900,2026-03-01T07:45:00+00:00,,main,in,,car,17,,,,,0,,,2026-03-01T07:45:00Z,\n"
    table.write_text(table.read_text() + note)
    run(second := start(tmp_path), 1100, 1200, run_id="b")
    second.close()
    assert note in table.read_text()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"bins":[{"length_s":-1}]}', b"\xff"])
def test_a_damaged_memory_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    run(first := start(tmp_path), 0, 1000)
    first.close()
    (tmp_path / f"counts/gate/{OPEN}").write_bytes(content)
    run(second := start(tmp_path), 1100, 1200, run_id="b")
    second.close()
    (message,) = caplog.messages
    assert "intervals that were open begin anew, in rows of their own" in message
    assert counts_in(day(tmp_path, "2026-03-01")) == [("08:00", "90"), ("08:15", "11"), ("08:15", "11")]


def test_old_days_are_removed(tmp_path: Path) -> None:
    sink = start(tmp_path, bin_s=86_400, keep_days=3)
    (tmp_path / "counts/gate").mkdir(parents=True)
    (tmp_path / "counts/gate/notes.csv").write_text("mine")
    run(sink, 0, 9 * 86_400, step_s=3600)
    sink.close()
    assert sorted(path.name for path in (tmp_path / "counts/gate").iterdir()) == [
        "2026-03-08.csv",
        "2026-03-09.csv",
        "2026-03-10.csv",
        "notes.csv",
        OPEN,
    ]


def test_nothing_grows_with_time(tmp_path: Path) -> None:
    sink = start(tmp_path, bin_s=[60, 300, 900, 3600, 86_400])
    sizes, opened = [], []
    for hour in range(3):
        for n in range(0, 3600, 20):
            pts_s = hour * 3600 + n
            if n % 200 == 0:
                feed(sink, crossing(pts_s, f"{pts_s}", start_s=EIGHT))
            feed(sink, next(frames(pts_s, pts_s, start_s=EIGHT)))
        opened.append(len(sink._books["gate"].bins))
        sizes.append((tmp_path / f"counts/gate/{OPEN}").stat().st_size)
    assert max(opened) <= 10
    assert max(sizes) < 6_000
    sink.close()


def test_a_recording_begins_anew_with_every_run(tmp_path: Path) -> None:
    for _ in range(2):
        sink = open_sink(tmp_path, bin_s=900)
        run(sink, 0, 100)
        sink.close()
        assert counts_in(read(tmp_path / "counts.csv")) == [("08:00", "11")]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.sets(st.integers(1, 399), max_size=6),
    kills=st.sets(st.integers(0, 6), max_size=3),
    lengths=st.sets(st.sampled_from([10, 60, 300]), min_size=1),
)
def test_wherever_it_is_stopped_each_interval_has_one_row_and_all_counts(
    tmp_path: Path, stops: set[int], kills: set[int], lengths: set[int]
) -> None:
    """400 s with an object each; stopped at random, sometimes after a kill right behind the last note."""
    folder = tmp_path / "out"
    shutil.rmtree(folder, ignore_errors=True)
    edges = [0, *sorted(stops), 400]
    for n, (begin, end) in enumerate(pairwise(edges)):
        sink = start(folder, bin_s=sorted(lengths))
        book = sink._books["gate"]
        items: list[Event | Frame] = []
        for second in range(begin, end):
            items += [
                crossing(second - begin, f"{n}:{second}", start_s=EIGHT + begin),
                frame(second - begin, run=f"r{n}", start_s=EIGHT + begin, counts={"main": {"in": {}}}),
            ]
        feed(sink, *items)
        if n in kills:
            book._remember()  # type: ignore[attr-defined]
            shutil.rmtree(f"{folder}-killed", ignore_errors=True)
            left = kill(folder, sink)
            shutil.rmtree(folder)
            left.rename(folder)
        else:
            sink.close()
    last = start(folder, bin_s=sorted(lengths))
    last.close()
    for length_s in lengths:
        rows = [row for row in day(folder, "2026-03-01") if row["bin_s"] == str(length_s) and row["class"]]
        found = Counter(row["start"] for row in rows)
        assert set(found.values()) == {1}, "one row for each interval"
        assert sum(int(row["count"]) for row in rows) == 400
        assert len(found) == -(-400 // length_s)


def test_the_memory_is_plain_json(tmp_path: Path) -> None:
    run(sink := start(tmp_path), 0, 100)
    sink.close()
    assert json.loads((tmp_path / f"counts/gate/{OPEN}").read_text())["version"] == 1
