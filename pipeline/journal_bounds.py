"""What the journal must let go: what is too old, or too much."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pipeline.transaction import committing


@dataclass(frozen=True, slots=True)
class Overrun:
    """Events that had to be removed although a consumer did not have them.

    Attributes:
        consumer: its name.
        events: how many.
        last: number of the last of them.
    """

    consumer: str
    events: int
    last: int


class Bounds:
    """How much may stay.

    Args:
        keep_s: older events are removed.
        keep_bytes: so many bytes of events are kept; beyond that the oldest are removed.
    """

    def __init__(self, keep_s: float, keep_bytes: int) -> None:
        self._keep_ns = int(keep_s * 1e9)
        self._keep_bytes = keep_bytes

    def are_exceeded(self, held_bytes: int) -> bool:
        """Return whether there are too many bytes."""
        return held_bytes > self._keep_bytes

    def trim(self, database: sqlite3.Connection, held_bytes: int, now_ns: int) -> tuple[int, list[Overrun]]:
        """Remove what must go; return its bytes, and who lost something by that.

        Args:
            database: of the journal.
            held_bytes: of all bodies in it.
            now_ns: the time by the clock that events are dated with.

        Raises:
            sqlite3.Error: if the disk does not take it; then all is as before.
        """
        last = self._last_to_go(database, held_bytes, now_ns)
        if last is None:
            return 0, []
        with committing(database):
            overruns = [
                Overrun(name, events, last)
                for name, events in database.execute(
                    "SELECT name, (SELECT count(*) FROM events WHERE seq > acknowledged AND seq <= ?)"
                    " FROM consumers WHERE acknowledged < ?",
                    (last, last),
                ).fetchall()
                if events
            ]
            database.execute(
                "UPDATE consumers SET overrun = overrun +"
                " (SELECT count(*) FROM events WHERE seq > acknowledged AND seq <= ?), acknowledged = ?"
                " WHERE acknowledged < ?",
                (last, last, last),
            )
            gone_bytes = bytes_of(database, last)
            database.execute("DELETE FROM events WHERE seq <= ?", (last,))
        return gone_bytes, overruns

    def _last_to_go(self, database: sqlite3.Connection, held_bytes: int, now_ns: int) -> int | None:
        """Return the number up to which events are too old or too many, None when all may stay."""
        last = database.execute(
            "SELECT max(seq) FROM events WHERE seq <= (SELECT coalesce((SELECT seq FROM events"
            " WHERE kept_ns >= ? ORDER BY seq LIMIT 1) - 1, (SELECT max(seq) FROM events)))",
            (now_ns - self._keep_ns,),
        ).fetchone()[0]
        excess = held_bytes - self._keep_bytes
        if excess > 0:
            # A tenth more goes, so that not every look removes something.
            excess += self._keep_bytes // 10
            for seq, size in database.execute("SELECT seq, length(body) FROM events ORDER BY seq"):
                last = max(seq, last or 0)
                excess -= size
                if excess <= 0:
                    break
        return None if last is None else int(last)


def bytes_of(database: sqlite3.Connection, upto: int = (1 << 63) - 1) -> int:
    """Return the bytes of all bodies in the journal with numbers up to `upto`."""
    total = database.execute("SELECT coalesce(sum(length(body)), 0) FROM events WHERE seq <= ?", (upto,))
    return int(total.fetchone()[0])
