"""A daemon with all its sinks, their servers and other programs, killed (-9) at random moments.

What is counted: every event that anybody ever saw, on the publishing socket or in any store, must be in every
store that is fed from the journal. Each life of the daemon has another street, so that an event which was
lost is never made again.
"""

from __future__ import annotations

import csv
import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from pipeline.listen import Listener
from pipeline.wire import EventMessage
from tests.servers.daemons import Daemon, free_port, mosquitto, receiver
from tests.servers.daemons import redis as redis_server
from tests.servers.footprint import until
from tests.servers.kafka import KafkaCluster
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import FaultProxy

ROOT = Path(__file__).parents[1]
TOPIC = "sightline.events"
LINES = 30
CONSUMERS = ("shop", "office")
PROCESS = "sink process"
"""The sink sqlite in a process of its own (`sightline sink`)."""
COMMAND = ("-c", "from pipeline.cli.entry import main; main()")
ONCE = ("csv", "jsonl", "parquet", "postgres", "redis", "sqlite", PROCESS)
"""Stores that promise to have no event twice."""
_AWAY_S = 0.5
_PATIENCE_S = 120.0


class MqttReader:
    """Subscribes with QoS 0: a socket with unread acknowledgements takes data along when its broker dies."""

    def __init__(self, port: int) -> None:
        mqtt = pytest.importorskip("paho.mqtt.client")
        self.got: list[str] = []
        ready = threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.on_connect = lambda client, *_: client.subscribe("sightline/street/line.crossing", 0)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda _client, _data, message: self.got.append(json.loads(message.payload)["id"])
        self._client = client
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert ready.wait(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Found:
    """What a storm left behind.

    Attributes:
        seen: ids that a subscriber of the publishing socket saw.
        stores: the ids in each store, as often as they are there.
        kills: how often each part was killed.
        wait_s: seconds from the last kill until every store had everything.
    """

    seen: set[str] = field(default_factory=set)
    stores: dict[str, list[str]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    wait_s: float = 0.0

    @property
    def visible(self) -> set[str]:
        """Every event that anybody ever saw."""
        return self.seen.union(*self.stores.values())

    def lost(self, events: set[str]) -> dict[str, int]:
        """Return how many of these events each store lacks, those that lack some."""
        missing = {name: len(events - set(ids)) for name, ids in self.stores.items()}
        return {name: count for name, count in missing.items() if count}

    def doubles(self) -> dict[str, int]:
        """Return how many entries of each store are there again."""
        return {name: len(ids) - len(set(ids)) for name, ids in self.stores.items()}


class World:
    """All parts, running within the block.

    Args:
        folder: for everything.
        seed: of the kills.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.found = Found()
        self._folder = folder
        self._rng = random.Random(seed)
        self._stack = ExitStack()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lives = 0
        self._old: list[str] = []
        self._down: dict[str, float] = {}
        self._watching = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._start_servers()
            self._write_config()
            self._watcher = threading.Thread(target=self._watch)
            self._watcher.start()
            self._start_daemon()
            self._start_process()
            for name in CONSUMERS:
                self._start_consumer(name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.set()
        for name in list(self._children):
            self._kill_child(name)
        self._stack.close()

    def rage(self, kills: int, tell: Callable[[str], None] = lambda _: None) -> None:
        """Kill parts at random moments; each comes back after a while, on its own."""
        parts = [
            "daemon",
            "daemon",
            "daemon",
            *CONSUMERS,
            PROCESS,
            "mosquitto",
            "postgres",
            "redis",
            "receiver",
            "kafka",
        ]
        for number in range(kills):
            self._sleep(self._rng.uniform(0.05, 1.2))
            # Mostly while events flow: a slow machine would see a daemon that starts, and nothing else.
            is_early = self._rng.random() < 0.15
            until(lambda early=is_early: early or self._flows(), _PATIENCE_S, self._silence)
            part = self._rng.choice([part for part in parts if part not in self._down])
            self._take_down(part)
            self.found.kills[part] += 1
            self._down[part] = time.monotonic() + self._rng.uniform(0.0, _AWAY_S)
            tell(f"{number + 1} of {kills}: {part}; {len(self.found.seen)} events seen")
        self._sleep(0.0)
        while self._down:
            self._sleep(0.05)

    def settle(self) -> None:
        """Wait until every store has what was visible when everything was up again, and went on."""
        until(self._flows, _PATIENCE_S, self._silence)
        begun_s = time.monotonic()
        events = self._read().visible
        until(lambda: not self._read().lost(events), _PATIENCE_S, lambda: f"lost: {self.found.lost(events)}")
        self.found.wait_s = time.monotonic() - begun_s
        self._kill_child("daemon")  # so that nothing moves while all is read for the last time
        self._read()
        self.settled = events

    def _flows(self) -> bool:
        """Look whether the present daemon has shown something; what is due comes up meanwhile."""
        self._sleep(0.0)
        return len(self.found.seen) > self._shown

    def _silence(self) -> str:
        return "the daemon shows nothing: " + (self._folder / "daemon.log").read_text()[-2000:]

    # The parts.

    def _start_servers(self) -> None:
        for name in ("mosquitto", "redis", "receiver"):
            (self._folder / name).mkdir()
        enter = self._stack.enter_context
        self._mosquitto = enter(mosquitto(self._folder / "mosquitto", "max_inflight_messages 0"))
        self._redis = enter(redis_server(self._folder / "redis"))
        self._receiver = enter(receiver(self._folder / "receiver"))
        for daemon in (self._mosquitto, self._redis, self._receiver):
            daemon.start()
        self._postgres = enter(PostgresServer())
        self._kafka = enter(KafkaCluster())
        self._kafka.create(TOPIC, 1)
        # Nothing gets to a new mosquitto before its subscriber is back: it has forgotten who that was.
        self._gate = enter(FaultProxy(("127.0.0.1", self._mosquitto.port)))
        self._reader = MqttReader(self._mosquitto.port)
        self._stack.callback(lambda: self._reader.close())

    def _write_config(self) -> None:
        lines = {
            f"line{number}": {"start": [x, 0.95], "end": [x, 0.4], "anchor": "center"}
            for number, x in enumerate(0.2 + 0.6 * number / LINES for number in range(LINES))
        }
        self._events, self._reliable = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        sinks: list[dict[str, Any]] = [
            {"jsonl": {}},
            {"csv": {}},
            {"sqlite": {}},
            {"parquet": {"every_s": 1}},
            {"postgres": {"dsn": self._postgres.dsn()}},
            {"redis": {"host": "127.0.0.1", "port": self._redis.port}},
            {"mqtt": {"host": "127.0.0.1", "port": self._gate.port}},
            {"webhook": {"url": f"http://127.0.0.1:{self._receiver.port}/hook"}},
            {"kafka": {"servers": list(self._kafka.servers), "timeout_s": 3}},
        ]
        for sink in sinks:
            for options in sink.values():
                options |= {"from_start": True, "kinds": ["line.crossing"]}
        config = {
            "out": str(self._folder / "out"),
            "streams": {"street": {"source": "synthetic://street"}},
            "stages": [
                {"motion": {"width": 320, "min_area": 0.0008}},
                {"track": {"appearance": "none"}},
                {"count": {"lines": lines, "evidence": {"snapshots": False, "strips": False}}},
            ],
            "bus": {"events": self._events, "reliable": self._reliable},
            "sinks": sinks,
        }
        (self._folder / "storm.yaml").write_text(yaml.safe_dump(config))

    def _start_daemon(self) -> None:
        self._lives += 1
        self._shown = len(self.found.seen)
        source = (
            f"street=synthetic://street?seed={self._lives}&width=320&height=180&rate_hz=10&duration_s=3600"
        )
        words = [*COMMAND, "run", str(self._folder / "storm.yaml"), "--source", source]
        self._start_child("daemon", words)

    def _start_process(self) -> None:
        words = [*COMMAND, "sink", "sqlite", "--connect", self._reliable, "--out", str(self._folder / "away")]
        options = ["from_start=true", "kinds=[line.crossing]"]
        self._start_child(PROCESS, [*words, *(word for one in options for word in ("--set", one))])

    def _start_consumer(self, name: str) -> None:
        words = ["-m", "tests.servers.consumer", self._reliable, name, str(self._folder / f"{name}.ids")]
        self._start_child(name, words)

    def _start_child(self, name: str, words: list[str]) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, stdout=log, stderr=log
            )

    def _kill_child(self, name: str) -> None:
        child = self._children.pop(name)
        said = (self._folder / f"{name}.log").read_text()[-2000:]
        assert child.poll() is None or self._watching.is_set(), f"{name} ended by itself: {said}"
        child.kill()
        child.wait()

    def _daemon_of(self, part: str) -> Daemon:
        return {"mosquitto": self._mosquitto, "redis": self._redis, "receiver": self._receiver}[part]

    def _take_down(self, part: str) -> None:
        if part == "kafka":
            self._kafka.down()
        elif part == "postgres":
            self._postgres.kill()
        elif part in self._children:
            self._kill_child(part)
        else:
            if part == "mosquitto":
                self._gate.refuse()
            self._daemon_of(part).kill()

    def _bring_up(self, part: str) -> None:
        if part == "kafka":
            self._kafka.up()
        elif part == "postgres":
            self._postgres.start()
        elif part == "daemon":
            self._start_daemon()
        elif part == PROCESS:
            self._start_process()
        elif part in CONSUMERS:
            self._start_consumer(part)
        else:
            self._daemon_of(part).start()
        if part == "mosquitto":
            self._old += self._reader.got
            self._reader.close()
            self._reader = MqttReader(self._mosquitto.port)
            self._gate.accept()

    def _sleep(self, seconds: float) -> None:
        """Sleep, and bring up what has been down for long enough."""
        ends_s = time.monotonic() + seconds
        while True:
            now_s = time.monotonic()
            for part in [part for part, due_s in self._down.items() if due_s <= now_s]:
                self._bring_up(part)
                del self._down[part]
            if now_s >= ends_s:
                return
            time.sleep(0.01)

    # What they have.

    def _watch(self) -> None:
        with Listener([self._events]) as listener:
            while not self._watching.is_set():
                received = listener.receive(0.1)
                message = received.message if received else None
                if isinstance(message, EventMessage) and message.event.kind == "line.crossing":
                    self.found.seen.add(str(message.event.id))

    def _read(self) -> Found:
        out = self._folder / "out"
        readers: dict[str, Callable[[], Iterator[str]]] = {
            "jsonl": lambda: _json_ids(sorted((out / "log").glob("*.jsonl"))),
            "csv": lambda: _csv_ids(sorted((out / "log").glob("*.csv"))),
            "sqlite": lambda: _sqlite_ids(out / "events.sqlite3"),
            PROCESS: lambda: _sqlite_ids(self._folder / "away" / "events.sqlite3"),
            "parquet": lambda: _parquet_ids(out / "parquet"),
            "postgres": self._postgres_ids,
            "redis": self._redis_ids,
            "mqtt": lambda: iter(self._old + list(self._reader.got)),
            "webhook": lambda: _webhook_ids(self._folder / "receiver" / "got.jsonl"),
            "kafka": self._kafka_ids,
        } | {name: lambda name=name: _plain_ids(self._folder / f"{name}.ids") for name in CONSUMERS}  # type: ignore[misc]
        self.found.stores = {name: list(read()) for name, read in readers.items()}
        return self.found

    def _postgres_ids(self) -> Iterator[str]:
        with suppress(Exception), self._postgres.connect() as connection:
            for (event,) in connection.execute("SELECT id FROM sightline_events"):
                yield str(event)

    def _redis_ids(self) -> Iterator[str]:
        client = pytest.importorskip("redis").Redis(port=self._redis.port, decode_responses=True)
        with closing(client):
            for _, entry in client.xrange("sightline:events"):
                yield entry["id"]

    def _kafka_ids(self) -> Iterator[str]:
        for message in self._kafka.read(TOPIC, 0):
            yield json.loads(message.value())["id"]


def _lines(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        if path.exists():
            yield from path.read_text("utf-8").split("\n")[:-1]


def _json_ids(paths: list[Path]) -> Iterator[str]:
    return (json.loads(line)["id"] for line in _lines(paths))


def _csv_ids(paths: list[Path]) -> Iterator[str]:
    return (row[0] for row in csv.reader(_lines(paths)) if row[0] != "id")


def _plain_ids(path: Path) -> Iterator[str]:
    return _lines([path])


def _webhook_ids(path: Path) -> Iterator[str]:
    return (json.loads(json.loads(line)["body"])["id"] for line in _lines([path]))


def _sqlite_ids(path: Path) -> Iterator[str]:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        yield from [row[0] for row in database.execute("SELECT id FROM events")]


def _parquet_ids(folder: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    # The spool first: what becomes a file in between is then found twice instead of not at all. The file has
    # the spool's stamp, by which readers know that the spool is done with, or will be converted again.
    spooled = {path.stem.rpartition("-")[2]: list(_json_ids([path])) for path in folder.glob("_incoming-*")}
    for path in sorted(folder.glob("date=*/*.parquet")):
        with suppress(FileNotFoundError):
            found = pq.read_table(path, columns=["id"], partitioning=None)["id"].to_pylist()
            yield from found
            stamp = path.stem.rpartition("-")[2]
            spooled[stamp] = [event for event in spooled.get(stamp, ()) if event not in set(found)]
    for left in spooled.values():
        yield from left
