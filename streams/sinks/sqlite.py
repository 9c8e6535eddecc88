"""Sink `sqlite`: events as rows of a database in one file, for whoever asks in SQL on the box itself."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import Field

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.moment import iso_utc
from pipeline.plugin import NO_EVENTS, EventSink, EventSinkOptions, SinkContext
from pipeline.steady import SteadyClock
from pipeline.transaction import committing
from streams.sinks.body import json_of_all
from streams.sinks.textfile import FileName

logger = logging.getLogger(__name__)

_COLUMNS = {
    "id": "TEXT",
    "time": "TEXT",
    "time_ns": "INTEGER",
    "stored_ns": "INTEGER",
    "stream": "TEXT",
    "kind": "TEXT",
    "track_id": "INTEGER",
    "label": "TEXT",
    "body": "TEXT",
}
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS events (id TEXT NOT NULL PRIMARY KEY, time TEXT NOT NULL,"
    " time_ns INTEGER NOT NULL, stored_ns INTEGER NOT NULL, stream TEXT NOT NULL, kind TEXT NOT NULL,"
    " track_id INTEGER, label TEXT, body TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS events_of_a_stream ON events (stream, kind, time_ns)",
    "CREATE INDEX IF NOT EXISTS events_stored ON events (stored_ns)",
)
_INSERT = (
    f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
    " ON CONFLICT (id) DO NOTHING"
)
_BUSY_S = 5.0
_TRIM_EVERY = 500
"""Events between two looks for old rows."""
_TRIM_EVERY_S = 3600.0
_WAL_BYTES = 16_000_000
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_LARGEST_INTEGER = 2**63 - 1


class SqliteOptions(EventSinkOptions):
    """Options of the sqlite sink.

    Attributes:
        path: file within the output folder. It goes on from run to run.
        keep_days: rows that were stored longer ago are removed.
        keep_mb: so many megabytes of the file are used; beyond that the oldest rows are removed.
        fsync: wait for the disk once per batch, before the journal is told that the events are here. False
            leaves that to the operating system: events then survive a crash of sightline, but some may be
            missing after a power failure.
    """

    path: FileName = "events.sqlite3"
    keep_days: float = Field(default=30.0, gt=0, le=36_500)
    keep_mb: float = Field(default=1_000.0, ge=1, le=100_000_000)
    fsync: bool = True


class SqliteSink(EventSink):
    """Keeps a table `events`: a few columns to ask by, and the whole event as JSON in `body`.

    The file is in WAL mode, so that others can read while it is written. An event that comes twice is one
    row. A file that is damaged is put aside, once, as `*.damaged`, and a new one begins; one of another
    schema is left alone, and the events wait in the journal.
    """

    Options = SqliteOptions
    emits = NO_EVENTS
    options: SqliteOptions

    def __init__(self, options: SqliteOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._path = context.folder / options.path
        self._database: sqlite3.Connection | None = None
        self._since_trim = _TRIM_EVERY
        self._trimmed_s = 0.0
        self._time_of_day = SteadyClock(time.time_ns)

    @classmethod
    def files(cls, options: SqliteOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the database and its companions."""
        return [options.path, f"{options.path}-wal", f"{options.path}-shm"]

    def deliver(self, events: Sequence[Event]) -> None:
        """Store what is not there yet, in one transaction."""
        texts = json_of_all(events)
        now_ns = time.time_ns()
        rows = [_row(event, text, now_ns) for event, text in zip(events, texts, strict=True)]
        with self._lock, self._explained():
            database = self._opened()
            with committing(database):
                database.executemany(_INSERT, rows)
            self._trim(database, len(rows), now_ns)

    def close(self) -> None:
        """Close the file; its WAL goes into it."""
        with self._lock:
            self._let_go()

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None and not self._path.exists():
            self._let_go()  # somebody removed it: what is written there would be lost
        if self._database is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(database, self._path, fsync=self.options.fsync)
            except BaseException:
                database.close()
                raise
            self._database = database
            latest = database.execute("SELECT max(stored_ns) FROM events").fetchone()[0]
            if latest is not None:
                self._time_of_day.vouch(latest)
        return self._database

    def _trim(self, database: sqlite3.Connection, new: int, now_ns: int) -> None:
        removed = 0
        self._since_trim += new
        if self._since_trim >= _TRIM_EVERY or time.monotonic() - self._trimmed_s >= _TRIM_EVERY_S:
            self._since_trim, self._trimmed_s = 0, time.monotonic()
            oldest_ns = now_ns - int(self.options.keep_days * 86_400e9)
            if self._time_of_day.is_steady():
                with committing(database):
                    old = database.execute("DELETE FROM events WHERE stored_ns < ?", (oldest_ns,))
                    removed += old.rowcount
        keep_bytes = self.options.keep_mb * 1e6
        excess = _used_bytes(database) - keep_bytes
        if excess > 0:
            # A tenth more goes, so that not every batch removes something.
            share = (excess + keep_bytes / 10) / (excess + keep_bytes)
            with committing(database):
                removed += database.execute(
                    "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events ORDER BY stored_ns, rowid"
                    " LIMIT (SELECT 1 + CAST(count(*) * ? AS INTEGER) FROM events))",
                    (share,),
                ).rowcount
        if removed:
            database.executescript("PRAGMA incremental_vacuum")  # `execute` would free a single page

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._let_go()
            if str(getattr(error, "sqlite_errorname", "")).startswith(_DAMAGED):
                self._put_aside()
            raise SinkError(f"{self._path}: {error}") from error

    def _put_aside(self) -> None:
        aside = self._path.with_name(self._path.name + ".damaged")
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink()
        with suppress(OSError):
            self._path.replace(aside)
            logger.error("sqlite: %s is damaged; it is kept as %s, a new one begins", self._path, aside)

    def _let_go(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _row(event: Event, text: str, now_ns: int) -> tuple[object, ...]:
    track_id = event.track_id
    if track_id is not None and track_id > _LARGEST_INTEGER:
        track_id = None  # SQLite has no larger integers; `body` has it
    moment = event.moment
    return (
        str(event.id),
        iso_utc(moment.time_ns),
        moment.time_ns,
        now_ns,
        event.stream,
        event.kind,
        track_id,
        event.label,
        text,
    )


def _prepare(database: sqlite3.Connection, path: Path, *, fsync: bool) -> None:
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heeded by a new file only
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
    database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}").fetchall()
    found = {
        name: (kind.upper(), bool(key))
        for _, name, kind, _, _, key in database.execute("PRAGMA table_info(events)")
    }
    if found:
        wrong = [name for name, kind in _COLUMNS.items() if found.get(name, ("",))[0] != kind]
        is_keyed = found.get("id", ("", False))[1]
        if wrong or not is_keyed:
            what = f"columns {', '.join(wrong)} are missing or of another type" if wrong else "id is no key"
            raise SinkError(
                f"{path}: its table `events` is not of this sink ({what}); give the sink another `path`"
            )
    with committing(database):
        for statement in _SCHEMA:
            database.execute(statement)


def _used_bytes(database: sqlite3.Connection) -> int:
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
