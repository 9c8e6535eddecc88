from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import SinkContext
from streams.sinks.mqtt.options import MqttOptions
from streams.sinks.mqtt.sink import MqttSink
from streams.sinks.mqtt.topics import event_topic, level
from streams.sinks.mqtt.totals import Place, Totals
from tests.pipeline.messages import make_event
from tests.servers.daemons import Daemon, free_port, mosquitto
from tests.servers.footprint import until
from tests.streams.sinks.feeding import append, failures_of, feeding, wait_delivered
from tests.streams.sinks.material import info

TOTAL = "sightline/gate/count/main/in"


class Listener:
    """A subscriber of everything, as long as its broker lives."""

    def __init__(self, port: int, qos: int = 1) -> None:
        mqtt = pytest.importorskip("paho.mqtt.client")
        self.got: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "listener", reconnect_on_failure=False)
        client.on_connect = lambda client, *_: client.subscribe("#", qos)
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = lambda _client, _data, message: self.got.append(
            (message.topic, message.payload, message.retain)
        )
        self._client = client
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert self._ready.wait(10)

    def ids(self) -> list[str]:
        return [
            json.loads(body)["id"] for topic, body, _ in list(self.got) if topic.endswith("line.crossing")
        ]

    def latest(self, topic: str) -> bytes | None:
        bodies = [body for name, body, _ in list(self.got) if name == topic]
        return bodies[-1] if bodies else None

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Daemon]:
    # What it acknowledges has gone on to the subscriber, instead of waiting for room among twenty.
    with mosquitto(tmp_path, "max_inflight_messages 0") as daemon:
        yield daemon.start()


@pytest.fixture
def listener(broker: Daemon) -> Iterator[Listener]:
    made = Listener(broker.port)
    yield made
    made.close()


@pytest.fixture
def sink(broker: Daemon, tmp_path: Path) -> Iterator[MqttSink]:
    made = made_for(broker, tmp_path)
    yield made
    made.close()


def made_for(broker: Daemon, folder: Path, **options: Any) -> MqttSink:
    settings = {"host": "127.0.0.1", "port": broker.port, "timeout_s": 5, **options}
    return MqttSink(MqttOptions(**settings), SinkContext(folder))


def total_of(listener: Listener, topic: str = TOTAL) -> int:
    body = listener.latest(topic)
    return json.loads(body)["total"] if body else 0


def test_events_totals_and_status_are_there(listener: Listener, sink: MqttSink) -> None:
    events = [make_event(1), make_event(2), make_event(3, label=None), make_event(4, "other/one")]
    sink.deliver(events)
    until(lambda: total_of(listener, "sightline/other_one/count/main/in") == 1, 10, lambda: listener.got)
    crossings = [(topic, json.loads(body)) for topic, body, _ in listener.got if "crossing" in topic]
    assert crossings == [
        (f"sightline/{stream}/line.crossing", event.to_dict())
        for event, stream in zip(events, ["gate", "gate", "gate", "other_one"], strict=True)
    ]
    total = json.loads(listener.latest(TOTAL) or b"")
    assert (total["total"], total["labels"]) == (3, {"car": 2, "": 1})
    assert total["time"] == events[2].to_dict()["time"]
    assert listener.latest("sightline/status") == b"online"
    sink.close()
    until(lambda: listener.latest("sightline/status") == b"offline", 10, "no farewell")


def test_who_comes_later_gets_the_totals_but_no_old_event(broker: Daemon, sink: MqttSink) -> None:
    sink.deliver([make_event(1)])
    late = Listener(broker.port)
    until(lambda: total_of(late) == 1, 10, lambda: late.got)
    assert late.ids() == []
    assert all(retained for _, _, retained in late.got)
    late.close()


def test_the_status_is_there_before_there_is_an_event(listener: Listener, sink: MqttSink) -> None:
    sink.open_stream(info())
    until(lambda: listener.latest("sightline/status") == b"online", 10, lambda: listener.got)


def test_the_broker_says_offline_for_us_when_we_are_gone(listener: Listener, sink: MqttSink) -> None:
    sink.deliver([make_event(1)])
    assert sink._session is not None
    sink._session._client.socket().shutdown(2)  # as if the machine had died
    until(lambda: b"offline" in [body for _, body, _ in listener.got], 10, lambda: listener.got)
    until(lambda: listener.latest("sightline/status") == b"online", 10, "it does not come back by itself")


def test_home_assistant_finds_the_totals(broker: Daemon, listener: Listener, tmp_path: Path) -> None:
    sink = made_for(broker, tmp_path, home_assistant="homeassistant")
    sink.deliver([make_event(1), make_event(2, data={"line": "main", "direction": "out"})])
    sink.deliver([make_event(3)])
    until(lambda: total_of(listener) == 2, 10, lambda: listener.got)
    sink.close()
    configs = [
        (topic, json.loads(body)) for topic, body, _ in listener.got if topic.startswith("homeassistant/")
    ]
    assert len(configs) == 2
    (topic, config), (_, other) = configs
    assert topic == f"homeassistant/sensor/{config['unique_id']}/config"
    assert config["unique_id"] != other["unique_id"]
    assert config["device"]["identifiers"] == other["device"]["identifiers"]
    assert (config["name"], config["state_topic"]) == ("main in", TOTAL)
    assert config["availability_topic"] == "sightline/status"
    assert config["state_class"] == "total_increasing"
    topics = [name for name, _, _ in listener.got]
    assert topics.index(topic) < topics.index(TOTAL), "a sensor that exists gets its first value"


@pytest.mark.slow  # paho's pause before it tries again
def test_home_assistant_finds_them_again_when_the_broker_has_forgotten_everything(
    broker: Daemon, tmp_path: Path
) -> None:
    sink = made_for(broker, tmp_path, home_assistant="homeassistant")
    sink.deliver([make_event(1)])
    broker.restart()  # without a file of its own: nothing is retained any more
    late = Listener(broker.port)  # as Home Assistant, which is back first
    until(lambda: total_of(late) == 1, 20, lambda: late.got)
    configs = [json.loads(body) for topic, body, _ in late.got if topic.startswith("homeassistant/")]
    assert [config["state_topic"] for config in configs] == [TOTAL]
    assert late.latest("sightline/status") == b"online"
    later = Listener(broker.port)  # as one that is started after that
    until(lambda: total_of(later) == 1, 10, lambda: later.got)
    assert all(retained for _, _, retained in later.got)
    assert any(topic.startswith("homeassistant/sensor/") for topic, _, _ in later.got)
    for one in (late, later):
        one.close()
    sink.close()


def test_a_wrong_password_is_one_line_and_the_right_one_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mosquitto(tmp_path, password=True) as broker:
        broker.start()
        monkeypatch.setenv("MQTT_PASSWORD", "geheim")
        sink = made_for(broker, tmp_path, username="gate", password="env:MQTT_PASSWORD")
        with pytest.raises(SinkError, match=r"refuses us .*check username, password") as error:
            sink.deliver([make_event(1)])
        assert "geheim" not in str(error.value)
        monkeypatch.setenv("MQTT_PASSWORD", "right")
        sink.deliver([make_event(1)])
        sink.close()


def test_a_topic_that_the_broker_forbids_is_told(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("topic read #\n")
    with mosquitto(tmp_path, f"acl_file {tmp_path / 'rules'}") as broker:
        broker.start()
        sink = made_for(broker, tmp_path)
        with pytest.raises(SinkError, match=r"does not take topic 'sightline/gate/line.crossing'.*uthorized"):
            sink.deliver([make_event(1)])
        sink.close()


def test_an_event_too_large_for_the_broker_is_left_out(tmp_path: Path) -> None:
    with mosquitto(tmp_path, "max_packet_size 3000") as broker:
        broker.start()
        sink = made_for(broker, tmp_path)
        events = [make_event(1), make_event(2, evidence={"trail": "x" * 5000}), make_event(3)]
        with pytest.raises(EventsRefused, match="the broker takes 3000") as refusal:
            sink.deliver(events)
        assert list(refusal.value.reasons) == [1]
        sink.deliver([events[0], events[2]])
        sink.close()


def failure(folder: Path, **options: Any) -> str:
    sink = MqttSink(MqttOptions(host="127.0.0.1", **options), SinkContext(folder))
    with pytest.raises(SinkError) as error:
        sink.deliver([make_event(1)])
    sink.close()
    return str(error.value)


@pytest.mark.slow  # paho ends its pause before the next try only when it is over
def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    port = free_port()
    assert failure(tmp_path, port=port) == f"127.0.0.1:{port}: nothing listens there"


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho after a failed handshake
def test_certificates_are_checked(tmp_path: Path, certificate: Path) -> None:
    with mosquitto(tmp_path) as plain:
        plain.start()
        assert "TLS" in failure(tmp_path, port=plain.port, tls=True, timeout_s=0.5)
    (tmp_path / "tls").mkdir()
    with mosquitto(tmp_path / "tls", f"certfile {certificate}", f"keyfile {certificate}") as secure:
        secure.start()
        assert "not trusted" in failure(tmp_path, port=secure.port, tls=True)
        assert "TLS" in failure(tmp_path, port=secure.port, timeout_s=0.5)
        sink = made_for(secure, tmp_path, host="localhost", tls=True, ca_file=certificate)
        sink.deliver([make_event(1)])
        sink.close()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"topic": "{prefix}/{colour}"}, "{colour} is unknown; known: {prefix}"),
        ({"topic": "{prefix"}, "topic"),
        ({"topic": "a/#"}, "pattern"),
        ({"prefix": "$SYS"}, "pattern"),
        ({"host": "a b"}, "pattern"),
        ({"host": "a..b"}, "no name of a host"),
        ({"password": "x"}, "needs a username"),
        ({"home_assistant": "homeassistant", "totals": False}, "totals"),
        ({"ca_file": "/x.pem"}, "tls: true"),
        ({"tls": True, "ca_file": "/x.pem"}, "no certificates"),
        ({"tls": True, "certificate": "/x.pem"}, "no certificate with its key"),
    ],
)
def test_wrong_options_are_one_clear_line(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as error:
        MqttOptions(**{"host": "broker", **options})
    assert what in str(error.value.errors()[0]["msg"])


def test_topics() -> None:
    assert [level(name) for name in ("a/b+#$", "", "a\0b\nc", "Straße", "x" * 200)] == [
        "a_b___",
        "_",
        "a_b_c",
        "Straße",
        "x" * 100,
    ]
    options = MqttOptions(host="broker", prefix="site/1", topic="{prefix}/{line}/{label}/{kind}/{stream}")
    assert event_topic(options, make_event(1)) == "site/1/main/car/line.crossing/gate"
    assert event_topic(options, make_event(1, data={}, label=None)) == "site/1/_/_/line.crossing/gate"


def test_totals_count_each_event_once_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "totals.json"
    events = [make_event(number) for number in range(6)]

    def counted(batch: list[Event]) -> int:
        totals = Totals(path)
        totals.count(batch)
        return sum(totals.by_place[Place("gate", "main", "in")].labels.values())

    assert counted(events[:3]) == 3
    assert counted(events[:3]) == 3, "killed before the journal knew"
    assert counted(events[:5]) == 5, "with what came in the meantime"
    assert counted(events[5:]) == 6
    path.write_text("{")
    assert counted(events[:1]) == 1, "damaged: they begin anew"


def test_totals_that_cannot_be_stored_are_not_counted(tmp_path: Path) -> None:
    totals = Totals(tmp_path / "nowhere" / "totals.json")
    with pytest.raises(SinkError, match="cannot be written"):
        totals.count([make_event(1)])
    assert totals.by_place == {}
    (tmp_path / "nowhere").mkdir()
    totals.count([make_event(1)])
    assert len(totals.by_place) == 1


def storm(
    tmp_path: Path,
    broker: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    per_batch: int,
    pause: Callable[[], float],
) -> tuple[set[str], list[str], int]:
    """Restart the broker while events go through it; return what was sent, what came, and the last total.

    A mosquitto that is killed has forgotten who had subscribed, and what it held for them. So nothing is sent
    to a new one before the subscriber is back; and that one acknowledges nothing (QoS 0), as a socket with
    unread acknowledgements takes what was sent over it along when it dies.
    """
    sink = made_for(broker, tmp_path)
    failures = failures_of(sink, monkeypatch)
    deliver, is_open, is_waiting = sink.deliver, threading.Event(), threading.Event()
    is_open.set()

    def gated(events: Sequence[Event]) -> None:
        if not is_open.is_set():
            is_waiting.set()
            assert is_open.wait(30)
        deliver(events)

    monkeypatch.setattr(sink, "deliver", gated)
    listener = Listener(broker.port, qos=0)
    sent: set[str] = set()
    with feeding(tmp_path, sink) as (journal, feeder):
        for batch in range(batches):
            first = batch * (per_batch + 1)
            sent |= append(journal, range(first, first + per_batch))
            time.sleep(pause())
            noticed = len(failures)
            broker.kill()
            sent |= append(journal, range(first + per_batch, first + per_batch + 1))
            until(lambda noticed=noticed: len(failures) > noticed, 30, "nothing is tried")  # type: ignore[misc]
            is_waiting.clear()
            is_open.clear()
            assert is_waiting.wait(30)
            broker.start()
            old, listener = listener, Listener(broker.port, qos=0)
            old.close()
            listener.got = old.got + listener.got
            is_open.set()
        wait_delivered(feeder, len(sent))
        until(lambda: set(listener.ids()) >= sent and total_of(listener) == len(sent), 60, lambda: len(sent))
    listener.close()
    return sent, listener.ids(), total_of(listener)


def test_a_broker_that_is_killed_and_comes_back_gets_everything(
    tmp_path: Path, broker: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, got, total = storm(tmp_path, broker, monkeypatch, 1, 500, lambda: 0.02)
    assert set(got) == sent
    assert total == len(sent), "each is counted once, however often it was sent"


@pytest.mark.slow
def test_a_storm_of_kills_loses_nothing(
    tmp_path: Path, broker: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(3)
    sent, got, total = storm(tmp_path, broker, monkeypatch, 20, 400, lambda: rng.uniform(0.0, 0.2))
    assert set(got) == sent
    assert total == len(sent)
    assert len(got) - len(sent) <= 20 * 200, "at most one delivery comes twice for each kill"
