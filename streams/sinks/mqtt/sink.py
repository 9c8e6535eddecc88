"""Sink `mqtt`: each event as a message that the broker has acknowledged, and totals that stay there."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar
from uuid import UUID

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, SinkContext, StreamInfo
from streams.sinks.body import json_of_all
from streams.sinks.mqtt import topics
from streams.sinks.mqtt.options import MqttOptions
from streams.sinks.mqtt.session import Message, Session
from streams.sinks.mqtt.totals import Place, Totals
from streams.sinks.needed import need


class MqttSink(EventSink):
    """Publishes events (JSON, `Event.to_dict`) with QoS 1, in order, and the totals of lines, retained.

    Doubles, told by the id, are only what was not acknowledged when a connection or this process ended.
    """

    Options = MqttOptions
    emits = NO_EVENTS
    options: MqttOptions
    batch: ClassVar[int] = 200

    def __init__(self, options: MqttOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        need("paho", "paho-mqtt", "mqtt")
        self._client_id = options.client_id or _client_id(options, context)
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._closed = False
        self._totals: Totals | None = None
        self._shown: dict[Place, bytes] = {}
        self._taken: set[UUID] = set()

    @classmethod
    def files(cls, options: MqttOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the file of the totals."""
        return [_file(options)] if options.totals else []

    def open_stream(self, info: StreamInfo) -> None:  # noqa: ARG002
        """Begin to connect, so that the broker says "online" before there is an event; waits for nothing."""
        with suppress(SinkError):  # `deliver` tells, and tries again
            self._current(anew=False)

    def deliver(self, events: Sequence[Event]) -> None:
        """Publish events and the totals that they change.

        Raises:
            EventsRefused: naming those that JSON cannot carry, or that are too large for the broker.
            SinkError: if the broker does not take or acknowledge them now.
        """
        texts = json_of_all(events)
        session = self._current(anew=True)
        session.wait()
        messages = {}
        reasons = {}
        for place, (event, text) in enumerate(zip(events, texts, strict=True)):
            message = Message(topics.event_topic(self.options, event), text.encode())
            if message.size > session.most_bytes:
                reasons[place] = f"it has {message.size} bytes, the broker takes {session.most_bytes}"
            messages[event.id] = message
        if reasons:
            raise EventsRefused(reasons)
        counted = self._totals.counted if self._totals else frozenset()
        new = [event for event in events if event.id not in self._taken and event.id not in counted]
        try:
            session.send([messages[event.id] for event in new])
            self._taken.update(event.id for event in new)
            if self._totals:
                self._totals.count(events)
                session.send(self._news(self._totals))
        except SinkError:
            self._give_up(session)
            raise
        self._taken.clear()

    def close(self) -> None:
        """Say farewell, and break off what is going on; safe more than once."""
        with self._lock:
            self._closed = True
            session, self._session = self._session, None
        if session:
            session.close(farewell=True)

    def _current(self, *, anew: bool) -> Session:
        """Return the session; one that has lost its broker is replaced when `anew`, which tries at once."""
        with self._lock:
            if self._closed:
                raise SinkError("closed")
            if self._session and anew and not self._session.is_connected and self._session.has_failed:
                self._session.close(farewell=False)
                self._session = None
            if self._session is None:
                if self.options.totals and self._totals is None:
                    self._totals = Totals(self.context.folder / _file(self.options))
                status = topics.status_topic(self.options)
                self._session = Session(self.options, self._client_id, status, self._greeting)
            return self._session

    def _give_up(self, session: Session) -> None:
        with self._lock:
            self._shown.clear()
            if self._session is session:
                self._session = None
        session.close(farewell=False)

    def _greeting(self) -> list[Message]:
        """Return all that is retained: a broker may come back without it."""
        totals = self._totals.by_place if self._totals else {}
        return [message for place in list(totals) for message in self._of(place, totals[place].payload())]

    def _news(self, totals: Totals) -> list[Message]:
        """Return the totals that the broker does not have yet."""
        messages = []
        for place, total in totals.by_place.items():
            payload = total.payload()
            if self._shown.get(place) != payload:
                messages += self._of(place, payload, is_known=place in self._shown)
                self._shown[place] = payload
        return messages

    def _of(self, place: Place, payload: bytes, *, is_known: bool = False) -> list[Message]:
        total = Message(topics.total_topic(self.options, place), payload, retain=True)
        if is_known or not self.options.home_assistant:
            return [total]
        return [topics.discovery(self.options, place), total]


def _client_id(options: MqttOptions, context: SinkContext) -> str:
    who = "\0".join((socket.gethostname(), str(context.folder.resolve()), _file(options)))
    return "sightline-" + hashlib.blake2b(who.encode(), digest_size=6).hexdigest()


def _file(options: MqttOptions) -> str:
    return f"{options.consumer or 'mqtt'}-totals.json"
