"""Who reads the journal, and how far each of them is; also for who looks at it from outside of the run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError, SinkError

_FILE = "journal.sqlite3"
_BUSY_S = 5.0


@dataclass(frozen=True, slots=True)
class Consumer:
    """How far a consumer is.

    Attributes:
        acknowledged: it has everything up to this number.
        waiting: events that it does not have yet.
        overrun: events that were removed before it had them.
    """

    acknowledged: int
    waiting: int
    overrun: int


def consumers_in(database: sqlite3.Connection) -> dict[str, Consumer]:
    """Return how far each consumer is, by name."""
    rows = database.execute(
        "SELECT name, acknowledged, overrun,"
        " (SELECT count(*) FROM events WHERE seq > acknowledged) FROM consumers ORDER BY name"
    ).fetchall()
    return {name: Consumer(acknowledged, waiting, overrun) for name, acknowledged, overrun, waiting in rows}


def forget(database: sqlite3.Connection, name: str) -> bool:
    """Forget a consumer; False when it was not known. Should it come again, it is a new one."""
    return database.execute("DELETE FROM consumers WHERE name = ?", (name,)).rowcount > 0


@contextmanager
def looking_into(run: Path) -> Iterator[sqlite3.Connection]:
    """Open the journal of a run beside the run itself, if it goes on.

    Args:
        run: its output folder, or the journal's file.

    Raises:
        ConfigError: if there is no journal.
        SinkError: if it cannot be read or written now.
    """
    path = run / _FILE if run.is_dir() else run
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such journal; name a run's output folder, or the file that its `journal.file` names"
        )
    try:
        uri = f"{path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as database:
            yield database
    except sqlite3.OperationalError as error:
        raise SinkError(f"{path}: the journal cannot be had: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path} is no journal of sightline: {error}") from error
