"""One producer of Kafka: what it is given is in the topic, on all replicas in step, or it says why."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SinkError
from streams.sinks.kafka.options import KafkaOptions

logger = logging.getLogger(__name__)

_LOOK_S = 0.05
_GRACE_S = 5.0
"""The library tells of each message within its own time; a look that outlives that by so long has lost it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What goes into the topic.

    Attributes:
        key: what has the same one is kept in order.
        value: its bytes.
        headers: to be read without parsing the value.
    """

    key: bytes
    value: bytes
    headers: Mapping[str, bytes]


class _Log:
    """Takes the library's own log, which says for each attempt what the report says once."""

    def log(self, _level: int, text: str, *values: object) -> None:
        logger.debug(text, *values)


class Session:
    """A producer; after a failed `send` make another one, as this one may still hold what failed.

    Args:
        options: of the sink.

    Raises:
        SinkError: if it cannot be made with these options.
    """

    def __init__(self, options: KafkaOptions) -> None:
        from confluent_kafka import KafkaException, Producer

        self._options = options
        self._shown = f"Kafka at {', '.join(options.servers)}"
        self._trouble = ""
        self._is_locked_out = False
        try:
            self._producer = Producer({**options.settings(), "error_cb": self._noted, "logger": _Log()})
        except KafkaException as error:
            raise SinkError(f"{self._shown}: {error.args[0].str()}; check the certificates") from None

    def send(self, records: Mapping[int, Record], is_closed: Callable[[], bool]) -> dict[int, str]:
        """Store records, by their place and in their order, and return when the cluster has them.

        Returns:
            Why some will never be taken, by their place; the others are there.

        Raises:
            SinkError: if some are not there, and might be later.
        """
        too_large = self._sent(records, is_closed)
        # They travel together, and one that is too large takes its neighbours along: each has its own turn.
        refused: dict[int, str] = {}
        for place in too_large:
            refused |= self._sent({place: records[place]}, is_closed)
        return refused

    def close(self) -> None:
        """Let go of everything, also of what is on its way."""
        self._producer.purge()
        self._producer.close()

    def _sent(self, records: Mapping[int, Record], is_closed: Callable[[], bool]) -> dict[int, str]:
        from confluent_kafka import KafkaError, KafkaException

        ends: dict[int, Any] = {}
        for place, record in records.items():

            def note(error: Any, message: Any, place: int = place) -> None:
                ends[place] = error
                # "It has that one already", says the cluster, but not where: rather twice than never.
                if error is None and (message.offset() is None or message.offset() < 0):
                    ends[place] = KafkaError(KafkaError._STATE, "stored at no place that it knows of")

            try:
                self._producer.produce(
                    self._options.topic,
                    record.value,
                    record.key,
                    headers=list(record.headers.items()),
                    on_delivery=note,
                )
            except KafkaException as error:
                ends[place] = error.args[0]
            self._producer.poll(0)
        deadline_s = time.monotonic() + self._options.timeout_s + _GRACE_S
        while len(ends) < len(records):
            self._producer.poll(_LOOK_S)
            if is_closed():
                raise SinkError(f"{self._shown}: {self._trouble or 'closed'}")
            if self._is_locked_out or time.monotonic() > deadline_s:
                raise SinkError(f"{self._shown}: {self._trouble or self._silence()}")
        refused = {}
        for place, failure in ends.items():
            if failure is None:
                continue
            if failure.code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise SinkError(f"{self._shown}: {self._reason(failure)}")
            size = len(records[place].value)
            refused[place] = f"it has {size} bytes, more than {self._shown} or `largest_kb` takes"
        return refused

    def _noted(self, error: Any) -> None:
        """Keep what the library says of its connections; a delivery only says that it took too long."""
        from confluent_kafka import KafkaError

        code = error.code()
        if code in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
            self._trouble = "it does not let us in; check username, password and mechanism"
            self._is_locked_out = True
        elif code == KafkaError._SSL:
            self._trouble = f"no TLS with it ({error.str()}); check tls, port and ca_file"
        elif code == KafkaError._RESOLVE:
            self._trouble = f"the host is unknown ({error.str()})"
        elif code == KafkaError._TRANSPORT or not self._trouble:
            self._trouble = error.str()

    def _reason(self, error: Any) -> str:
        from confluent_kafka import KafkaError

        topic = self._options.topic
        match error.code():
            case KafkaError._MSG_TIMED_OUT | KafkaError._TIMED_OUT:
                return self._trouble or self._silence()
            case KafkaError.UNKNOWN_TOPIC_OR_PART | KafkaError._UNKNOWN_TOPIC:
                return f"it has no topic '{topic}' and makes none; create it there"
            case KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return f"the user may not write to topic '{topic}'"
            case KafkaError.CLUSTER_AUTHORIZATION_FAILED:
                return "the user may not write idempotently (IdempotentWrite on the cluster)"
            case KafkaError.NOT_ENOUGH_REPLICAS | KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND:
                return "too few of its replicas are in step"
            case _:
                return str(error.str())

    def _silence(self) -> str:
        return f"no answer within {self._options.timeout_s:g} s"
