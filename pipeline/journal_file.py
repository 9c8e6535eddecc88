"""The journal's file: opened, checked, put aside when it is damaged."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from pipeline.errors import ConfigError, SinkError

logger = logging.getLogger(__name__)

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kept_ns INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS consumers (
    name TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL, overrun INTEGER NOT NULL DEFAULT 0);
"""
_BUSY_S = 5.0


def open_journal(path: Path, *, power_safe: bool) -> sqlite3.Connection:
    """Open or make the file; one that is damaged is put aside.

    Raises:
        ConfigError: if it is of a newer sightline.
        SinkError: if it cannot be had.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _prepared(path, power_safe)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, read-only, full: not damaged
                raise
            aside = _aside(path)
            logger.error(
                "journal: %s is damaged (%s); it is kept as %s, a new one begins", path, error, aside
            )
            return _prepared(path, power_safe)
    except (OSError, sqlite3.Error) as error:
        raise SinkError(f"{path}: the journal cannot be opened: {error}; choose another folder") from error


def _prepared(path: Path, power_safe: bool) -> sqlite3.Connection:
    database = connected(path)
    try:
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found > _FORMAT:
            raise ConfigError(
                f"{path} is the journal of a newer sightline (format {found}); use that, or another folder"
            )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {'FULL' if power_safe else 'NORMAL'}")
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version = {_FORMAT}")
        if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("its check fails")
    except BaseException:
        database.close()
        raise
    return database


def connected(path: Path) -> sqlite3.Connection:
    """Return another connection to it, for any thread."""
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _aside(path: Path) -> Path:
    """Put a damaged journal and its companions aside; an earlier one that was put aside goes."""
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
    return path.replace(path.with_name(path.name + ".damaged"))
