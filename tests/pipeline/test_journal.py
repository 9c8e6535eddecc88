from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError, SinkError
from pipeline.journal import Journal
from pipeline.journal_bounds import Overrun
from pipeline.journal_consumers import Consumer, forget, looking_into
from tests.disks import Disks, fill
from tests.pipeline.messages import make_event, wait_until

DAY_S = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_772_352_000.0

    def __call__(self) -> int:
        return int(self.now_s * 1e9)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing is tried again soon."""
    monkeypatch.setattr("pipeline.journal._RETRY_S", 0.01)


def journal(folder: Path, **options: Any) -> Journal:
    return Journal(folder / "journal.sqlite3", **{"keep_s": DAY_S, "keep_bytes": 10_000_000, **options})


def numbers(kept: Journal, after: int = 0, most: int = 100_000) -> list[int]:
    return [entry.seq for entry in kept.read(after, most)]


def test_events_come_back_as_they_were_in_their_order(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    events = [make_event(number) for number in range(5)]
    assert [kept.append([event]) for event in events] == [1, 2, 3, 4, 5]
    assert [entry.event() for entry in kept.read(2, 2)] == events[2:4]
    assert kept.append([make_event(5), make_event(6)]) == 7
    kept.close()


def test_numbers_ascend_over_restarts_also_when_everything_was_removed(tmp_path: Path) -> None:
    clock = Clock()
    kept = journal(tmp_path, clock_ns=clock)
    kept.append([make_event(number) for number in range(600)])
    box = kept.box
    kept.close()
    clock.now_s += 2 * DAY_S
    again = journal(tmp_path, clock_ns=clock)
    assert (again.box, again.newest) == (box, 600)
    assert again.append([make_event(number) for number in range(600)]) == 1200
    assert numbers(again) == list(range(601, 1201))
    again.close()


def test_a_clock_that_leaps_ahead_removes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    kept = journal(tmp_path, clock_ns=clock)
    kept.append([make_event(number) for number in range(600)])
    clock.now_s += 365 * DAY_S
    kept.append([make_event(number) for number in range(600)])
    kept.close()
    clock.now_s += 365 * DAY_S  # and further, while nobody looks
    again = journal(tmp_path, clock_ns=clock)
    again.append([make_event(number) for number in range(600)])
    assert len(numbers(again)) == 1800
    again.close()


def test_a_consumer_goes_on_where_it_stopped(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append([make_event(1)])
    assert kept.join("late") == 1
    assert kept.join("all", from_start=True) == 0
    kept.append([make_event(2), make_event(3)])
    kept.acknowledge("all", 2)
    kept.acknowledge("all", 1)  # what it has it does not lose
    kept.close()
    again = journal(tmp_path)
    assert again.consumers() == {"all": Consumer(2, 1, 0), "late": Consumer(1, 2, 0)}
    assert again.join("all") == 2
    with looking_into(again.path) as database:  # as another program does
        assert forget(database, "late")
        assert not forget(database, "late")
    assert again.consumers().keys() == {"all"}
    again.acknowledge("late", 3)
    assert again.join("late") == 3, "it is a new one"
    again.close()


def test_nobody_can_have_what_is_not_there_yet(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.append([make_event(1)])
    kept.join("eager")
    kept.acknowledge("eager", 10)
    kept.append([make_event(2)])
    assert kept.consumers()["eager"] == Consumer(1, 1, 0)
    kept.close()


def test_the_size_is_bounded_and_who_loses_by_it_is_told(tmp_path: Path) -> None:
    told: list[Overrun] = []
    kept = journal(tmp_path, keep_bytes=100_000, overrun=told.append)
    kept.join("slow")
    kept.join("quick")
    for number in range(1, 1501):
        seq = kept.append([make_event(number)])
        assert seq is not None
        kept.acknowledge("quick", seq)
    left = numbers(kept)
    assert len(left) < 600
    assert left == list(range(left[0], 1501))
    assert {overrun.consumer for overrun in told} == {"slow"}
    assert sum(overrun.events for overrun in told) == left[0] - 1
    assert kept.consumers()["slow"] == Consumer(left[0] - 1, len(left), left[0] - 1)
    kept.close()


def test_what_is_told_of_removed_events_removes_no_more_of_them_in_turn(tmp_path: Path) -> None:
    told = []

    def overrun(one: Overrun) -> None:
        told.append(one)
        kept.append([make_event(0)])

    kept = journal(tmp_path, keep_bytes=50_000, overrun=overrun)
    for number in range(100):
        kept.join(f"gone {number}")
    for _ in range(3):
        kept.append([make_event(number) for number in range(500)])
    assert 100 <= len(told) <= 300
    assert len(numbers(kept)) < 500
    kept.close()


def test_a_full_disk_delays_events_and_loses_none(tmp_path: Path, soon: None) -> None:
    kept = journal(tmp_path)
    kept.append([make_event(0)])
    pages = kept._database.execute("PRAGMA page_count").fetchone()[0]
    kept._database.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "disk is full"
    number = 1
    while kept.append([make_event(number)]) is not None:
        number += 1
    assert "full" in kept.trouble
    kept.append([make_event(number + 1)])
    newest = kept.newest
    with kept._lock:
        kept._database.execute("PRAGMA max_page_count = 1000000")
    wait_until(lambda: not kept.trouble)  # although nothing more happens
    assert (kept.newest, kept.lost) == (newest + 2, 0)
    assert kept.append([make_event(number + 2)]) == newest + 3
    assert [entry.event().track_id for entry in kept.read(0, 10_000)] == list(range(number + 3))
    kept.close()


def test_what_waits_in_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: None) -> None:
    monkeypatch.setattr("pipeline.journal._MOST_BACKLOG", 3)
    kept = journal(tmp_path)
    kept._database.execute("PRAGMA query_only = 1")
    for number in range(5):
        assert kept.append([make_event(number)]) is None
    assert kept.lost == 2
    with kept._lock:
        kept._database.execute("PRAGMA query_only = 0")
    wait_until(lambda: not kept.trouble)
    kept.append([make_event(5)])
    assert [entry.event().track_id for entry in kept.read(0, 10)] == [2, 3, 4, 5]
    kept.close()


def test_nobody_waits_for_a_program_that_holds_the_file(tmp_path: Path, soon: None) -> None:
    kept = journal(tmp_path)
    kept.append([make_event(0)])
    kept.join("shop")
    kept.join("late", from_start=True)
    other = sqlite3.connect(kept.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun_s = time.monotonic()
    for number in range(1, 50):
        assert kept.append([make_event(number)]) is None
        kept.acknowledge("late", 1)
        assert kept.join("shop") == 1
    assert time.monotonic() - begun_s < 3.0  # and not five for each
    assert "locked" in kept.trouble
    with pytest.raises(SinkError, match="the consumer 'new' cannot be added: database is locked"):
        kept.join("new")
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: not kept.trouble)
    assert numbers(kept) == list(range(1, 51))
    assert kept.consumers()["late"].acknowledged == 1  # it was not forgotten over it
    kept.close()


def test_the_bounds_hold_over_many_short_runs(tmp_path: Path) -> None:
    clock = Clock()
    for _ in range(10):
        kept = journal(tmp_path, clock_ns=clock)
        kept.append([make_event(number) for number in range(100)])
        left = len(numbers(kept))
        kept.close()
        clock.now_s += 2 * DAY_S
    assert left == 100


def test_the_bounds_hold_where_little_happens(tmp_path: Path) -> None:
    clock = Clock()
    kept = journal(tmp_path, clock_ns=clock, steady_ns=clock)
    for number in range(50):
        kept.append([make_event(number)])
        clock.now_s += DAY_S / 10
    assert 10 <= len(numbers(kept)) <= 11
    kept.close()


def test_a_clock_that_is_set_after_the_start_takes_no_events(tmp_path: Path) -> None:
    """A box without a battery begins in 1970."""
    clock, steady = Clock(), Clock()
    clock.now_s = 60.0
    told: list[Overrun] = []
    kept = journal(tmp_path, clock_ns=clock, steady_ns=steady, overrun=told.append)
    kept.join("shop")
    kept.append([make_event(number) for number in range(300)])
    clock.now_s = 1_772_352_000.0
    kept.append([make_event(number) for number in range(600)])
    assert (len(numbers(kept)), told) == (900, [])
    kept.close()
    for now_s in (clock.now_s + DAY_S / 2, 60.0):  # the next starts
        clock.now_s = now_s
        kept = journal(tmp_path, clock_ns=clock, steady_ns=steady)
        kept.append([make_event(0)])
        kept.close()
    assert kept.newest == 902
    clock.now_s = 1_772_352_000.0 + DAY_S * 0.9
    kept = journal(tmp_path, clock_ns=clock, steady_ns=steady)
    kept.append([make_event(0)])
    assert len(numbers(kept)) == 903
    clock.now_s, steady.now_s = clock.now_s + DAY_S / 5, steady.now_s + DAY_S / 5
    kept.append([make_event(0)])
    assert numbers(kept) == [901, 902, 903, 904]
    kept.close()


def test_another_start_of_the_machine_is_another_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot_id"
    monkeypatch.setattr("pipeline.journal_file._BOOT_ID", boot)
    boxes = []
    for said in ("one", "one", "two", "two"):
        boot.write_text(said)
        kept = journal(tmp_path)
        boxes.append(kept.box)
        kept.close()
    assert boxes[0] == boxes[1] != boxes[2] == boxes[3]


def test_names_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.journal._MOST_CONSUMERS", 3)
    kept = journal(tmp_path)
    for number in range(3):
        kept.join(f"shop {number}")
    with pytest.raises(SinkError, match="3 consumers are known already, and 'shop 3' is none of them"):
        kept.join("shop 3")
    assert kept.join("shop 1") == 0
    kept.close()


def test_what_is_never_written_is_an_error_at_the_end(small_disk: Disks) -> None:
    disk = small_disk("1m")
    kept = journal(disk)
    fill(disk / "filler")
    kept.append([make_event(number, data={"why": "x" * 60_000}) for number in range(3)])
    assert (kept.lost, kept.trouble != "") == (0, True)
    with pytest.raises(SinkError, match=r"journal: 3 events could not be written: .*full"):
        kept.close()
    assert kept.lost == 3
    kept.close()


def test_a_reader_is_woken_by_what_comes(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    assert not kept.wait(0, 0.0)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(kept.wait(0, 30.0)))
    waiting.start()
    kept.append([make_event(1)])
    waiting.join(10)
    assert found == [True]
    kept.close()
    assert not kept.wait(0, 30.0), "a closed journal lets nobody wait"


def test_closing_it_without_new_events_changes_no_number(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    kept.join("one")
    kept.join("two")
    kept.close()
    assert kept.newest == 0


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    kept = journal(tmp_path)
    assert kept.append([make_event(1)]) == 1
    kept.close()
    assert (tmp_path / "journal.sqlite3.damaged").stat().st_size == 16 + 256 * 40


def test_the_journal_of_a_newer_sightline_is_left_alone(tmp_path: Path) -> None:
    journal(tmp_path).close()
    with sqlite3.connect(tmp_path / "journal.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="journal of a newer sightline"):
        journal(tmp_path)


def test_the_tables_of_another_program_are_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite3") as database:
        database.execute("CREATE TABLE events (what TEXT)")
    with pytest.raises(SinkError, match="cannot be opened: no such column: seq; choose another folder"):
        journal(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot be opened"):
        journal(tmp_path / "file")


def test_what_msgpack_cannot_carry_is_refused_with_its_neighbours_untaken(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    with pytest.raises(SinkError, match=r"'line\.crossing' of stream 'gate' holds something"):
        kept.append([make_event(1), make_event(2, data={"what": object()})])
    with pytest.raises(SinkError, match=r"'line\.crossing' of stream 'gate' holds something"):
        kept.append([make_event(1), make_event(2, data={"per lane": {1: 17}})])  # nobody could read it
    assert kept.newest == 0
    kept.close()
    with pytest.raises(SinkError, match="closed"):
        kept.append([make_event(1)])


_WRITER = """
import sys
from pathlib import Path
from pipeline.journal import Journal
from tests.disks import Disks, fill
from tests.pipeline.messages import make_event
kept = Journal(Path(sys.argv[1]), keep_s=1e6, keep_bytes=10**9)
number = kept.newest
while True:
    number = kept.append([make_event(number + 1)])
    print(number, flush=True)
"""


def test_what_was_said_to_be_safe_is_there_after_kill_9(tmp_path: Path) -> None:
    said = 0
    for lines in (1, 37, 200):
        command = [sys.executable, "-c", _WRITER, str(tmp_path / "journal.sqlite3")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(lines):
                said = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split()
            said = int(rest[-1]) if rest else said
    kept = journal(tmp_path)
    assert kept.newest - said in (0, 1), "at most the one that was written and not yet said"
    assert [entry.event().track_id for entry in kept.read(0, 100_000)] == list(range(1, kept.newest + 1))
    kept.close()
