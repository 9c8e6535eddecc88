"""Every event on the disk before anybody sees it: an outbox that consumers read, and acknowledge.

One SQLite file a box, in WAL mode: what `append` has returned for survives the end of the process in any
moment (`kill -9`), and with `power_safe` that of the machine. Each event gets a number, for ever ascending;
a consumer is a name and the number up to which it has everything.
"""

from __future__ import annotations

import logging
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
from pipeline.journal_bounds import Bounds, Overrun, bytes_of
from pipeline.journal_clock import JournalClock
from pipeline.journal_consumers import Consumer, consumers_in
from pipeline.journal_file import connected, identity, open_journal, packed
from pipeline.transaction import committing

logger = logging.getLogger(__name__)

_TRIM_EVERY = 500
"""Events between two looks at the bounds, or a tenth of them while there are too many bytes."""
_TRIM_EVERY_NS = 3600 * 10**9
"""And time, where fewer come."""
_MOST_BACKLOG = 20_000
"""Events that wait in memory while the disk takes none."""
_RETRY_S = 1.0
"""Between two looks whether it does again."""
_MOST_CONSUMERS = 1000
"""A program that takes another name at each start must not fill the journal with them."""
_BUSY_MS = 100
"""How long a write waits for another program that holds the file, before it counts as one that failed."""


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


class Journal:
    """The events of a box, oldest first, bounded by age and size; used from any thread.

    While the disk takes nothing (full, read-only, gone) events wait in memory, bounded, and are written as
    soon as it does; nobody waits for that. So do acknowledgements.

    Args:
        path: of the file; its folder is made.
        keep_s: older events are removed.
        keep_bytes: so many bytes of events are kept; beyond that the oldest are removed.
        power_safe: wait for the disk at each event (some ms), so that it also survives a power failure.
        overrun: told, from the thread that appends, when a consumer lost events to the bounds.
        clock_ns: UTC nanoseconds.
        steady_ns: nanoseconds that never leap.

    Attributes:
        box: identity of this journal, 16 hexadecimal digits: numbers of two boxes are not to be mixed. After
            each start of the machine it is another (see `pipeline.journal_file.identity`).

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
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.path = path
        self._bounds = Bounds(keep_s, keep_bytes)
        self._tell_overrun = overrun
        self._steady_ns = steady_ns
        self._lock = threading.RLock()
        self._grown = threading.Condition()
        self._calls = 0
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._backlog: deque[tuple[str, bytes]] = deque()
        self._acknowledged: dict[str, int] = {}  # what is not written yet
        self._lost = 0
        self._failing = ""
        self._closed = False
        self._over = threading.Event()
        self._telling = False
        self._database = open_journal(path, power_safe=power_safe)
        self._reader_lock = threading.Lock()
        self._reader = connected(path)
        self.box = identity(self._database)
        self._newest, newest_ns, self._bytes = self._facts()
        self._database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        self._clock = JournalClock(newest_ns, clock_ns, steady_ns)
        self._before_us, self._undated_ns = self._newest, 0
        # The first event of a run has the bounds looked at: many short runs must not fill the disk.
        self._since_trim, self._trimmed_ns = _TRIM_EVERY, steady_ns()

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
        entries = [(event.kind, packed(event)) for event in events]
        with self._lock:
            if self._closed:
                raise SinkError(f"{self.path}: the journal is closed")
            self._backlog.extend(entries)
            if not self._backlog:
                return self._newest
            if self._failing:
                self._shorten()
                return None
            seq = self._flush()
            overruns = self._trimmed() if seq is not None and self._must_look() else []
            self._telling |= bool(overruns)
        try:
            for overrun in overruns:
                logger.warning(
                    "journal: '%s' had not taken %d events when they were removed",
                    overrun.consumer,
                    overrun.events,
                )
                if self._tell_overrun:
                    self._tell_overrun(overrun)
        finally:
            if overruns:
                self._telling = False
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

        Raises:
            SinkError: if there are too many already, or the disk does not take another one.
        """
        with self._lock:
            known = self._database.execute(
                "SELECT acknowledged FROM consumers WHERE name = ?", (name,)
            ).fetchone()
            if known is not None:  # served also while the disk takes nothing
                return max(int(known[0]), self._acknowledged.get(name, 0))
            if self._database.execute("SELECT count(*) FROM consumers").fetchone()[0] >= _MOST_CONSUMERS:
                raise SinkError(
                    f"{_MOST_CONSUMERS} consumers are known already, and '{name}' is none of them; "
                    "programs must keep their names, and `sightline consumers` forgets old ones"
                )
            first = 0 if from_start else self._newest
            try:
                with committing(self._database):
                    self._database.execute(
                        "INSERT INTO consumers (name, acknowledged) VALUES (?, ?)", (name, first)
                    )
            except sqlite3.Error as error:
                raise SinkError(f"{self.path}: the consumer '{name}' cannot be added: {error}") from error
            return first

    def acknowledge(self, name: str, seq: int) -> None:
        """Note that a consumer has everything up to `seq`; going back is ignored.

        What the disk does not take now is written as soon as it does.
        """
        with self._lock:
            if self._closed:
                return
            self._acknowledged[name] = max(self._acknowledged.get(name, 0), min(seq, self._newest))
            if not self._failing:
                self._flush()

    def consumers(self) -> dict[str, Consumer]:
        """Return how far each consumer is, by name."""
        with self._lock:
            return consumers_in(self._database)

    def close(self) -> None:
        """Write what waits, if the disk takes it, and close the file; safe more than once.

        Raises:
            SinkError: if the disk takes none; then it is closed all the same, and what waited is lost.
        """
        with self._lock:
            if self._closed:
                return
            if self._backlog or self._acknowledged:
                self._flush()
            self._closed = True
            self._over.set()
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
        """Write all that waits in one transaction; return the newest number, None when it failed."""
        seq = self._newest
        try:
            self._undated_ns += self._clock.leap_ns()
            now_ns = self._clock.now_ns()
            with committing(self._database):
                if self._undated_ns:
                    self._database.execute(
                        "UPDATE events SET kept_ns = kept_ns + ? WHERE seq > ?",
                        (self._undated_ns, self._before_us),
                    )
                if self._backlog:
                    cursor = self._database.executemany(
                        "INSERT INTO events (kept_ns, kind, body) VALUES (?, ?, ?)",
                        [(now_ns, *entry) for entry in self._backlog],
                    )
                    seq = int(cursor.connection.execute("SELECT last_insert_rowid()").fetchone()[0])
                for name, upto in self._acknowledged.items():
                    self._database.execute(
                        "UPDATE consumers SET acknowledged = ? WHERE name = ? AND acknowledged < ?",
                        (upto, name, upto),
                    )
        except sqlite3.Error as error:
            self._wait_for_the_disk(error)
            return None
        if self._failing:
            logger.warning("journal: the disk takes events again; %d had waited", len(self._backlog))
            self._failing = ""
        self._undated_ns = 0
        self._acknowledged.clear()
        self._since_trim += len(self._backlog)
        self._bytes += sum(len(body) for _, body in self._backlog)
        self._backlog.clear()
        if seq != self._newest:
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
            threading.Thread(target=self._retry, name="journal-retry", daemon=True).start()
        self._failing = str(error)
        self._shorten()

    def _shorten(self) -> None:
        """Let the oldest of those go that wait in memory beyond the bound."""
        while len(self._backlog) > _MOST_BACKLOG:
            self._backlog.popleft()
            self._lost += 1

    def _retry(self) -> None:
        """Write what waits as soon as the disk takes it, also when nothing more happens meanwhile."""
        while not self._over.wait(_RETRY_S):
            with self._lock:
                if self._closed or not self._failing or self._flush() is not None:
                    return

    def _must_look(self) -> bool:
        """Return whether it is time to look at the bounds."""
        every = _TRIM_EVERY // 10 if self._bounds.are_exceeded(self._bytes) else _TRIM_EVERY
        if self._telling:  # what is told of it comes back as events: they must not remove more, without end
            return False
        return self._since_trim >= every or self._steady_ns() - self._trimmed_ns >= _TRIM_EVERY_NS

    def _trimmed(self) -> list[Overrun]:
        """Remove what is too old or too much; return who lost something by that."""
        self._since_trim = 0
        self._trimmed_ns = self._steady_ns()
        try:
            gone_bytes, overruns = self._bounds.trim(self._database, self._bytes, self._clock.believed_ns())
        except sqlite3.Error as error:
            logger.warning("journal: what is too old or too much cannot be removed yet: %s", error)
            return []
        self._bytes -= gone_bytes
        return overruns

    def _facts(self) -> tuple[int, int, int]:
        """Return the newest event's number and date, 0 without one, and the bytes of all of them."""
        newest, newest_ns = self._database.execute(
            "SELECT coalesce(max(seq), 0), coalesce(max(kept_ns), 0) FROM events"
        ).fetchone()
        return int(newest), int(newest_ns), bytes_of(self._database)
