"""What streams and the box say of themselves on the bus."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.backoff import KeeperOptions
from pipeline.bus import Bus
from pipeline.condition import Reason
from pipeline.config.schema import BusConfig, Config, PluginConfig, StreamConfig
from pipeline.engine import Engine
from pipeline.errors import SourceError
from pipeline.listen import Listener
from pipeline.outbox import JournalOptions
from pipeline.plugin import Options
from pipeline.status import About, Beacon
from pipeline.stream import Stream
from pipeline.wire import BoxMessage, StatusMessage, decode, encode
from pipeline.wire_lines import format_message, json_line
from tests.pipeline.cameras import Camera, FakeClock
from tests.pipeline.messages import FREE, wait_until
from tests.pipeline.parts import stream_config


def config(folder: Path, *streams: StreamConfig, **fields: object) -> Config:
    bus = BusConfig(events=FREE, name="yard-box")
    path = folder / "c.yaml"
    return Config(streams, (), bus, folder / "out", "feed", path, **fields)  # type: ignore[arg-type]


@contextmanager
def running(config: Config) -> Iterator[tuple[Engine, str]]:
    with Engine(config) as engine:
        assert engine._bus is not None
        thread = threading.Thread(target=engine.run)
        thread.start()
        try:
            yield engine, engine._bus.endpoints["events"]
        finally:
            engine.stop()
            thread.join(20)


def status(listener: Listener, **wanted: object) -> StatusMessage:
    """Return the next status in which these fields have these values."""
    while True:
        received = listener.receive(timeout_s=10)
        assert received is not None, wanted
        found = received.message
        if isinstance(found, StatusMessage) and all(getattr(found, k) == v for k, v in wanted.items()):
            return found


def test_a_stream_tells_what_became_of_its_frames(tmp_path: Path) -> None:
    script = ["frame"] * 12 + ["gap", "frame", "wait"]
    with running(config(tmp_path, stream_config(script=script))) as (engine, endpoint):
        stream = engine.streams[0]
        wait_until(lambda: stream.ledger.entry().finished == 13)
        with Listener([endpoint], ["status/gate"]) as listener:
            first = status(listener)
            engine.stop()
            last = status(listener, state="stopped")
    frames = {"captured": 13, "finished": 13, "in_flight": 0, "dropped": {}}
    assert (first.state, first.frames, first.error, first.source) == ("running", frames, None, None)
    assert (first.box, first.stream, first.run, first.every_s) == ("yard-box", "gate", "run", 2.0)
    assert (first.width, first.height, first.gaps, first.events) == (8, 6, 1, 1)
    assert first.moment.pts_s == pytest.approx(1.2)
    assert (first.captured_hz, first.finished_hz) == (None, None), "a rate needs two messages"
    assert last.n > first.n
    assert last.finished_hz == 0


def test_a_failure_is_told_at_once_and_without_secrets(tmp_path: Path) -> None:
    error = SourceError("rtsp://u:secret@host/x\ncannot be read")
    go = threading.Event()
    script = ["frame", lambda: go.wait(10), error]
    with (
        running(config(tmp_path, stream_config(script=script))) as (_, endpoint),
        Listener([endpoint], ["status/"]) as listener,
    ):
        status(listener, state="running")
        go.set()
        failed = status(listener, state="failed")
    assert failed.error is not None
    assert "cannot be read" in failed.error
    assert "secret" not in failed.error
    assert "\n" not in failed.error


class NoCamera(Camera):
    """Refuses each connection."""

    def __init__(self, url: object, options: Options, stream: str) -> None:
        super().__init__([SourceError("the camera said 404", Reason.NOT_FOUND)], stream)


def test_a_camera_that_cannot_be_had_says_why(tmp_path: Path) -> None:
    camera = replace(
        stream_config(),
        source=PluginConfig("source", "no", NoCamera, Options()),
        keeper=KeeperOptions(retry_s=0.1, retry_most_s=0.2),
    )
    with running(config(tmp_path, camera)) as (_, endpoint), Listener([endpoint], ["status/"]) as listener:
        found = status(listener)
        while found.source is None or found.source["state"] != "refused":
            found = status(listener)
    assert (found.state, found.source["reason"]) == ("opening", "404 not found")
    assert "the camera said 404" in found.source["detail"]
    assert found.source["for_s"] >= 0
    assert "source refused (404 not found)" in format_message(found)


def test_the_box_tells_of_journal_sinks_and_sockets(tmp_path: Path) -> None:
    settings = config(
        tmp_path, stream_config(script=["frame", "gap", "frame", "wait"]), journal=JournalOptions()
    )
    with running(settings) as (engine, endpoint):
        wait_until(lambda: engine.report()["journal"]["newest"] == 1)
        with Listener([endpoint], ["status/_box"]) as listener:
            received = listener.receive(timeout_s=10)
    assert received is not None
    found = received.message
    assert isinstance(found, BoxMessage)
    assert (found.box, found.streams, found.error) == ("yard-box", {"gate": "running"}, None)
    assert found.journal == {"newest": 1, "lost": 0, "trouble": None, "reliable": None}
    assert found.sockets["events_subscriptions"] == 1
    assert "1 of 1 streams running" in format_message(found)


def test_nothing_is_made_for_nobody_and_every_second_look_is_quiet(tmp_path: Path) -> None:
    """Looked at with a clock of our own: at once to who comes, then when something changes or time is up."""
    clock = FakeClock()
    asked = 0

    def about() -> About:
        nonlocal asked
        asked += 1
        return About(None, None)

    stream = Stream(stream_config(), [], None, lambda: None)
    with Bus(FREE, None) as bus:
        beacon = Beacon(bus, [stream], "yard", about, clock)

        def sent() -> int:
            beacon.look()
            return bus.statistics()["events_sent"]

        assert sent() == 0
        assert asked == 0
        with Listener([bus.endpoints["events"]], ["status/"]) as listener:
            wait_until(lambda: bus.wants_status("status/gate"))
            assert [sent() for _ in range(3)] == [2, 2, 2]
            clock.now_s += 1.9
            assert sent() == 2
            clock.now_s += 0.1
            assert sent() == 4
            stream.error = SourceError("gone")
            assert sent() == 5
            assert [status(listener).n for _ in range(3)] == [0, 1, 2]
        wait_until(lambda: not bus.wants_status("status/gate"))
        assert sent() == 5


def test_rates_are_of_the_time_since_the_message_before() -> None:
    clock = FakeClock()
    stream = Stream(stream_config(), [], None, lambda: None)
    with Bus(FREE, None) as bus, Listener([bus.endpoints["events"]], ["status/gate"]) as listener:
        wait_until(lambda: bus.wants_status("status/gate"))
        beacon = Beacon(bus, [stream], None, lambda: About(None, None), clock)
        beacon.look()
        for _ in range(30):
            stream.ledger.capture()
        for _ in range(20):
            stream.ledger.finish()
        stream.ledger.drop("capture", "newer frame", 4)
        clock.now_s += 2.5
        beacon.look()
        assert status(listener).captured_hz is None
        found = status(listener)
    assert (found.captured_hz, found.finished_hz) == (12.0, 8.0)
    assert found.frames["in_flight"] == 6
    assert "4 dropped at capture: newer frame" in format_message(found)
    assert decode(encode(found)) == found
    assert '"type":"status"' in json_line(found)
