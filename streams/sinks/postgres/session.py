"""One connection to the database, and how a batch gets through it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from pipeline.errors import EventsRefused, SinkError
from streams.sinks.postgres.address import address_of
from streams.sinks.postgres.options import PostgresOptions
from streams.sinks.postgres.table import COLUMNS, STORED, identifier, prepare

logger = logging.getLogger(__name__)

_COPIED = ("id", "time_ns", "stream", "kind", "track_id", "label", "body")
# In each transaction, as behind a pooler it may be another server process each time.
_BEGIN = """
SET LOCAL client_min_messages = warning;
SET LOCAL statement_timeout = {timeout};
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
CREATE TEMPORARY TABLE IF NOT EXISTS sightline_incoming (id uuid, time_ns bigint, stream text, kind text,
    track_id bigint, label text, body jsonb) ON COMMIT DELETE ROWS
"""
_COPY = f"COPY pg_temp.sightline_incoming ({', '.join(_COPIED)}) FROM STDIN"
# In the order of the ids, so that two boxes never wait for each other.
_INSERT = sql.SQL(
    "INSERT INTO {table} ({columns}) SELECT id,"
    " timestamptz 'epoch' + (time_ns / 1000) * interval '1 microsecond', time_ns, stream, kind, track_id,"
    " label, body FROM pg_temp.sightline_incoming ORDER BY id ON CONFLICT DO NOTHING"
)
_TRIM = sql.SQL(
    "DELETE FROM {table} WHERE (id, time) IN (SELECT id, time FROM {table}"
    " WHERE {stored} < now() - {days} * interval '1 day' LIMIT 10000)"
)
_TRIM_EVERY_S = 3600.0
_NEVER = ("22", "54")
"""Classes of SQLSTATE that say that a value will never be taken: it is out of range, or too large."""

Row = tuple[object, ...]


class Session:
    """A connection whose table is there and checked; used by one thread, but for `abort`.

    Attributes:
        was_ended: the last failure was that the other end has ended it, not that it was slow.

    Raises:
        SinkError: if it cannot be had, in one line that says why.
    """

    def __init__(self, options: PostgresOptions) -> None:
        self._options = options
        self._address = address_of(options.secret())
        settings: dict[str, str | int] = {"application_name": "sightline"}
        settings["connect_timeout"] = max(2, int(options.timeout_s))
        given = {name: value for name, value in settings.items() if name not in self._address.names}
        try:
            self._connection = psycopg.connect(
                self._address.dsn,
                prepare_threshold=None,  # prepared statements do not survive a pooler
                **given,  # type: ignore[arg-type]
            )
        except (psycopg.Error, OSError, UnicodeError) as error:
            raise SinkError(self._address.explained(error)) from None
        self._insert = _INSERT.format(
            table=identifier(options.table), columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        )
        self._trimmed_s: float | None = None
        self.was_ended = False
        # A handle of our own, as libpq may close its own while somebody else uses the number.
        self._wire = socket.socket(fileno=os.dup(self._connection.fileno()))
        try:
            with self._in_time():
                prepare(self._connection, options.table, trims=options.keep_days is not None)
        except BaseException:
            self.close()
            raise

    def store(self, rows: Sequence[Row]) -> None:
        """Store what is not there yet; returns when the server has it for certain.

        Raises:
            EventsRefused: if the server will never take some of them; none is stored then.
            SinkError: if it does not take them now.
        """
        with self._in_time():
            try:
                self._transfer(rows)
            except psycopg.Error as error:
                if not _is_for_ever(error):
                    raise
                raise EventsRefused(self._culprits(rows)) from error
        self._trim()

    def abort(self) -> None:
        """Make what waits for the server fail at once; from any thread."""
        with suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection; safe more than once."""
        with suppress(psycopg.Error):
            self._connection.close()
        self._wire.close()

    def _transfer(self, rows: Sequence[Row]) -> None:
        begin = _BEGIN.format(timeout=int(self._options.timeout_s * 900))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(begin.encode())
            with cursor.copy(_COPY.encode()) as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(self._insert)

    def _culprits(self, rows: Sequence[Row]) -> dict[int, str]:
        """Return the places of the rows that the server takes under no circumstances, and why."""
        reasons = {}
        for place, row in enumerate(rows):
            try:
                with self._connection.transaction(force_rollback=True):
                    self._transfer([row])
            except psycopg.Error as error:
                if not _is_for_ever(error):
                    raise
                reasons[place] = self._address.explained(error)
        if not reasons:
            raise SinkError(f"{self._address.shown}: a batch is refused, but none of its events alone")
        return reasons

    def _trim(self) -> None:
        """Remove rows that are too old, once an hour; they are in nobody's way, so a failure waits."""
        days, now_s = self._options.keep_days, time.monotonic()
        if days is None or (self._trimmed_s is not None and now_s - self._trimmed_s < _TRIM_EVERY_S):
            return
        statement = _TRIM.format(
            table=identifier(self._options.table), stored=sql.Identifier(STORED), days=sql.Literal(days)
        )
        try:
            with self._in_time(), self._connection.transaction():
                removed = self._connection.execute(statement).rowcount
        except SinkError as error:
            logger.warning("postgres: old rows stay (%s)", error)
            removed = 0
        if removed < 10_000:  # else the next batch goes on with it
            self._trimmed_s = now_s

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Let the block fail when the server does not answer, as libpq itself would wait for ever."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.abort()

        timer = threading.Timer(self._options.timeout_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except SinkError as error:
            raise SinkError(self._address.explained(error)) from None
        except (psycopg.Error, OSError) as error:
            if late.is_set():
                raise SinkError(
                    f"{self._address.shown}: no answer within {self._options.timeout_s:g} s"
                ) from None
            self.was_ended = self._connection.broken
            raise SinkError(self._address.explained(error)) from None
        finally:
            timer.cancel()


def _is_for_ever(error: psycopg.Error) -> bool:
    return (error.sqlstate or "")[:2] in _NEVER
