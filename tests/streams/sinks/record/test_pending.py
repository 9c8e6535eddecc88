"""What waits for the index: how soon it is tried again depends on why the index did not take it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.sinks.record.pending import Pending, code_of


def index_of(connection: sqlite3.Connection) -> Any:
    """An index that writes one large row for each call."""

    def write(_: object) -> None:
        with connection:
            connection.execute("INSERT INTO rows VALUES (zeroblob(100000))")

    return SimpleNamespace(put=write, remove=write)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(tmp_path / "index.sqlite3", timeout=0)
    made.execute("CREATE TABLE rows (body)")
    return made


def test_a_full_disk_is_tried_again_at_once(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 5")
    pending = Pending(lambda: 0.0)
    pending.remove("gate/one.mp4")
    with pytest.raises(sqlite3.Error) as full:
        pending.settle(index_of(connection))
    assert code_of(full.value) == sqlite3.SQLITE_FULL
    assert pending.is_due
    connection.execute("PRAGMA max_page_count = 1000")
    pending.settle(index_of(connection))
    assert not len(pending)


def test_a_lock_is_waited_for_now_and_then_only(connection: sqlite3.Connection, tmp_path: Path) -> None:
    now_s = 0.0
    pending = Pending(lambda: now_s)
    pending.remove("gate/one.mp4")
    other = sqlite3.connect(tmp_path / "index.sqlite3")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.Error) as locked:
        pending.settle(index_of(connection))
    assert code_of(locked.value) == sqlite3.SQLITE_BUSY
    assert not pending.is_due
    other.rollback()
    now_s = 60.0
    assert pending.is_due
    pending.settle(index_of(connection))
    assert not len(pending)
