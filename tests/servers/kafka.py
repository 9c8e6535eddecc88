"""A cluster of Kafka on loopback, as librdkafka has one for tests: real sockets, pretended brokers.

Its functions are in the library of confluent-kafka, but not in the Python package; they are called here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

PRODUCE = 0
"""The API's key of what stores messages."""
_PRODUCER = 0


def _library() -> ctypes.CDLL:
    package = pytest.importorskip("confluent_kafka")
    found = sorted(Path(package.__file__).parent.with_name("confluent_kafka.libs").glob("librdkafka*.so*"))
    if not found:
        pytest.skip("this confluent-kafka was built without its own librdkafka")
    library = ctypes.CDLL(str(found[0]))
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_conf_set.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    for name in ("rd_kafka_mock_cluster_bootstraps", "rd_kafka_mock_cluster_destroy", "rd_kafka_destroy"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("rd_kafka_mock_broker_set_down", "rd_kafka_mock_broker_set_up"):
        getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.rd_kafka_mock_topic_create.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_int,
    ]
    library.rd_kafka_mock_topic_set_error.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    library.rd_kafka_mock_push_request_errors_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int16,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_int),
    ]
    library.rd_kafka_mock_broker_set_rtt.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int]
    return library


class KafkaCluster:
    """Brokers 1 to `brokers`; as a context manager they run within the block. Topics are made when used.

    Attributes:
        servers: their addresses.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._brokers = brokers
        self._library = _library()
        self._cluster: Any = None
        self._handle: Any = None
        self.servers: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        said = ctypes.create_string_buffer(500)
        conf = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", said, len(said))
        self._handle = self._library.rd_kafka_new(_PRODUCER, conf, said, len(said))
        assert self._handle, said.value
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, self._brokers)
        self.servers = tuple(
            self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def create(self, topic: str, partitions: int = 4) -> None:
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    def down(self, broker: int = 1) -> None:
        """Have a broker end its connections and take none; what it stored stays."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int = 1) -> None:
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def answers_after(self, milliseconds: int, broker: int = 1) -> None:
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds)

    def topic_fails(self, topic: str, code: int) -> None:
        """Have all that is done with a topic fail, 0 for no longer."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def requests_fail(self, api: int, codes: Sequence[int]) -> None:
        """Have the next requests of a kind fail, one after the other."""
        array = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, api, len(codes), array)

    def read(self, topic: str, count: int, timeout_s: float = 20.0) -> list[Any]:
        """Return the messages of a topic: at least so many, and all that are there then."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer(
            {"bootstrap.servers": ",".join(self.servers), "group.id": "reader", "log_level": 0}
        )
        try:
            parts = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
            places = [TopicPartition(topic, part, OFFSET_BEGINNING) for part in parts]
            ends = [consumer.get_watermark_offsets(place, timeout=timeout_s)[1] for place in places]
            consumer.assign(places)
            found: list[Any] = []
            while len(found) < max(count, sum(ends)):
                message = consumer.poll(timeout_s)
                assert message is not None, f"{len(found)} of {count} messages came"
                assert message.error() is None, message.error()
                found.append(message)
            return found
        finally:
            consumer.close()
