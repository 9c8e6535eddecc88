from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.errors import EventsRefused, SinkError
from pipeline.plugin import SinkContext
from streams.sinks.redis.sink import RedisOptions, RedisSink
from tests.pipeline.messages import make_event
from tests.servers.daemons import Daemon, binary, free_port
from tests.servers.daemons import redis as redis_server
from tests.servers.footprint import until
from tests.streams.sinks.feeding import append, failures_of, feeding, wait_delivered

KEY = "sightline:events"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Daemon]:
    pytest.importorskip("redis")
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as daemon:
        yield daemon.start()


def made(server: Daemon, folder: Path, **options: Any) -> RedisSink:
    settings = {"host": "127.0.0.1", "port": server.port, "timeout_s": 5, **options}
    return RedisSink(RedisOptions(**settings), SinkContext(folder))


def told(server: Daemon, *command: str) -> bytes:
    """Ask with Debian's own client."""
    tool = [binary("redis-cli", "redis-tools"), "-p", str(server.port), *command]
    return subprocess.run(tool, check=True, capture_output=True).stdout


def asked(server: Daemon, *command: str) -> Any:
    return json.loads(told(server, "--json", *command))


def entries(server: Daemon, key: str = KEY) -> list[dict[str, str]]:
    rows = asked(server, "XRANGE", key, "-", "+")
    return [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in rows]


def test_an_entry_for_each_event_in_their_order(server: Daemon, tmp_path: Path) -> None:
    sink = made(server, tmp_path, key="gate")
    events = [make_event(1), make_event(2, label="Straßenbahn"), make_event(3, "other")]
    sink.deliver(events)
    sink.close()
    got = entries(server, "gate")
    assert [json.loads(entry["event"]) for entry in got] == [event.to_dict() for event in events]
    assert [(entry["id"], entry["kind"], entry["stream"]) for entry in got] == [
        (str(event.id), event.kind, event.stream) for event in events
    ]


def test_what_is_delivered_again_is_not_added_again(server: Daemon, tmp_path: Path) -> None:
    events = [make_event(number) for number in range(6)]
    for batch in (events[:3], events[:3], events[:5], events[3:5], events[5:], events[5:]):
        sink = made(server, tmp_path)  # each time a process that knows nothing
        sink.deliver(batch)
        sink.close()
    assert [entry["id"] for entry in entries(server)] == [str(event.id) for event in events]


def test_nothing_new_is_taken_for_something_old(server: Daemon, tmp_path: Path) -> None:
    old = [make_event(number) for number in range(4)]
    new = [make_event(number) for number in range(10, 13)]
    sink = made(server, tmp_path)
    sink.deliver(old)
    # A file that is processed again, with another line: the same ids, and others among them.
    sink.deliver([old[0], new[0], old[1], new[1], old[3], new[2]])
    sink.close()
    assert [entry["id"] for entry in entries(server)] == [str(event.id) for event in (*old, *new)]


@pytest.mark.slow
def test_what_the_server_remembers_is_bounded(server: Daemon, tmp_path: Path) -> None:
    sink = made(server, tmp_path)
    repeated = make_event(0)
    for batch in range(25):
        sink.deliver(
            [repeated, *(make_event(number) for number in range(batch * 499 + 1, batch * 499 + 500))]
        )
    assert asked(server, "SCARD", sink._memory) <= 11_000
    sink.deliver([make_event(99_999)])
    assert asked(server, "SCARD", sink._memory) == 1
    assert asked(server, "TTL", sink._memory) > 80 * 86400
    sink.close()
    assert {entry["id"] for entry in entries(server)} >= {str(make_event(n).id) for n in range(25 * 499)}


def test_two_boxes_do_not_disturb_each_other(server: Daemon, tmp_path: Path) -> None:
    for folder in ("one", "two", "one", "two"):
        sink = made(server, tmp_path / folder)
        sink.deliver([make_event(1, folder), make_event(2, folder)])
        sink.close()
    assert len(entries(server)) == 4


def test_the_stream_is_bounded(server: Daemon, tmp_path: Path) -> None:
    sink = made(server, tmp_path, max_events=100)
    for batch in range(4):
        sink.deliver([make_event(number) for number in range(batch * 500, batch * 500 + 500)])
    sink.close()
    kept = entries(server)
    assert 100 <= len(kept) < 300, "Redis cuts whole nodes of 100 entries"
    assert kept[-1]["id"] == str(make_event(1999).id)


def test_what_json_cannot_carry_is_refused(server: Daemon, tmp_path: Path) -> None:
    sink = made(server, tmp_path)
    with pytest.raises(EventsRefused) as refusal:
        sink.deliver([make_event(1), make_event(2, data={"text": b"raw"})])
    assert list(refusal.value.reasons) == [1]
    sink.close()


def test_a_password_is_one_line_and_read_anew(
    server: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(server, "CONFIG", "SET", "requirepass", "right")
    without = made(server, tmp_path)
    with pytest.raises(SinkError, match="does not let us in without a password"):
        without.deliver([make_event(1)])
    monkeypatch.setenv("REDIS_PASSWORD", "geheim")
    sink = made(server, tmp_path, password="env:REDIS_PASSWORD")
    with pytest.raises(SinkError, match="check username and password") as error:
        sink.deliver([make_event(1)])
    assert "geheim" not in str(error.value)
    monkeypatch.setenv("REDIS_PASSWORD", "right")
    sink.deliver([make_event(1)])
    sink.close()


def test_a_full_server_and_a_key_of_another_type_are_one_line(server: Daemon, tmp_path: Path) -> None:
    sink = made(server, tmp_path)
    asked(server, "SET", KEY, "mine")
    with pytest.raises(SinkError, match="'sightline:events' is no stream there"):
        sink.deliver([make_event(1)])
    asked(server, "DEL", KEY)
    asked(server, "CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(SinkError, match="memory is full"):
        sink.deliver([make_event(1)])
    asked(server, "CONFIG", "SET", "maxmemory", "0")
    sink.deliver([make_event(1)])
    sink.close()
    assert len(entries(server)) == 1


def test_unreachable_and_silent_servers_are_one_line(server: Daemon, tmp_path: Path) -> None:
    nobody = made(server, tmp_path, port=free_port())
    with pytest.raises(SinkError, match=r"^127.0.0.1:\d+: .*refused"):
        nobody.deliver([make_event(1)])
    silent = made(server, tmp_path, timeout_s=0.1)
    asked(server, "CLIENT", "PAUSE", "60000")
    with pytest.raises(SinkError, match=r"no answer within 0.1 s"):
        silent.deliver([make_event(1)])
    silent.close()


def test_closing_breaks_off_a_delivery(server: Daemon, tmp_path: Path) -> None:
    sink = made(server, tmp_path, timeout_s=60)
    sink.deliver([make_event(1)])
    asked(server, "CLIENT", "PAUSE", "60000", "WRITE")
    failed: list[Exception] = []

    def work() -> None:
        try:
            sink.deliver([make_event(2)])
        except SinkError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: b"blocked_clients:1" in told(server, "INFO", "clients"), 10, "it is not there yet")
    sink.close()
    thread.join(10)
    assert not thread.is_alive()
    assert "closed" in str(failed[0])


@pytest.mark.slow
def test_certificates_are_checked(tmp_path: Path, certificate: Path) -> None:
    pytest.importorskip("redis")
    files = ["--tls-cert-file", str(certificate), "--tls-key-file", str(certificate)]
    with redis_server(tmp_path) as daemon:
        port = str(daemon.port)
        daemon.command += ["--port", "0", "--tls-port", port, "--tls-auth-clients", "no", *files]
        daemon.start()
        with pytest.raises(SinkError, match="certificate verify failed"):
            made(daemon, tmp_path, tls=True).deliver([make_event(1)])
        sink = made(daemon, tmp_path, host="localhost", tls=True, ca_file=certificate)
        sink.deliver([make_event(1)])
        sink.close()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"host": "a b"}, "pattern"),
        ({"username": "x"}, "needs a password"),
        ({"ca_file": "/x.pem"}, "tls: true"),
        ({"tls": True, "ca_file": "/x.pem"}, "no file /x.pem"),
        ({"key": "a{b}"}, "pattern"),
    ],
)
def test_wrong_options_are_one_clear_line(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as error:
        RedisOptions(**{"host": "server", **options})
    assert what in str(error.value.errors()[0]["msg"])


def storm(
    tmp_path: Path,
    server: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    per_batch: int,
    pause: Callable[[], float],
) -> tuple[set[str], list[str]]:
    sink = made(server, tmp_path)
    failures = failures_of(sink, monkeypatch)
    with feeding(tmp_path, sink) as (journal, feeder):
        sent: set[str] = set()
        for batch in range(batches):
            for part in range(10):
                first = batch * per_batch + part * per_batch // 10
                sent |= append(journal, range(first, first + per_batch // 10))
            time.sleep(pause())
            server.kill()
            noticed = len(failures)
            sent |= append(journal, range(batches * per_batch + batch, batches * per_batch + batch + 1))
            until(lambda noticed=noticed: len(failures) > noticed, 30, "nothing is tried")  # type: ignore[misc]
            server.start()
        wait_delivered(feeder, len(sent))
    return sent, [entry["id"] for entry in entries(server)]


def test_a_server_that_is_killed_and_comes_back_has_each_event_once(
    tmp_path: Path, server: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, got = storm(tmp_path, server, monkeypatch, 2, 300, lambda: 0.0)
    assert set(got) == sent
    assert len(got) == len(sent)


@pytest.mark.slow
def test_a_storm_of_kills_loses_and_doubles_nothing(
    tmp_path: Path, server: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(5)
    sent, got = storm(tmp_path, server, monkeypatch, 25, 1000, lambda: rng.uniform(0.0, 0.1))
    assert set(got) == sent
    assert len(got) == len(sent)
