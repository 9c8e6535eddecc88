from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import SinkContext
from streams.sinks.sqlite import SqliteOptions, SqliteSink
from tests.pipeline.messages import make_event

EVENTS = [make_event(number) for number in range(10)]
DAY_NS = 86_400 * 10**9


def make(folder: Path, **options: Any) -> SqliteSink:
    return SqliteSink(SqliteOptions(**{"fsync": False, **options}), SinkContext(folder))


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SqliteSink]:
    made = make(tmp_path)
    yield made
    made.close()


def query(folder: Path, text: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "events.sqlite3")) as database:
        return database.execute(text).fetchall()


def ids(folder: Path) -> set[str]:
    return {row[0] for row in query(folder, "SELECT id FROM events")}


def of(events: list[Event]) -> set[str]:
    return {str(event.id) for event in events}


def test_a_row_is_the_event(tmp_path: Path, sink: SqliteSink) -> None:
    sink.deliver([make_event(2, label="Rößl"), make_event(3, track_id=None, label=None)])
    columns = "time, time_ns, stream, kind, track_id, label, body ->> '$.data.line', body ->> '$.id' = id"
    assert query(tmp_path, f"SELECT {columns} FROM events ORDER BY time_ns") == [
        (
            "2026-03-01T08:00:00.080Z",
            1772352000080000000,
            "gate",
            "line.crossing",
            2,
            "Rößl",
            "main",
            1,
        ),
        ("2026-03-01T08:00:00.120Z", 1772352000120000000, "gate", "line.crossing", None, None, "main", 1),
    ]


def test_what_comes_twice_is_one_row_over_runs_too(tmp_path: Path) -> None:
    for events in (EVENTS[:3], EVENTS[1:5], EVENTS[4:6] * 2):
        sink = make(tmp_path, fsync=True)
        sink.deliver(events)
        sink.deliver(events)
        sink.close()
    assert query(tmp_path, "SELECT count(*) FROM events") == [(6,)]
    assert query(tmp_path, "PRAGMA journal_mode") == [("wal",)]


def test_others_read_while_it_is_written(tmp_path: Path, sink: SqliteSink) -> None:
    sink.deliver(EVENTS[:2])
    with closing(sqlite3.connect(tmp_path / "events.sqlite3")) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (2,)
        sink.deliver(EVENTS[2:4])
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (2,)
    assert ids(tmp_path) == of(EVENTS[:4])


def test_old_rows_go_by_when_they_were_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = time.time_ns()
    for days, events in ((40, EVENTS[:2]), (29, EVENTS[2:4]), (1, EVENTS[4:5]), (0, EVENTS[5:6])):
        monkeypatch.setattr("streams.sinks.sqlite.time.time_ns", lambda days=days: now_ns - days * DAY_NS)
        sink = make(tmp_path, keep_days=30)
        sink.deliver(events)
        sink.close()
    assert ids(tmp_path) == of(EVENTS[2:6]), "the events' own time, that of a file maybe, is none of it"


def test_a_clock_that_leaps_ahead_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = time.time_ns()
    for days, events in ((0, EVENTS[:2]), (365, EVENTS[2:4])):
        monkeypatch.setattr("streams.sinks.sqlite.time.time_ns", lambda days=days: now_ns + days * DAY_NS)
        sink = make(tmp_path, keep_days=30)
        sink.deliver(events)
        sink.close()
    assert ids(tmp_path) == of(EVENTS[:4])


def test_the_file_does_not_grow_beyond_its_bound(tmp_path: Path) -> None:
    sink = make(tmp_path, keep_mb=1)
    filler = {"data": {"text": "x" * 3000}}
    for start in range(0, 2000, 250):
        sink.deliver([make_event(number, **filler) for number in range(start, start + 250)])
    sink.close()
    kept = sorted(row[0] for row in query(tmp_path, "SELECT track_id FROM events"))
    assert kept == list(range(kept[0], 2000)), "the oldest go"
    assert len(kept) > 180
    assert (tmp_path / "events.sqlite3").stat().st_size < 1_100_000


def test_a_damaged_file_is_put_aside(tmp_path: Path, caplog: Any) -> None:
    sink = make(tmp_path)
    sink.deliver(EVENTS[:1])
    sink.close()
    (tmp_path / "events.sqlite3").write_bytes(b"no database at all" * 1000)
    with pytest.raises(SinkError, match="file is not a database"):
        sink.deliver(EVENTS[:2])
    sink.deliver(EVENTS[:2])
    sink.close()
    assert ids(tmp_path) == of(EVENTS[:2])
    assert (tmp_path / "events.sqlite3.damaged").read_bytes().startswith(b"no database at all")
    assert "it is kept as" in caplog.text


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ("CREATE TABLE events (id INTEGER PRIMARY KEY, name TEXT)", "columns id, time, time_ns, stored_ns"),
        (
            "CREATE TABLE events (id TEXT, time TEXT, time_ns INTEGER, stored_ns INTEGER, stream TEXT,"
            " kind TEXT, track_id INTEGER, label TEXT, body TEXT)",
            "id is no key",
        ),
    ],
)
def test_a_table_of_another_schema_is_left_alone(tmp_path: Path, schema: str, problem: str) -> None:
    with closing(sqlite3.connect(tmp_path / "events.sqlite3")) as database:
        database.execute(schema)
    sink = make(tmp_path)
    with pytest.raises(SinkError, match=rf"is not of this sink \({problem}.*; give the sink another `path`"):
        sink.deliver(EVENTS)
    sink.close()
    assert query(tmp_path, "SELECT count(*) FROM events") == [(0,)]


def test_a_file_that_somebody_removed_is_begun_anew(tmp_path: Path, sink: SqliteSink) -> None:
    sink.deliver(EVENTS[:2])
    for path in tmp_path.glob("events.sqlite3*"):
        path.unlink()
    sink.deliver(EVENTS[2:4])
    assert ids(tmp_path) == of(EVENTS[2:4])


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SinkError, match=r"taken/events.sqlite3: "):
        make(tmp_path, path="taken/events.sqlite3").deliver(EVENTS)


def test_numbers_beyond_the_column_and_what_json_cannot_carry(tmp_path: Path, sink: SqliteSink) -> None:
    sink.deliver([make_event(1, track_id=2**64 - 1)])
    assert query(tmp_path, "SELECT track_id, body LIKE '%18446744073709551615%' FROM events") == [(None, 1)]
    with pytest.raises(EventsRefused) as refusal:
        sink.deliver([EVENTS[2], make_event(1, data={"value": b"bytes"})])
    assert list(refusal.value.reasons) == [1]


_WRITER = """
import sys
from pathlib import Path
from pipeline.plugin import SinkContext
from streams.sinks.sqlite import SqliteOptions, SqliteSink
from tests.pipeline.messages import make_event

sink = SqliteSink(SqliteOptions(fsync=False), SinkContext(Path(sys.argv[1])))
number = int(sys.argv[2])
while True:
    sink.deliver([make_event(number + k) for k in range(5)])
    number += 5
    print(number, flush=True)
"""


@pytest.mark.slow
def test_what_was_delivered_before_a_kill_is_there(tmp_path: Path) -> None:
    rng, written = random.Random(3), 0
    for _ in range(10):
        command = [sys.executable, "-c", _WRITER, str(tmp_path), str(written)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            until = written + rng.randrange(5, 1000)
            for line in writer.stdout:
                written = int(line)
                if written >= until:
                    break
            os.kill(writer.pid, signal.SIGKILL)
            written = max([written, *map(int, writer.stdout.read().split("\n")[:-1])])
        assert {str(make_event(number).id) for number in range(written)} <= ids(tmp_path)
    assert query(tmp_path, "PRAGMA integrity_check") == [("ok",)]
