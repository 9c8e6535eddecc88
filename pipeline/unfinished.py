"""Events that a sink took and is not done with, in a file: the next process goes on with them."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import msgpack

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.transaction import committing

logger = logging.getLogger(__name__)

FILE = "unfinished.sqlite3"
_SCHEMA = "CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body BLOB NOT NULL)"
_BUSY_S = 5.0


class Unfinished:
    """Keeps what a sink says that it holds (`Sink.held`), and no more, over the end of the process.

    Args:
        path: of the file; its folder exists.
        held: the ids that the sink holds now.

    Raises:
        SinkError: if the file cannot be had.
    """

    def __init__(self, path: Path, held: Callable[[], Collection[UUID]]) -> None:
        self._path = path
        self._held = held
        self._lock = threading.Lock()
        self._database = _opened(path)
        self._ids: set[str] = set()
        """Those in the file."""

    def left(self) -> list[Event]:
        """Return what an earlier process left unfinished, oldest first."""
        with self._lock:
            rows = self._database.execute("SELECT id, body FROM events ORDER BY rowid").fetchall()
            self._ids = {row[0] for row in rows}
        return [Event.from_dict(msgpack.unpackb(body)) for _, body in rows]

    def keep(self, events: Sequence[Event]) -> None:
        """Keep those of the events that the sink holds.

        Raises:
            SinkError: if the disk does not take them.
        """
        with self._lock:
            held = self._held()
            new = {
                str(event.id): msgpack.packb(event.to_dict())
                for event in events
                if event.id in held and str(event.id) not in self._ids
            }
            if new:
                self._write("INSERT OR IGNORE INTO events VALUES (?, ?)", list(new.items()))
                self._ids |= new.keys()

    def settle(self) -> None:
        """Forget what the sink is done with; what the disk does not take is forgotten later."""
        with self._lock:
            done = self._ids - {str(one) for one in self._held()}
            if done:
                with suppress(SinkError):
                    self._write("DELETE FROM events WHERE id = ?", [(one,) for one in done])
                    self._ids -= done

    def close(self) -> None:
        """Close the file. Safe more than once."""
        with self._lock:
            self._database.close()

    def _write(self, statement: str, rows: Sequence[tuple[str, ...] | tuple[str, bytes]]) -> None:
        try:
            with committing(self._database):
                self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            raise SinkError(f"{self._path}: what is unfinished cannot be noted: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    try:
        try:
            return _prepared(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, read-only, full: not damaged
                raise
            logger.warning("%s is damaged (%s) and begins anew: what was unfinished is lost", path, error)
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            return _prepared(path)
    except (OSError, sqlite3.Error) as error:
        raise SinkError(f"{path}: cannot be opened: {error}; choose another folder by --out") from error


def _prepared(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_SCHEMA)
        with closing(database.execute("SELECT id, body FROM events")) as rows:
            for _ in rows:
                pass  # a page that is damaged shows now
    except BaseException:
        database.close()
        raise
    return database
