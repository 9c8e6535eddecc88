"""Which recordings there are, in a file of SQLite: one writer, any readers."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path
from typing import Self

from pipeline.errors import SinkError
from pipeline.transaction import committing
from streams.sinks.record.segment import Segment, State

logger = logging.getLogger(__name__)

FILE = "index.sqlite3"
_FORMAT = 1
_FIELDS = tuple(field.name for field in fields(Segment))
_TYPES = {"str": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER", "State": "TEXT"}
_COLUMNS = ", ".join(f"{field.name} {_TYPES[str(field.type)]} NOT NULL" for field in fields(Segment))
_SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS segments ({_COLUMNS}, folder TEXT NOT NULL, PRIMARY KEY (path))",
    "CREATE INDEX IF NOT EXISTS segments_of_a_stream ON segments (stream, start_ns)",
    "CREATE INDEX IF NOT EXISTS segments_stored ON segments (protected, stored_ns)",
    "CREATE INDEX IF NOT EXISTS segments_in_a_folder ON segments (folder, path)",
)
_PUT = (
    f"INSERT OR REPLACE INTO segments ({', '.join(_FIELDS)}, folder)"  # noqa: S608 - names of our own
    f" VALUES ({', '.join('?' * (len(_FIELDS) + 1))})"
)
_SELECT = f"SELECT {', '.join(_FIELDS)} FROM segments"  # noqa: S608
_BUSY_S = 5.0
_WRITER_BUSY_S = 1.0
"""Nobody else should write; who does must not hold up recording."""
_WAL_PAGES = 100
_WAL_BYTES = 1_000_000
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Index:
    """The table of segments. Its owner holds a lock: one thread at a time.

    Raises, from every method: sqlite3.Error.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def writing(cls, path: Path) -> Self:
        """Open it for the one writer, made if missing; a damaged one is put aside and a new one begins.

        Raises:
            SinkError: if it is of a newer sightline or cannot be had.
        """
        try:
            try:
                return cls(_prepared(path))
            except sqlite3.DatabaseError as error:
                if not str(getattr(error, "sqlite_errorname", "")).startswith(_DAMAGED):
                    raise
                aside = _put_aside(path)
                logger.error(
                    "recordings: %s is damaged; it is kept as %s, and a new one is made from the files",
                    path,
                    aside,
                )
                return cls(_prepared(path))
        except (OSError, sqlite3.Error) as error:
            raise SinkError(f"{path}: the index of recordings cannot be opened: {error}") from error

    @classmethod
    def reading(cls, path: Path) -> Self:
        """Open it to be asked, also while it is written.

        Raises:
            SinkError: if there is none, or it cannot be read.
        """
        if not path.is_file():
            raise SinkError(f"{path}: there is no index of recordings")
        for mode in ("mode=ro", "immutable=1"):  # the latter where the disk is read-only
            database = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=_BUSY_S, check_same_thread=False
            )
            try:
                database.execute(f"{_SELECT} LIMIT 1").fetchall()
            except sqlite3.Error as error:
                database.close()
                reason = error
            else:
                return cls(database)
        raise SinkError(f"{path}: the index of recordings cannot be read: {reason}")

    @classmethod
    def in_memory(cls) -> Self:
        """Make one that is nowhere on the disk."""
        database = sqlite3.connect(":memory:", isolation_level=None)
        for statement in _SCHEMA:
            database.execute(statement)
        return cls(database)

    def put(self, segments: Iterable[Segment]) -> None:
        """Note segments, or what has become of them."""
        rows = [(*astuple(segment), segment.folder) for segment in segments]
        with committing(self._database):
            self._database.executemany(_PUT, rows)

    def remove(self, paths: Iterable[str]) -> None:
        """Forget segments."""
        with committing(self._database):
            self._database.executemany("DELETE FROM segments WHERE path = ?", [(path,) for path in paths])

    def get(self, path: str) -> Segment | None:
        """Return the segment of this path."""
        return next(self._segments("WHERE path = ?", path), None)

    def find(
        self, stream: str | None = None, from_ns: int | None = None, to_ns: int | None = None
    ) -> Iterator[Segment]:
        """Yield the segments that show anything between two times (UTC), by stream and time."""
        asked = [
            ("stream = ?", stream),
            ("end_ns > ?", from_ns),
            ("start_ns < ?", to_ns),
        ]
        given = [(words, value) for words, value in asked if value is not None]
        where = f"WHERE {' AND '.join(words for words, _ in given)} " if given else ""
        return self._segments(f"{where}ORDER BY stream, start_ns, path", *(value for _, value in given))

    def oldest(self, most: int, before_ns: int | None = None, after_ns: int | None = None) -> list[Segment]:
        """Return up to so many that may go, those that were stored longest ago first.

        Args:
            most: how many.
            before_ns: only of those that were stored before, UTC.
            after_ns: only of those that were stored after, UTC.
        """
        asked = [("AND stored_ns < ? ", before_ns), ("AND stored_ns > ? ", after_ns)]
        given = [(words, value) for words, value in asked if value is not None]
        bounds = "".join(words for words, _ in given)
        return list(
            self._segments(
                f"WHERE protected = 0 AND state != 'open' {bounds}ORDER BY stored_ns, path LIMIT ?",
                *(value for _, value in given),
                most,
            )
        )

    def move_stored(self, from_ns: int, to_ns: int, by_ns: int) -> None:
        """Move the time at which those were stored that were so between two times, UTC: a clock was set."""
        with committing(self._database):
            self._database.execute(
                "UPDATE segments SET stored_ns = stored_ns + ? WHERE stored_ns BETWEEN ? AND ?",
                (by_ns, from_ns, to_ns),
            )

    def in_folder(self, folder: str) -> dict[str, Segment]:
        """Return the segments of one stream's day by path."""
        return {segment.path: segment for segment in self._segments("WHERE folder = ?", folder)}

    def folders(self) -> list[str]:
        """Return the folders that have segments."""
        return [row[0] for row in self._database.execute("SELECT DISTINCT folder FROM segments ORDER BY 1")]

    def streams(self) -> list[str]:
        """Return the names of the streams that have segments."""
        return [row[0] for row in self._database.execute("SELECT DISTINCT stream FROM segments ORDER BY 1")]

    def protected(self) -> list[Segment]:
        """Return the protected segments."""
        return list(self._segments("WHERE protected = 1"))

    def total_bytes(self) -> int:
        """Return the bytes of all segments."""
        return int(self._database.execute("SELECT coalesce(sum(size), 0) FROM segments").fetchone()[0])

    def close(self) -> None:
        """Close the file; safe more than once."""
        self._database.close()

    def _segments(self, rest: str, *values: object) -> Iterator[Segment]:
        for row in self._database.execute(f"{_SELECT} {rest}", values):
            known = dict(zip(_FIELDS, row, strict=True))
            yield Segment(**{**known, "state": State(known["state"]), "protected": bool(known["protected"])})


def _prepared(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=_WRITER_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found > _FORMAT:
            raise SinkError(
                f"{path} is the index of a newer sightline (format {found}); use that, or another `folder`"
            )
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}").fetchall()
        database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}").fetchall()
        if found < _FORMAT:  # else it is only read: somebody may have locked it
            with committing(database):
                for statement in _SCHEMA:
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {_FORMAT}")
        if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            error = sqlite3.DatabaseError("its check fails")
            error.sqlite_errorname = "SQLITE_CORRUPT"
            raise error
    except BaseException:
        database.close()
        raise
    return database


def _put_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged")
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
    return path.replace(aside)
