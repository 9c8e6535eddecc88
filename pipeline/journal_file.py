"""The journal's file: opened, checked, put aside when it is damaged."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path

import msgpack

from pipeline.errors import ConfigError, SinkError
from pipeline.event import Event
from pipeline.transaction import committing

logger = logging.getLogger(__name__)

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kept_ns INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS consumers (
    name TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL, overrun INTEGER NOT NULL DEFAULT 0);
"""
_COLUMNS = ("seq, kept_ns, kind, body FROM events", "name, acknowledged, overrun FROM consumers")
_BUSY_S = 5.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
        for columns in _COLUMNS:  # of another program's tables with the same names
            database.execute(f"SELECT {columns} LIMIT 0")
        if found != _FORMAT:  # writing it needs room on the disk, each time
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


def identity(database: sqlite3.Connection) -> str:
    """Return the identity of the journal, 16 hexadecimal digits; another one after each start of the machine.

    A power failure may take the latest events, which consumers elsewhere have already: their numbers are
    given again, to other events. Under another identity nobody takes the ones for the others. It costs
    consumers no more than what they had not acknowledged, which comes again.
    """
    boot = _boot()
    facts = dict(database.execute("SELECT name, value FROM facts").fetchall())
    if facts.get("boot") == boot:
        return str(facts["box"])
    box = secrets.token_hex(8)
    with suppress(sqlite3.Error), committing(database):  # the disk is full: another one again next time
        database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", [("box", box), ("boot", boot)])
    return box


def _boot() -> str:
    """Return what the system calls the time since it was started; where it does not, each asking is one."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return secrets.token_hex(8)


def _aside(path: Path) -> Path:
    """Put a damaged journal and its companions aside; an earlier one that was put aside goes."""
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
    return path.replace(path.with_name(path.name + ".damaged"))


def packed(event: Event) -> bytes:
    """Return an event as it is stored: msgpack.

    Raises:
        SinkError: if it holds something that msgpack cannot carry.
    """
    try:
        body: bytes = msgpack.packb(event.to_dict())
        msgpack.unpackb(body)  # what can be written but not read would hold up every consumer for ever
    except (TypeError, ValueError, OverflowError) as error:
        what = f"event '{event.kind}' of stream '{event.stream}'"
        raise SinkError(f"{what} holds something that msgpack cannot carry: {error}") from error
    return body
