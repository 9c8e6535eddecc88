from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import EventsRefused, SinkError
from pipeline.plugin import SinkContext
from streams.sinks.kafka.options import KafkaOptions
from streams.sinks.kafka.sink import KafkaSink
from tests.pipeline.messages import make_event
from tests.servers.daemons import free_port
from tests.servers.footprint import Footprint
from tests.servers.kafka import PRODUCE, KafkaCluster
from tests.streams.sinks.feeding import append, failures_of, feeding, wait_delivered

TOPIC = "sightline.events"
TOO_LARGE, UNKNOWN_TOPIC, NOT_LEADER, NOT_ENOUGH, FORBIDDEN = 10, 3, 6, 19, 29


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster() as made:
        yield made


def made_for(cluster: KafkaCluster, **options: Any) -> KafkaSink:
    settings = {"servers": cluster.servers, "timeout_s": 10, **options}
    return KafkaSink(KafkaOptions(**settings), SinkContext(Path()))


def ids(cluster: KafkaCluster, count: int) -> list[str]:
    return [json.loads(message.value())["id"] for message in cluster.read(TOPIC, count)]


def test_a_message_for_each_event_a_stream_in_one_partition_and_in_order(cluster: KafkaCluster) -> None:
    cluster.create(TOPIC)
    sink = made_for(cluster)
    events = [make_event(number, stream) for number in range(20) for stream in ("gate", "Straße")]
    sink.deliver(events[:30])
    sink.deliver(events[30:])
    sink.close()
    got = cluster.read(TOPIC, len(events))
    assert len(got) == len(events)
    for stream in ("gate", "Straße"):
        mine = [message for message in got if message.key().decode() == stream]
        assert len({message.partition() for message in mine}) == 1
        assert [json.loads(message.value()) for message in mine] == [
            event.to_dict() for event in events if event.stream == stream
        ]
    first = got[0]
    headers = {name: value.decode() for name, value in first.headers()}
    assert headers == {key: json.loads(first.value())[key] for key in ("id", "kind", "stream")}


@pytest.mark.slow
def test_a_batch_that_is_answered_with_a_passing_error_is_stored_once(cluster: KafkaCluster) -> None:
    sink = made_for(cluster)
    sink.deliver([make_event(0)])
    cluster.requests_fail(PRODUCE, [NOT_LEADER, NOT_ENOUGH])
    sink.deliver([make_event(number) for number in range(1, 50)])
    sink.close()
    assert ids(cluster, 50) == [str(make_event(number).id) for number in range(50)]


def test_an_event_that_is_too_large_is_left_out_alone(cluster: KafkaCluster) -> None:
    sink = made_for(cluster, largest_kb=2)
    events = [make_event(1), make_event(2, data={"text": "x" * 5000}), make_event(3)]
    with pytest.raises(EventsRefused, match="more than Kafka at") as refusal:
        sink.deliver(events)
    assert list(refusal.value.reasons) == [1]
    sink.close()
    assert set(ids(cluster, 2)) == {str(events[0].id), str(events[2].id)}


@pytest.mark.slow
def test_a_batch_that_the_broker_finds_too_large_comes_one_by_one(cluster: KafkaCluster) -> None:
    sink = made_for(cluster)
    sink.deliver([make_event(0)])
    # The broker refuses the batch, then the second of its events, too.
    cluster.requests_fail(PRODUCE, [TOO_LARGE, 0, TOO_LARGE])
    with pytest.raises(EventsRefused) as refusal:
        sink.deliver([make_event(1), make_event(2), make_event(3)])
    assert list(refusal.value.reasons) == [1]
    sink.deliver([make_event(1), make_event(3)])
    sink.deliver([make_event(4)])
    sink.close()
    assert ids(cluster, 4) == [str(make_event(number).id) for number in (0, 1, 3, 4)], "each once"


def test_what_json_cannot_carry_is_refused(cluster: KafkaCluster) -> None:
    sink = made_for(cluster)
    with pytest.raises(EventsRefused) as refusal:
        sink.deliver([make_event(1), make_event(2, data={"text": b"raw"})])
    assert list(refusal.value.reasons) == [1]
    sink.close()


@pytest.mark.slow
def test_a_topic_that_is_not_there_or_forbidden_is_one_line(cluster: KafkaCluster) -> None:
    cluster.topic_fails("mine", FORBIDDEN)
    cluster.topic_fails("none", UNKNOWN_TOPIC)
    for topic, what in (("mine", "may not write to topic 'mine'"), ("none", "no topic 'none'")):
        sink = made_for(cluster, topic=topic, timeout_s=1.5)
        with pytest.raises(SinkError, match=what):
            sink.deliver([make_event(1)])
        sink.close()


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line_and_found_when_it_comes(cluster: KafkaCluster) -> None:
    cluster.down()
    sink = made_for(cluster, timeout_s=1)
    with pytest.raises(SinkError, match=rf"^Kafka at {cluster.servers[0]}: .*Connection refused"):
        sink.deliver([make_event(1)])
    cluster.up()
    sink.deliver([make_event(1)])
    sink.close()
    assert ids(cluster, 1) == [str(make_event(1).id)]


def test_a_password_is_asked_for_and_shown_nowhere(cluster: KafkaCluster, monkeypatch: Any) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "geheim")
    options = KafkaOptions(
        servers=cluster.servers, username="gate", password="env:KAFKA_PASSWORD", timeout_s=1
    )
    assert "geheim" not in repr(options)
    sink = KafkaSink(options, SinkContext(Path()))
    with pytest.raises(SinkError) as error:  # the pretended broker knows no SASL
        sink.deliver([make_event(1)])
    assert "geheim" not in str(error.value)
    sink.close()


@pytest.mark.slow
def test_closing_breaks_off_a_delivery_and_leaves_nothing(cluster: KafkaCluster) -> None:
    before = Footprint.now()
    sink = made_for(cluster, timeout_s=60)
    sink.deliver([make_event(0)])
    cluster.answers_after(20_000)
    failed: list[Exception] = []

    def work() -> None:
        try:
            sink.deliver([make_event(1)])
        except SinkError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)  # it is in the midst, or not yet there: it must end either way
    sink.close()
    sink.close()
    thread.join(5)
    assert not thread.is_alive()
    assert "closed" in str(failed[0])
    cluster.answers_after(0)
    before.assert_same_again(5)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"servers": ["a b"]}, "no address"),
        ({"servers": ["host:99999"]}, "no address"),
        ({"servers": []}, "at least 1"),
        ({"topic": ".."}, "pattern"),
        ({"topic": "a/b"}, "pattern"),
        ({"username": "x"}, "belong together"),
        ({"ca_file": "/x.pem"}, "tls: true"),
        ({"tls": True, "ca_file": "/x.pem"}, "no file /x.pem"),
    ],
)
def test_wrong_options_are_one_clear_line(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as error:
        KafkaOptions(**{"servers": ["kafka"], **options})
    assert what in str(error.value.errors()[0]["msg"])


def test_addresses() -> None:
    asked = ("kafka", "kafka:1234", "10.0.0.1", "[::1]:9093")
    assert KafkaOptions(servers=asked).servers == ("kafka:9092", "kafka:1234", "10.0.0.1:9092", "[::1]:9093")


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    options = KafkaOptions(servers=(f"127.0.0.1:{free_port()}",), tls=True, ca_file=tmp_path / "ca.pem")
    sink = KafkaSink(options, SinkContext(tmp_path))
    with pytest.raises(SinkError, match="check the certificates"):
        sink.deliver([make_event(1)])
    sink.close()


def storm(
    tmp_path: Path,
    cluster: KafkaCluster,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    per_batch: int,
    pause: Callable[[], float],
) -> tuple[set[str], list[str]]:
    cluster.create(TOPIC, 1)
    sink = made_for(cluster, timeout_s=1)
    failures = failures_of(sink, monkeypatch)
    with feeding(tmp_path, sink) as (journal, feeder):
        sent: set[str] = set()
        for batch in range(batches):
            sent |= append(journal, range(batch * per_batch, (batch + 1) * per_batch))
            time.sleep(pause())
            cluster.down()
            sent |= append(journal, range(10**6 + batch * 10, 10**6 + batch * 10 + 10))
            time.sleep(pause() + 1.2 * (batch % 5 == 0))
            cluster.up()
        wait_delivered(feeder, len(sent))
    return sent, [str(failure) for failure in failures] + ids(cluster, len(sent))


@pytest.mark.slow
def test_a_cluster_that_goes_and_comes_back_has_everything(
    tmp_path: Path, cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, got = storm(tmp_path, cluster, monkeypatch, 1, 300, lambda: 0.01)
    assert set(got) >= sent


@pytest.mark.slow
def test_a_storm_of_outages_loses_nothing(
    tmp_path: Path, cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(9)
    sent, got = storm(tmp_path, cluster, monkeypatch, 8, 2000, lambda: rng.uniform(0.0, 0.25))
    failures = [entry for entry in got if entry not in sent]
    assert failures, "some deliveries failed"
    assert set(got) >= sent
    stored = [entry for entry in got if entry in sent]
    assert len(stored) - len(sent) <= 1000 * len(failures), "only what failed comes again"
