"""One SQLite transaction as a `with` block."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def committing(database: sqlite3.Connection) -> Iterator[None]:
    """Make the `with` block one transaction, of a connection that begins none by itself."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
