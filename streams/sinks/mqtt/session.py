"""One client of a broker: connected in the background, and what it is given is there when `send` returns."""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SinkError
from streams.sinks.credentials import reveal
from streams.sinks.mqtt.options import MqttOptions, tls_of

_QOS = 1
_FAREWELL_S = 2.0
_RETRY_S = (1, 10)
"""Pauses of an idle session that has lost its broker, the shortest and the longest."""


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to the broker.

    Attributes:
        topic: without wildcards.
        payload: its bytes.
        retain: whether who subscribes later gets it too.
    """

    topic: str
    payload: bytes
    retain: bool = False

    @property
    def size(self) -> int:
        """Most bytes that it has on the wire."""
        return len(self.topic.encode()) + len(self.payload) + 16


class Session:
    """A connection with QoS 1 over MQTT 5, whose acknowledgements also tell of a refusal.

    Idle it comes back by itself when the broker does. After a failed `send` make another one: this one may
    still hold what was not acknowledged.

    Args:
        options: of the sink.
        client_id: the same at each connection: the broker then ends an older one at once, instead of saying
            "offline" for it when a new one has said "online".
        status_topic: where the broker says "offline" for us when we are gone, retained.
        greeting: what is published at each connection, after "online" there.
    """

    def __init__(
        self,
        options: MqttOptions,
        client_id: str,
        status_topic: str,
        greeting: Callable[[], Sequence[Message]],
    ) -> None:
        from paho.mqtt import client as mqtt

        self._timeout_s = options.timeout_s
        self._shown = "{}:{}".format(*options.address)
        self._is_secure = options.tls
        self._status_topic = status_topic
        self._greeting = greeting
        self._changed = threading.Condition()
        self._connected = False
        self._closed = False
        self._trouble = ""
        self._acknowledged: dict[int, Any] = {}
        self._most_bytes = sys.maxsize
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=mqtt.MQTTv5,
        )
        client.connect_timeout = options.timeout_s
        client.reconnect_delay_set(*_RETRY_S)
        client.will_set(status_topic, b"offline", _QOS, retain=True)
        if options.username:
            client.username_pw_set(
                reveal(options.username), reveal(options.password) if options.password else None
            )
        if options.tls:
            client.tls_set_context(tls_of(options))
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        self._client = client
        client.connect_async(*options.address, keepalive=options.keepalive_s)
        client.loop_start()

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there, as far as is known."""
        return self._connected

    @property
    def has_failed(self) -> bool:
        """Whether it is known why there is no connection."""
        return bool(self._trouble)

    @property
    def most_bytes(self) -> int:
        """Largest packet that the broker takes; known once it is connected."""
        return self._most_bytes

    def wait(self) -> None:
        """Wait for the connection.

        Raises:
            SinkError: if there is none in time; with the reason.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._trouble or self._closed, self._timeout_s)
            if not self._connected or self._closed:
                raise SinkError(
                    f"{self._shown}: {self._trouble or f'no answer within {self._timeout_s:g} s'}"
                )

    def send(self, messages: Sequence[Message]) -> None:
        """Publish messages, in order, and return when the broker has acknowledged all.

        Raises:
            SinkError: if it did not; some it may have.
        """
        with self._changed:
            self._acknowledged.clear()
        numbers = {}
        for message in messages:
            info = self._client.publish(message.topic, message.payload, _QOS, message.retain)
            if info.rc != 0:
                raise SinkError(f"{self._shown}: {self._trouble or 'the connection was lost'}")
            numbers[info.mid] = message
        ends_s = time.monotonic() + self._timeout_s
        done = 0
        with self._changed:
            while done < len(numbers):
                if not self._connected or self._closed:
                    raise SinkError(f"{self._shown}: {self._trouble or 'the connection was lost'}")
                before, done = done, sum(number in self._acknowledged for number in numbers)
                if done > before:
                    ends_s = time.monotonic() + self._timeout_s
                elif not self._changed.wait(ends_s - time.monotonic()):
                    raise SinkError(f"{self._shown}: no acknowledgement within {self._timeout_s:g} s")
            for number, message in numbers.items():
                answer = self._acknowledged[number]
                if answer.is_failure:
                    raise SinkError(f"{self._shown}: does not take topic '{message.topic}': {answer}")

    def cancel(self) -> None:
        """Make `wait` and `send`, which another thread is in, fail at once."""
        with self._changed:
            self._closed = True
            self._trouble = self._trouble or "closed"
            self._changed.notify_all()

    def close(self, *, farewell: bool) -> None:
        """End the connection; with a farewell the broker says that we are offline."""
        if farewell and self._connected:
            with suppress(RuntimeError, ValueError):  # the connection was just lost
                last = self._client.publish(self._status_topic, b"offline", _QOS, retain=True)
                last.wait_for_publish(_FAREWELL_S)
        self.cancel()
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Any, _data: Any, _flags: Any, answer: Any, properties: Any) -> None:
        if answer.is_failure:
            self._failed(f"the broker refuses us ({answer}); check username, password and client_id")
            return
        if getattr(properties, "MaximumQoS", _QOS) < _QOS:
            self._failed("the broker acknowledges nothing (no QoS 1): events would be lost")
            return
        retain = bool(getattr(properties, "RetainAvailable", 1))
        self._most_bytes = getattr(properties, "MaximumPacketSize", sys.maxsize)
        client.publish(self._status_topic, b"online", _QOS, retain=retain)
        for message in self._greeting():
            if message.size <= self._most_bytes:
                client.publish(message.topic, message.payload, _QOS, retain=retain and message.retain)
        with self._changed:
            self._connected, self._trouble = True, ""
            self._changed.notify_all()

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        # paho calls this while it handles the exception, and does not hand it over.
        match sys.exception():
            case ssl.SSLCertVerificationError() as error:
                what = f"its certificate is not trusted ({error.verify_message}); give ca_file"
            case ssl.SSLError() as error:
                what = f"no TLS with it ({error.reason or error}); is the port one of MQTT over TLS?"
            case ConnectionRefusedError():
                what = "nothing listens there"
            case ConnectionResetError() if self._is_secure:
                what = "it ends the connection; is the port one of MQTT over TLS?"
            case TimeoutError():
                what = f"no answer within {self._timeout_s:g} s"
            case OSError() as error:
                what = error.strerror or str(error)
            case _:
                what = "cannot be reached"
        self._failed(what)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, answer: Any, _properties: Any) -> None:
        # Before there was an answer to CONNECT: what listens there may speak TLS, or something else.
        what = f"the connection ended ({answer})"
        self._failed(what if self._connected else self._trouble or f"{what}; does it speak MQTT 5, or TLS?")

    def _on_publish(self, _client: Any, _data: Any, number: int, answer: Any, _properties: Any) -> None:
        with self._changed:
            self._acknowledged[number] = answer
            self._changed.notify_all()

    def _failed(self, what: str) -> None:
        with self._changed:
            self._connected, self._trouble = False, what
            self._changed.notify_all()
