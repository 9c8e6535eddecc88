"""Every event on the disk before anybody sees it: an outbox that consumers read, and acknowledge.

One SQLite file a box, in WAL mode: what `append` has returned for survives the end of the process in any
moment (`kill -9`), and with `power_safe` that of the machine. Each event gets a number, for ever ascending;
a consumer is a name and the number up to which it has everything.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgpack

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.journal_file import connected, open_journal
from pipeline.transaction import committing

logger = logging.getLogger(__name__)

_TRIM_EVERY = 500
"""Events between two looks at the bounds."""
_MOST_BACKLOG = 20_000
"""Events that wait in memory while the disk takes none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it lies in the journal.

    Attributes:
        seq: its number on this box; numbers ascend, and those of events that were removed are missing.
        kind: of the event.
        body: `Event.to_dict()` in msgpack.
    """

    seq: int
    kind: str
    body: bytes

    def event(self) -> Event:
        """Return the event."""
        return Event.from_dict(msgpack.unpackb(self.body))


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


class Journal:
    """The events of a box, oldest first, bounded by age and size; used from any thread.

    While the disk takes nothing (full, read-only, gone) events wait in memory, bounded, and are written as
    soon as it does; nobody waits for that.

    Args:
        path: of the file; its folder is made.
        keep_s: older events are removed.
        keep_bytes: so many bytes of events are kept; beyond that the oldest are removed.
        power_safe: wait for the disk at each event (some ms), so that it also survives a power failure.
        overrun: told, from the thread that appends, when a consumer lost events to the bounds.
        clock_ns: UTC nanoseconds.

    Attributes:
        box: identity of this journal, 16 hexadecimal digits: numbers of two boxes are not to be mixed.

    Raises:
        ConfigError: if the file is of a newer sightline.
        SinkError: if the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_s: float,
        keep_bytes: int,
        power_safe: bool = False,
        overrun: Callable[[Overrun], None] | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self._keep_ns = int(keep_s * 1e9)
        self._keep_bytes = keep_bytes
        self._tell_overrun = overrun
        self._clock_ns = clock_ns
        self._lock = threading.RLock()
        self._grown = threading.Condition()
        self._calls = 0
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._backlog: deque[tuple[int, str, bytes]] = deque()
        self._lost = 0
        self._failing = ""
        self._closed = False
        self._database = open_journal(path, power_safe=power_safe)
        self._reader_lock = threading.Lock()
        self._reader = connected(path)
        self.box, self._newest, self._bytes = self._facts()
        self._since_trim = 0

    @property
    def newest(self) -> int:
        """Number of the latest event, 0 before the first."""
        return self._newest

    @property
    def lost(self) -> int:
        """Events that were neither written nor could wait any longer."""
        return self._lost

    @property
    def trouble(self) -> str:
        """Why the disk takes nothing at present, "" when it does."""
        return self._failing

    def append(self, events: Sequence[Event]) -> int | None:
        """Write events, in their order; return the number of the last, or None when they wait for the disk.

        Raises:
            SinkError: if an event holds something that msgpack cannot carry; then none is taken.
        """
        now_ns = self._clock_ns()
        entries = [(now_ns, event.kind, _packed(event)) for event in events]
        with self._lock:
            if self._closed:
                raise SinkError(f"{self.path}: the journal is closed")
            self._backlog.extend(entries)
            if not self._backlog:
                return self._newest
            seq = self._flush()
            overruns = self._trimmed() if self._since_trim >= _TRIM_EVERY else []
        for overrun in overruns:
            logger.warning(
                "journal: '%s' had not taken %d events when they were removed",
                overrun.consumer,
                overrun.events,
            )
            if self._tell_overrun:
                self._tell_overrun(overrun)
        return seq

    def read(self, after: int, most: int) -> list[Entry]:
        """Return up to `most` entries with numbers above `after`, oldest first."""
        with self._reader_lock:
            rows = self._reader.execute(
                "SELECT seq, kind, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, most)
            ).fetchall()
        return [Entry(*row) for row in rows]

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there are entries above `after`; False if there are none in time, or at `close`."""
        with self._grown:
            calls = self._calls
            self._grown.wait_for(
                lambda: self._closed or self._newest > after or self._calls != calls, timeout_s
            )
            return self._newest > after and not self._closed

    def on_growth(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have `call` called after each write, in the thread that wrote; return what ends that."""
        with self._grown:
            self._listeners = (*self._listeners, call)

        def end() -> None:
            with self._grown:
                self._listeners = tuple(other for other in self._listeners if other is not call)

        return end

    def wake(self) -> None:
        """End the waiting of all who wait."""
        with self._grown:
            self._calls += 1
            self._grown.notify_all()

    def join(self, name: str, *, from_start: bool = False) -> int:
        """Make a consumer known; return the number up to which it has everything.

        Args:
            name: of the consumer; one that is known goes on where it stopped.
            from_start: one that is not known yet gets all that is kept; else what comes from now on.
        """
        with self._lock, committing(self._database):
            first = 0 if from_start else self._newest
            self._database.execute(
                "INSERT OR IGNORE INTO consumers (name, acknowledged) VALUES (?, ?)", (name, first)
            )
            return int(
                self._database.execute(
                    "SELECT acknowledged FROM consumers WHERE name = ?", (name,)
                ).fetchone()[0]
            )

    def acknowledge(self, name: str, seq: int) -> None:
        """Note that a consumer has everything up to `seq`; going back is ignored."""
        with self._lock, committing(self._database):
            self._database.execute(
                "UPDATE consumers SET acknowledged = ? WHERE name = ? AND acknowledged < ?",
                (min(seq, self._newest), name, seq),
            )

    def leave(self, name: str) -> bool:
        """Forget a consumer; False when it was not known."""
        with self._lock, committing(self._database):
            return self._database.execute("DELETE FROM consumers WHERE name = ?", (name,)).rowcount > 0

    def consumers(self) -> dict[str, Consumer]:
        """Return how far each consumer is, by name."""
        with self._lock:
            rows = self._database.execute(
                "SELECT name, acknowledged, overrun,"
                " (SELECT count(*) FROM events WHERE seq > acknowledged) FROM consumers ORDER BY name"
            ).fetchall()
        return {
            name: Consumer(acknowledged, waiting, overrun) for name, acknowledged, overrun, waiting in rows
        }

    def close(self) -> None:
        """Write what waits, if the disk takes it, and close the file; safe more than once.

        Raises:
            SinkError: if the disk takes none; then it is closed all the same, and what waited is lost.
        """
        with self._lock:
            if self._closed:
                return
            if self._backlog:
                self._flush()
            self._closed = True
            unwritten = len(self._backlog)
            self._lost += unwritten
            self._backlog.clear()
        self.wake()
        with self._reader_lock, self._lock:
            self._reader.close()
            self._database.close()
        if unwritten:
            raise SinkError(f"journal: {unwritten} events could not be written: {self._failing}")

    def _flush(self) -> int | None:
        """Write all that waits in one transaction; return the number of the last, None when none was."""
        try:
            with committing(self._database):
                cursor = self._database.executemany(
                    "INSERT INTO events (kept_ns, kind, body) VALUES (?, ?, ?)", self._backlog
                )
                seq = int(cursor.connection.execute("SELECT last_insert_rowid()").fetchone()[0])
        except sqlite3.Error as error:
            self._wait_for_the_disk(error)
            return None
        if self._failing:
            logger.warning("journal: the disk takes events again; %d had waited", len(self._backlog))
            self._failing = ""
        self._since_trim += len(self._backlog)
        self._bytes += sum(len(body) for _, _, body in self._backlog)
        self._backlog.clear()
        with self._grown:
            self._newest = seq
            self._grown.notify_all()
        for call in self._listeners:
            call()
        return seq

    def _wait_for_the_disk(self, error: sqlite3.Error) -> None:
        if not self._failing:
            logger.error(
                "journal: %s takes no events (%s); they wait in memory, at most %d",
                self.path,
                error,
                _MOST_BACKLOG,
            )
        self._failing = str(error)
        while len(self._backlog) > _MOST_BACKLOG:
            self._backlog.popleft()
            self._lost += 1

    def _trimmed(self) -> list[Overrun]:
        """Remove what is too old or too much; return who lost something by that."""
        self._since_trim = 0
        try:
            last = self._last_to_go()
            if last is None:
                return []
            with committing(self._database):
                overruns = [
                    Overrun(name, events, last)
                    for name, events in self._database.execute(
                        "SELECT name, (SELECT count(*) FROM events WHERE seq > acknowledged AND seq <= ?)"
                        " FROM consumers WHERE acknowledged < ?",
                        (last, last),
                    ).fetchall()
                    if events
                ]
                self._database.execute(
                    "UPDATE consumers SET overrun = overrun +"
                    " (SELECT count(*) FROM events WHERE seq > acknowledged AND seq <= ?), acknowledged = ?"
                    " WHERE acknowledged < ?",
                    (last, last, last),
                )
                self._database.execute("DELETE FROM events WHERE seq <= ?", (last,))
            self._bytes = _bytes_of(self._database)
        except sqlite3.Error as error:
            self._wait_for_the_disk(error)
            return []
        return overruns

    def _last_to_go(self) -> int | None:
        """Return the number up to which events are too old or too many, None when all may stay."""
        oldest_ns = self._clock_ns() - self._keep_ns
        last = self._database.execute(
            "SELECT max(seq) FROM events WHERE seq <= (SELECT coalesce((SELECT seq FROM events"
            " WHERE kept_ns >= ? ORDER BY seq LIMIT 1) - 1, (SELECT max(seq) FROM events)))",
            (oldest_ns,),
        ).fetchone()[0]
        excess = self._bytes - self._keep_bytes
        if excess > 0:
            # A tenth more goes, so that not every look removes something.
            excess += self._keep_bytes // 10
            for seq, size in self._database.execute("SELECT seq, length(body) FROM events ORDER BY seq"):
                last = max(seq, last or 0)
                excess -= size
                if excess <= 0:
                    break
        return None if last is None else int(last)

    def _facts(self) -> tuple[str, int, int]:
        with committing(self._database):
            self._database.execute("INSERT OR IGNORE INTO facts VALUES ('box', ?)", (secrets.token_hex(8),))
        box = self._database.execute("SELECT value FROM facts WHERE name = 'box'").fetchone()[0]
        newest = self._database.execute(
            "SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'"
        ).fetchone()
        return box, int(newest[0] or 0), _bytes_of(self._database)


def _packed(event: Event) -> bytes:
    try:
        packed: bytes = msgpack.packb(event.to_dict())
    except (TypeError, ValueError, OverflowError) as error:
        what = f"event '{event.kind}' of stream '{event.stream}'"
        raise SinkError(f"{what} holds something that msgpack cannot carry: {error}") from error
    return packed


def _bytes_of(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT coalesce(sum(length(body)), 0) FROM events").fetchone()[0])
