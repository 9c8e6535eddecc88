"""Sink `postgres`: events as rows of a table, each once, over restarts of either side."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, SinkContext
from streams.sinks.body import json_of_all
from streams.sinks.postgres.options import PostgresOptions

if TYPE_CHECKING:
    from streams.sinks.postgres.session import Session

_CLOSE_S = 1.0


class PostgresSink(EventSink):
    """Copies each batch into a temporary table, and from there what is new into the table of events.

    That is one transaction: a batch is there as a whole, for certain (the server's `synchronous_commit` is
    switched on where it is off), or it comes again. The connection is made with the first events, and anew
    after each failure.
    """

    Options = PostgresOptions
    emits = NO_EVENTS
    options: PostgresOptions
    batch: ClassVar[int] = 1000

    def __init__(self, options: PostgresOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._closed = False

    def deliver(self, events: Sequence[Event]) -> None:
        """Store what is not there yet."""
        rows = _rows(events)
        with self._lock:
            had = self._session
            try:
                with self._one_session() as session:
                    session.store(rows)
            except SinkError:
                if had is None or not had.was_ended:
                    raise
                # The server was restarted since the last batch, maybe hours ago: no reason for a warning.
                with self._one_session() as session:
                    session.store(rows)

    def close(self) -> None:
        """End the connection, also one on which something hangs."""
        self._closed = True
        session = self._session
        if session is not None:
            if not self._lock.acquire(timeout=_CLOSE_S):
                session.abort()
                self._lock.acquire()
            try:
                self._let_go()
            finally:
                self._lock.release()

    @contextmanager
    def _one_session(self) -> Iterator[Session]:
        from streams.sinks.postgres.session import Session

        if self._closed:
            raise SinkError("the sink is closed")
        try:
            if self._session is None:
                self._session = Session(self.options)
            yield self._session
        except EventsRefused:
            raise
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _rows(events: Sequence[Event]) -> list[tuple[object, ...]]:
    bodies = json_of_all(events)
    reasons = {
        place: "it holds a NUL character, which PostgreSQL cannot store"
        for place, (event, body) in enumerate(zip(events, bodies, strict=True))
        if "\\u0000" in body and _holds_nul(event.to_dict())
    }
    if reasons:
        raise EventsRefused(reasons)
    return [
        (event.id, event.moment.time_ns, event.stream, event.kind, event.track_id, event.label, body)
        for event, body in zip(events, bodies, strict=True)
    ]


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(part) for key, part in value.items())
    return isinstance(value, list | tuple) and any(map(_holds_nul, value))
