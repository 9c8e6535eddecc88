from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import SinkContext
from streams.sinks.parquet import files as parquet_files
from streams.sinks.parquet.sink import ParquetOptions, ParquetSink
from streams.sinks.parquet.spool import Spool
from tests.pipeline.messages import make_event
from tests.streams.sinks.material import crossing

pytest.importorskip("pyarrow")
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
EVENTS = [make_event(number) for number in range(40)]
IDS = [str(event.id) for event in EVENTS]
DAY_S = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def make(folder: Path, clock: Clock | None = None, **options: Any) -> ParquetSink:
    settings = {"fsync": False, **options}
    return ParquetSink(ParquetOptions(**settings), SinkContext(folder), now=clock or Clock())


def deliver(folder: Path, events: Sequence[Event], clock: Clock | None = None, **options: Any) -> None:
    sink = make(folder, clock, **options)
    sink.deliver(events)
    sink.close()


def files(folder: Path) -> list[Path]:
    return sorted((folder / "parquet").glob("date=*/*.parquet"))


def rows(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return [row for path in files(folder) for row in pq.read_table(path, partitioning=None).to_pylist()]


def ids(folder: Path) -> list[str]:
    return [row["id"] for row in rows(folder)]


def test_a_row_is_the_event(tmp_path: Path) -> None:
    plain = make_event(2, track_id=None, position=None, label=None, data={}, evidence={"trail": [[1, 2]]})
    deliver(tmp_path, [EVENTS[1], plain, make_event(3, track_id=2**63)])
    first, second, third = rows(tmp_path)
    values = EVENTS[1].to_dict()
    for name in ("id", "time_ns", "pts_s", "stream", "run", "sequence", "kind", "track_id", "label", "clock"):
        assert first[name] == values[name]
    assert first["time"] == datetime.fromtimestamp(EVENTS[1].moment.time_ns // 1000 / 1e6, UTC)
    assert (first["x"], first["y"], first["stage"], first["name"]) == (1.5, 2.25, "count", "main")
    assert json.loads(first["data"]) == values["data"]
    assert (second["track_id"], second["label"], second["x"]) == (None, None, None)
    assert json.loads(second["evidence"]) == {"trail": [[1, 2]]}
    assert third["track_id"] is None, "Parquet has no larger integers"


def test_each_day_has_its_folder_and_duckdb_reads_them(tmp_path: Path) -> None:
    days = [crossing(number, f"{number}", start_s=number // 5 * DAY_S) for number in range(15)]
    deliver(tmp_path, days)
    assert [path.parent.name for path in files(tmp_path)] == [
        "date=1970-01-01",
        "date=1970-01-02",
        "date=1970-01-03",
    ]
    duckdb = pytest.importorskip("duckdb")
    where = str(tmp_path / "parquet" / "**" / "*.parquet")
    found = duckdb.sql(
        f"SELECT date, count(*) FROM '{where}' WHERE date >= '1970-01-02' GROUP BY 1 ORDER BY 1"
    )
    assert [count for _, count in found.fetchall()] == [5, 5]


def test_a_file_is_made_when_it_is_time_or_when_there_are_enough(tmp_path: Path) -> None:
    clock = Clock()
    sink = make(tmp_path, clock, every_s=60, file_rows=10)
    sink.deliver(EVENTS[:3])
    clock.now += timedelta(seconds=59)
    sink.deliver(EVENTS[3:4])
    assert files(tmp_path) == []
    clock.now += timedelta(seconds=1)
    sink.deliver(EVENTS[4:5])
    assert ids(tmp_path) == IDS[:4]
    sink.deliver(EVENTS[5:20])
    sink.deliver(EVENTS[20:21])
    assert ids(tmp_path) == IDS[:20]
    sink.close()
    assert ids(tmp_path) == IDS[:21]
    assert [path.name for path in (tmp_path / "parquet").iterdir() if path.is_file()] == ["_lock"]


def test_groups_are_bounded(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    deliver(tmp_path, EVENTS, group_rows=15)
    metadata = pq.read_metadata(files(tmp_path)[0])
    assert [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)] == [15, 15, 10]


def test_what_comes_twice_is_there_once(tmp_path: Path) -> None:
    for batch in (
        EVENTS[:6],
        EVENTS[:6],
        EVENTS[3:9],
        EVENTS[8:12],
    ):  # each time a process that knows nothing
        deliver(tmp_path, batch)
    assert ids(tmp_path) == IDS[:12]


@given(cut=st.integers(0, 2500))
@settings(max_examples=30, deadline=None)
def test_a_spool_torn_anywhere_is_mended_and_completed(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    sink = make(folder)
    sink.deliver(EVENTS[:5])
    sink._spool.close()  # as a kill does
    (spool,) = (folder / "parquet").glob("_incoming-*.jsonl")
    os.truncate(spool, max(0, spool.stat().st_size - cut))
    deliver(folder, EVENTS[:8])
    assert sorted(ids(folder)) == sorted(IDS[:8])


@pytest.mark.parametrize("step", range(3))
def test_a_crash_while_files_are_made_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    two_days = [crossing(number, f"{number}", start_s=number % 2 * DAY_S) for number in range(6)]
    sink = make(tmp_path)
    sink.deliver(two_days)
    done = 0
    replace = os.replace

    def crashing(source: Path, target: Path) -> None:
        nonlocal done
        if done == step:
            raise KeyboardInterrupt
        done += 1
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(parquet_files.os, "replace", crashing)
        patch.setattr(sink._spool, "remove", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sink.close()
    sink._spool.close()
    assert len(files(tmp_path)) == step
    deliver(tmp_path, two_days)
    assert sorted(ids(tmp_path)) == sorted(str(event.id) for event in two_days)


def test_a_disk_without_room_keeps_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    sink = make(tmp_path, clock, every_s=10)
    sink.deliver(EVENTS[:3])
    clock.now += timedelta(seconds=10)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parquet_files.os, "replace", full)
        with pytest.raises(SinkError, match=r"cannot write .*parquet: No space left on device"):
            sink.deliver(EVENTS[3:5])
    assert not list((tmp_path / "parquet").rglob("*.part"))
    sink.deliver(EVENTS[3:5])
    sink.close()
    assert ids(tmp_path) == IDS[:5]


def test_the_oldest_files_go(tmp_path: Path) -> None:
    clock = Clock()
    for number in range(6):
        deliver(tmp_path, EVENTS[number : number + 1], clock, keep_days=3)
        clock.now += timedelta(days=1)
    assert ids(tmp_path) == IDS[2:6], "of the latest day and the three before it"
    deliver(tmp_path, EVENTS[6:7], clock, keep_mb=0.001)
    assert ids(tmp_path) == IDS[6:7]


def test_a_clock_that_leaps_ahead_removes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    for number in range(2):
        deliver(tmp_path, EVENTS[number : number + 1], clock, keep_days=3)
        clock.now += timedelta(days=365)
    assert ids(tmp_path) == IDS[:2]


def test_a_clock_that_was_set_back_does_not_keep_events_in_the_spool(tmp_path: Path) -> None:
    clock, up_s = Clock(), 50.0
    clock.now += timedelta(days=365)
    spool = Spool(tmp_path, fsync=False, now=clock, clock_s=lambda: up_s)
    spool.open()
    spool.append([b"{}\n"])
    clock.now -= timedelta(days=365)
    up_s += 900
    assert spool.age == timedelta(seconds=900)
    spool.remove()
    spool.append([b"{}\n"])  # its stamp, too, is of the future
    assert spool.age == timedelta()
    up_s += 60
    assert spool.age == timedelta(seconds=60)
    spool.close()


def test_two_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    sink = make(tmp_path)
    sink.deliver(EVENTS[:1])
    with pytest.raises(SinkError, match="another process; give one another `folder`"):
        make(tmp_path).deliver(EVENTS[1:2])
    sink.close()


def test_what_json_cannot_carry_is_refused_and_a_foreign_line_left_out(tmp_path: Path, caplog: Any) -> None:
    sink = make(tmp_path)
    with pytest.raises(EventsRefused) as refusal:
        sink.deliver([EVENTS[0], make_event(99, data={"picture": b"raw"})])
    assert list(refusal.value.reasons) == [1]
    sink.deliver(EVENTS[:1])
    sink._spool.append([b"not ours\n"])
    sink.deliver(EVENTS[1:2])
    sink.close()
    assert ids(tmp_path) == IDS[:2]
    assert "is no event; it is left out" in caplog.text


WRITER = """
import sys
from pathlib import Path
from pipeline.plugin import SinkContext
from streams.sinks.parquet.sink import ParquetOptions, ParquetSink
from tests.pipeline.messages import make_event
sink = ParquetSink(ParquetOptions(file_rows=15, group_rows=4), SinkContext(Path(sys.argv[1])))
for first in range(int(sys.argv[2]), 400, 10):
    sink.deliver([make_event(number) for number in range(first, first + 10)])
    print(first + 10, flush=True)
sink.close()
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    rng = random.Random(4)
    had, kills = 0, 0
    for _ in range(30):
        words = [sys.executable, "-c", WRITER, str(tmp_path), str(had)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            left = rng.randrange(1, 7) if kills < 12 else 1000
            for line in writer.stdout:
                had, left = int(line), left - 1
                if left == 0:
                    kills += 1
                    os.kill(writer.pid, signal.SIGKILL)
                    break
        if had >= 400:
            break
    deliver(tmp_path, [make_event(399)])  # makes a file of what the last kill left
    assert kills >= 10
    assert sorted(ids(tmp_path)) == sorted(str(make_event(number).id) for number in range(400))
