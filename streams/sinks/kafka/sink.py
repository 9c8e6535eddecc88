"""Sink `kafka`: events into a topic, each stream's in order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, SinkContext
from streams.sinks.body import json_of_all
from streams.sinks.kafka.options import KafkaOptions
from streams.sinks.needed import need

if TYPE_CHECKING:
    from streams.sinks.kafka.session import Session

_CLOSE_S = 2.0


class KafkaSink(EventSink):
    """Produces each event as JSON (`Event.to_dict`); its key is the stream, so one partition has all of it.

    The header `id` tells doubles: there are some when this process or a delivery ended between the cluster's
    answer and ours to the journal. Within a delivery the library's idempotent producer makes none.
    """

    Options = KafkaOptions
    emits = NO_EVENTS
    options: KafkaOptions
    batch: ClassVar[int] = 1000

    def __init__(self, options: KafkaOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        need("confluent_kafka", "confluent-kafka", "kafka")
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._closed = False
        self._taken: frozenset[UUID] = frozenset()

    def deliver(self, events: Sequence[Event]) -> None:
        """Store them.

        Raises:
            EventsRefused: naming those that JSON cannot carry, or that are too large for the topic.
            SinkError: if the cluster does not take them now.
        """
        from streams.sinks.kafka.session import Record, Session

        texts = json_of_all(events)
        records = {
            place: Record(
                event.stream.encode(),
                text.encode(),
                {"id": str(event.id).encode(), "kind": event.kind.encode(), "stream": event.stream.encode()},
            )
            for place, (event, text) in enumerate(zip(events, texts, strict=True))
            if event.id not in self._taken
        }
        with self._lock:
            if self._closed:
                raise SinkError("closed")
            if self._session is None:
                self._session = Session(self.options)
            try:
                refused = self._session.send(records, lambda: self._closed)
            except SinkError:
                self._let_go()
                raise
        self._taken = frozenset()
        if refused:
            # What comes again without these begins with what the cluster has.
            self._taken = frozenset(events[place].id for place in records if place not in refused)
            raise EventsRefused(refused)

    def close(self) -> None:
        """Break off what is going on; safe more than once."""
        self._closed = True
        if self._lock.acquire(timeout=_CLOSE_S):
            try:
                self._let_go()
            finally:
                self._lock.release()

    def _let_go(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
