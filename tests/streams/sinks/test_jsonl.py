from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import SinkContext
from pipeline.steady import SteadyClock
from streams.sinks.jsonl import JsonlOptions, JsonlSink
from streams.sinks.rotating import Bounds, RotatingFile
from tests.pipeline.messages import make_event

EVENTS = [make_event(number) for number in range(40)]
IDS = [str(event.id) for event in EVENTS]
LINE_BYTES = len(json.dumps(EVENTS[0].to_dict(), separators=(",", ":"))) + 1


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[JsonlSink]:
    made = make(tmp_path)
    yield made
    made.close()


def make(folder: Path, **options: Any) -> JsonlSink:
    return JsonlSink(JsonlOptions(**{"fsync": False, **options}), SinkContext(folder))


def files(folder: Path) -> list[Path]:
    return sorted((folder / "log").glob("events-*.jsonl"))


def ids(folder: Path) -> list[str]:
    """The ids of all lines, each of which is whole."""
    lines = [line for path in files(folder) for line in path.read_bytes().split(b"\n")[:-1]]
    return [Event.from_dict(json.loads(line)).id.__str__() for line in lines]


def deliver(folder: Path, events: Sequence[Event], **options: Any) -> None:
    sink = make(folder, **options)
    sink.deliver(events)
    sink.close()


def test_a_line_is_the_event(tmp_path: Path, sink: JsonlSink) -> None:
    sink.deliver(EVENTS[:3])
    lines = files(tmp_path)[0].read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [event.to_dict() for event in EVENTS[:3]]


def test_the_next_run_goes_on(tmp_path: Path) -> None:
    deliver(tmp_path, EVENTS[:3])
    deliver(tmp_path, EVENTS[3:5])
    assert ids(tmp_path) == IDS[:5]
    assert len(files(tmp_path)) == 1


def test_what_comes_twice_is_there_once(tmp_path: Path, sink: JsonlSink) -> None:
    sink.deliver(EVENTS[:6])
    sink.deliver(EVENTS[3:8])
    deliver(tmp_path / "other", [EVENTS[0], EVENTS[1], EVENTS[0]])
    sink.close()
    deliver(tmp_path, EVENTS[5:9], fsync=True)
    assert ids(tmp_path) == IDS[:9]
    assert sorted(ids(tmp_path / "other")) == sorted(IDS[:2])


@given(cut=st.integers(0, 3 * LINE_BYTES), per_file=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_a_file_torn_anywhere_is_mended_and_completed(
    tmp_path_factory: pytest.TempPathFactory, cut: int, per_file: int
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    limit = {"file_mb": max(0.001, per_file * LINE_BYTES / 1e6)}
    deliver(folder, EVENTS[:7], **limit)
    last = files(folder)[-1]
    os.truncate(last, max(0, last.stat().st_size - cut))
    deliver(folder, EVENTS[:9], **limit)
    assert sorted(ids(folder)) == sorted(IDS[:9])


def test_zeros_after_a_power_failure_are_removed(tmp_path: Path, caplog: Any) -> None:
    deliver(tmp_path, EVENTS[:2])
    with files(tmp_path)[0].open("ab") as file:
        file.write(bytes(100_000))
    deliver(tmp_path, EVENTS[1:4])
    assert ids(tmp_path) == IDS[:4]
    assert "a torn last line of 100000 bytes is removed" in caplog.text


def test_a_full_disk_in_the_midst_of_a_line_costs_nothing(
    tmp_path: Path, sink: JsonlSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.write, 2 * LINE_BYTES + 50

    def full(handle: int, data: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(handle, bytes(data)[:left])
        left -= written
        return written

    monkeypatch.setattr("streams.sinks.rotating.os.write", full)
    with pytest.raises(SinkError, match=r"log/events.jsonl: No space left on device; free space"):
        sink.deliver(EVENTS[:5])
    with pytest.raises(SinkError):
        sink.deliver(EVENTS[:5])
    left = 10**9
    sink.deliver(EVENTS[:5])
    assert ids(tmp_path) == IDS[:5]


def test_a_file_that_somebody_moved_away_is_begun_anew(tmp_path: Path, sink: JsonlSink) -> None:
    sink.deliver(EVENTS[:2])
    files(tmp_path)[0].rename(tmp_path / "mine.jsonl")
    sink.deliver(EVENTS[2:4])
    assert ids(tmp_path) == IDS[2:4]


def test_two_writers_of_one_file_are_told(tmp_path: Path, sink: JsonlSink) -> None:
    sink.deliver(EVENTS[:1])
    with pytest.raises(SinkError, match=r"is written by another process; give one of them another `path`"):
        deliver(tmp_path, EVENTS[1:2])


def test_what_json_cannot_carry_is_refused_and_the_others_are_not(tmp_path: Path, sink: JsonlSink) -> None:
    bad = make_event(1, data={"value": float("nan")})
    with pytest.raises(EventsRefused) as refusal:
        sink.deliver([EVENTS[0], bad, EVENTS[2]])
    assert list(refusal.value.reasons) == [1]
    assert "holds something that JSON cannot carry" in refusal.value.reasons[1]
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, ["03-01.000001", "03-01.000002", "03-02.000003", "03-09.000004"]),
        ({"keep_files": 2}, ["03-02.000003", "03-09.000004"]),
        ({"keep_days": 8.0}, ["03-01.000001", "03-01.000002", "03-02.000003", "03-09.000004"]),
        ({"keep_days": 7.0}, ["03-02.000003", "03-09.000004"]),
        ({"keep_days": 0.5}, ["03-09.000004"]),
        ({"keep_bytes": 25}, ["03-02.000003", "03-09.000004"]),
        ({"keep_bytes": 1}, ["03-09.000004"]),
    ],
)
def test_files_follow_each_other_and_the_oldest_go(
    tmp_path: Path, bounds: dict[str, Any], expected: list[str]
) -> None:
    day = date(2026, 3, 1)
    steady = SteadyClock()
    steady.vouch(time.time_ns())
    file = RotatingFile(
        tmp_path / "a.jsonl",
        Bounds(**{"file_bytes": 20, "keep_files": 99, "keep_days": 99.0, "keep_bytes": 10**6, **bounds}),
        fsync=False,
        today=lambda: day,
        time_of_day=steady,
    )
    (tmp_path / "a-other.jsonl").write_text("not ours")
    file.open()
    file.append([b"123456789\n"] * 2)
    file.append([b"x" * 30 + b"\n"])  # larger than a file: alone in its own
    day = date(2026, 3, 2)
    file.append([b"123456789\n"])
    day = date(2026, 3, 9)
    file.append([b"123456789\n"])
    file.close()
    found = [path.name.removeprefix("a-2026-").removesuffix(".jsonl") for path in file.files()]
    assert found == expected
    assert (tmp_path / "a-other.jsonl").exists()


def test_a_clock_that_leaps_ahead_and_back_removes_nothing_and_mixes_up_nothing(tmp_path: Path) -> None:
    def opened() -> RotatingFile:
        bounds = Bounds(1000, 99, 30.0, 10**6)
        clock = SteadyClock(lambda: (day - date(1970, 1, 1)).days * 86_400 * 10**9)
        made = RotatingFile(tmp_path / "a.jsonl", bounds, fsync=False, today=lambda: day, time_of_day=clock)
        made.open()
        made.trim()
        return made

    for day in (date(2026, 3, 1), date(2027, 3, 1), date(2026, 3, 1), date(2026, 3, 2)):
        file = opened()
        file.append([f"{day}\n".encode()])
        file.close()
    assert [path.name for path in file.files()] == [
        "a-2026-03-01.000001.jsonl",
        "a-2027-03-01.000002.jsonl",
        "a-2026-03-01.000003.jsonl",
        "a-2026-03-02.000004.jsonl",
    ]
    assert file.last_lines(2) == [b"2026-03-01", b"2026-03-02"]


def test_last_lines_reach_over_the_ends_of_files(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "a.jsonl", Bounds(20_000, 99, 99.0, 10**9), fsync=False)
    lines = [f"{number:06d}{'x' * 900}\n".encode() for number in range(200)]
    file.open()
    file.append(lines)
    file.close()
    wanted = [line[:-1] for line in lines]
    for most in (1, 3, 21, 22, 23, 150, 200, 999):
        assert file.last_lines(most) == wanted[-most:]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.jsonl", "a/../../x", ""])
def test_a_path_outside_the_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="within the output folder"):
        JsonlOptions(path=path)


_WRITER = """
import sys
from pathlib import Path
from pipeline.feeder import Feeder
from pipeline.journal import Journal
from pipeline.plugin import SinkContext
from streams.sinks.jsonl import JsonlOptions, JsonlSink
from tests.pipeline.messages import make_event

folder, first = Path(sys.argv[1]), int(sys.argv[2])
journal = Journal(folder / "journal.sqlite3", keep_s=1e6, keep_bytes=10**9)
sink = JsonlSink(JsonlOptions(file_mb=0.02, fsync=False), SinkContext(folder))
feeder = Feeder("jsonl", journal, sink.deliver, batch=50, from_start=True)
feeder.start()
number = first
while True:
    number += 1
    journal.append([make_event(number)])
    print(number, flush=True)
    if number == first + int(sys.argv[3]):
        break
feeder.stop(journal.newest, 60)
journal.close()
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    rng, written = random.Random(3), 0
    for life in range(15):
        last = life == 14
        command = [sys.executable, "-c", _WRITER, str(tmp_path), str(written), "50" if last else "1000000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            until = written + rng.randrange(50, 600)
            for line in writer.stdout:
                written = int(line)
                if written >= until and not last:
                    os.kill(writer.pid, signal.SIGKILL)
                    break
            rest = writer.stdout.read().split("\n")[:-1]
        written = int(rest[-1]) if rest else written
    found = ids(tmp_path)
    # What was written down although its number was not printed any more is there as well.
    missing = {str(make_event(number).id) for number in range(1, written + 1)} - set(found)
    assert len(found) == len(set(found))
    assert written > 2000
    assert not missing
