from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import typer
import zmq
from typer.testing import CliRunner

from pipeline.bus import Bus
from pipeline.cli.listen import listen
from pipeline.errors import ConfigError
from pipeline.listen import GapCounter, Listener, Received
from pipeline.wire import EventMessage, FrameMessage, encode
from pipeline.wire_lines import format_message, json_line
from tests.command import as_from_a_terminal
from tests.pipeline.messages import (
    FREE,
    make_event,
    make_frame,
    make_tracks,
    noise,
    wait_for_subscriptions,
    wait_until,
)

ROOT = Path(__file__).parents[2]
BUS = "0" * 16


def received(listener: Listener) -> Received:
    found = listener.receive(timeout_s=10)
    assert found is not None
    return found


def event_message(n: int = 0, bus: str = BUS, stream: str = "gate") -> EventMessage:
    return EventMessage(bus, n, make_event(n, stream))


def frame_message(n: int = 0, stream: str = "gate") -> FrameMessage:
    return FrameMessage.of(make_frame(n, stream), b"\xff\xd8\xff", quality=80, bus=BUS, n=n)


@contextmanager
def publisher() -> Iterator[tuple[zmq.Socket[bytes], str]]:
    """A publisher of anything, also of what a Bus never sends."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.rcvtimeo = 10_000
        socket.bind(FREE)
        yield socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)


def test_events_and_frames_of_the_chosen_topics_arrive() -> None:
    with Bus(FREE, FREE) as bus, Listener([*bus.endpoints.values()], ["event/gate", "frame/"]) as listener:
        wait_for_subscriptions(bus, events=2, frames=2)
        bus.publish_event(make_event(1, "other"))
        bus.publish_event(make_event(2))
        found = received(listener)
        assert isinstance(found.message, EventMessage)
        assert found.message.event == make_event(2)
        bus.publish_frame(make_frame(3, "other"))
        found = received(listener)
        assert isinstance(found.message, FrameMessage)
        assert found.message.sequence == 3
        assert listener.statistics() == {"received": 2, "lost": 0, "stale": 0, "refused": 0}


def test_without_a_message_the_wait_ends_in_time() -> None:
    with Listener(["ipc:///no/publisher/here"]) as listener:
        began = time.monotonic()
        assert listener.receive(timeout_s=0.1) is None
        assert 0.09 < time.monotonic() - began < 10
        assert listener.receive(timeout_s=0) is None
        listener.close()


def test_a_gap_in_the_numbers_is_reported_as_lost() -> None:
    with publisher() as (socket, endpoint), Listener([endpoint]) as listener:
        socket.recv()
        for n in (7, 8, 12, 13):
            socket.send_multipart(encode(event_message(n)))
        assert [received(listener).lost for _ in range(4)] == [0, 0, 3, 0]
        assert listener.statistics()["lost"] == 3


@pytest.mark.parametrize(
    ("arrivals", "lost"),
    [
        ([("a", "x", 0), ("a", "x", 1)], [0, 0]),
        ([("a", "x", 9), ("a", "x", 12)], [0, 2]),
        ([("a", "x", 0), ("a", "y", 5), ("a", "x", 1), ("a", "y", 7)], [0, 0, 0, 1]),
        ([("a", "x", 90), ("b", "x", 0), ("b", "x", 2)], [0, 0, 1]),
        ([("a", "x", 5), ("b", "x", 50), ("a", "x", 6), ("b", "x", 51)], [0, 0, 0, 0]),
        ([("a", "x", 5), ("a", "x", 5), ("a", "x", 3)], [0, 0, 0]),
    ],
    ids=["none", "gap", "per topic", "publisher restarts", "two publishers", "repeated"],
)
def test_gaps_are_counted_per_publisher_and_topic(
    arrivals: list[tuple[str, str, int]], lost: list[int]
) -> None:
    gaps = GapCounter()
    assert [gaps.before(event_message(n, bus, stream)) for bus, stream, n in arrivals] == lost


def test_the_gap_counter_stays_small_and_keeps_who_is_active() -> None:
    gaps = GapCounter(capacity=10)
    for restart in range(1000):
        assert gaps.before(event_message(restart * 2, "alive")) == (1 if restart else 0)
        gaps.before(event_message(0, f"{restart}"))
        assert len(gaps._latest) <= 10


def test_a_message_that_breaks_the_protocol_is_counted_and_skipped() -> None:
    with publisher() as (socket, endpoint), Listener([endpoint]) as listener:
        socket.recv()
        socket.send_multipart([b"event/gate", b"no msgpack"])
        socket.send(b"event/alone")
        socket.send_multipart(encode(event_message(0)))
        assert received(listener).message == event_message(0)
        assert listener.statistics()["refused"] == 2


def test_events_come_all_in_order_and_of_frames_that_pile_up_the_newest() -> None:
    with publisher() as (socket, endpoint), Listener([endpoint], ["frame/", "event/"]) as listener:
        assert {socket.recv(), socket.recv()} == {b"\x01frame/", b"\x01event/"}
        for n in range(50):
            socket.send_multipart(encode(frame_message(n)))
            socket.send_multipart(encode(event_message(n)))
        events, frames = [], [-1]
        while len(events) < 50 or frames[-1] < 49:
            message = received(listener).message
            (events if isinstance(message, EventMessage) else frames).append(message.n)
        assert events == list(range(50))
        assert frames == sorted(set(frames))
        seen = listener.statistics()
        assert seen["received"] + seen["stale"] + seen["lost"] == 100


def test_events_without_end_do_not_keep_frames_back() -> None:
    with publisher() as (socket, endpoint), Listener([endpoint], ["frame/", "event/"]) as listener:
        assert {socket.recv(), socket.recv()} == {b"\x01frame/", b"\x01event/"}
        socket.send_multipart(encode(frame_message(0)))
        for n in range(200):
            socket.send_multipart(encode(event_message(n)))
        wait_until(lambda: listener._events.poll(0) > 0 and listener._frames.poll(0) > 0)
        kinds = [type(received(listener).message) for _ in range(201)]
        assert 20 < kinds.index(FrameMessage) < 40
        assert kinds.count(EventMessage) == 200


def test_a_slow_viewer_is_never_far_behind_and_counts_what_it_missed() -> None:
    """100 pictures a second, 50 ms for each: with default settings it would end seconds behind."""
    with Bus(None, FREE) as bus, Listener([bus.endpoints["frames"]], ["frame/gate"]) as listener:
        wait_for_subscriptions(bus, frames=1)
        picture = noise()
        began = time.monotonic()
        behind_s = []
        published = 0
        next_look_s = 0.05
        while published < 150:
            time.sleep(max(0.0, began + published / 100 - time.monotonic()))
            assert bus.publish_frame(make_frame(published, bgr=picture))
            published += 1
            if time.monotonic() - began >= next_look_s:
                next_look_s += 0.05
                found = listener.receive(timeout_s=0)
                if found is not None:
                    last = found.message.n
                    behind_s.append((published - 1 - last) / 100)
        assert len(behind_s) >= 10
        assert max(behind_s) < 1  # with default settings 1.2 at the end, and growing
        while (found := listener.receive(timeout_s=0.1)) is not None:
            last = found.message.n
        seen = listener.statistics()
        assert seen["received"] + seen["stale"] + seen["lost"] == last + 1
        assert seen["stale"] > 5  # 80 on a box with nothing else to do


def test_the_listener_may_start_first_and_outlives_restarts(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'events'}"
    with Listener([address]) as listener:
        for _ in range(3):
            with Bus(address, None) as bus:
                wait_until(partial(listens, listener, bus))
                for n in range(3):
                    bus.publish_event(make_event(n))
                assert [received(listener).message.n for _ in range(3)] == [0, 1, 2]
        assert listener.statistics()["lost"] == 0


def listens(listener: Listener, bus: Bus) -> bool:
    """Let the listener work (ZeroMQ subscribes again from its thread) and return whether the bus knows it."""
    return listener.receive(timeout_s=0.001) is None and bus.statistics()["events_subscriptions"] == 1


def test_an_endpoint_named_twice_gives_each_message_once() -> None:
    with (
        Bus(FREE, None) as bus,
        Listener([bus.endpoints["events"]] * 2, ["event/", "event/gate"]) as listener,
    ):
        wait_for_subscriptions(bus, events=2)
        for n in range(3):
            bus.publish_event(make_event(n))
        assert [received(listener).message.n for _ in range(3)] == [0, 1, 2]
        assert listener.receive(timeout_s=0.05) is None


@pytest.mark.parametrize(
    "endpoint", ["", "5577", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://*:5577", "tcp://127.0.0.1:0", "http://x:1"]
)  # fmt: skip
def test_a_wrong_endpoint_is_an_error_of_one_line(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"is no address|name the publisher's host") as caught:
        Listener([endpoint])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("topic", ["gate", "events/gate", "event.gate", "mood/"])
def test_a_topic_that_can_never_match_is_an_error_of_one_line(topic: str) -> None:
    with pytest.raises(ConfigError, match=f"no message has the topic '{topic}'; write event/STREAM"):
        Listener(["tcp://127.0.0.1:5577"], ["event/", topic])


def test_a_line_for_people() -> None:
    assert format_message(event_message(3)) == (
        "2026-03-01T08:00:00.120Z  gate  line.crossing  car  #3  line=main  direction=in"
    )
    frame = make_frame(5, tracks=make_tracks(), counts={"main": {"in": {"car": 2, "bus": 1}, "out": {}}})
    message = FrameMessage.of(frame, b"\xff\xd8\xff" + bytes(3000), quality=80, bus=BUS, n=0)
    assert format_message(message) == (
        "2026-03-01T08:00:00.200Z  gate  frame 5  32x24  3 KiB  2 tracks  main: in 3, out 0"
    )
    hostile = EventMessage(BUS, 0, make_event(label="\x1b[2J\n", data={"x": "y" * 10_000, "n": [1, None]}))
    assert format_message(hostile).isprintable()
    assert len(format_message(hostile)) == 400


def test_a_line_for_machines() -> None:
    assert json.loads(json_line(event_message(3))) == event_message(3).header()
    assert json.loads(json_line(frame_message(2))) == {**frame_message(2).header(), "jpeg_bytes": 3}


app = typer.Typer()
app.command()(listen)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_prints_a_line_per_message_and_stops_after_count(as_json: bool) -> None:
    with Bus(FREE, None) as bus:
        arguments = [bus.endpoints["events"], "--count", "2", "--timeout", "10"] + ["--json"] * as_json
        with running(*arguments) as command:
            wait_for_subscriptions(bus, events=1)
            for n in range(3):
                bus.publish_event(make_event(n))
            out, err = command.communicate(timeout=20)
    lines = out.splitlines()
    assert command.returncode == 0
    assert len(lines) == 2
    assert ('"track_id":1' if as_json else "car  #1  line=main") in lines[1]
    assert err.startswith("listening to event/ on tcp://127.0.0.1:")


def test_the_command_reports_losses_and_refusals_apart_from_the_messages() -> None:
    with publisher() as (socket, endpoint), running(endpoint, "-n", "2") as command:
        socket.recv()
        for parts in (encode(event_message(0)), [b"event/gate", b"?"], encode(event_message(4))):
            socket.send_multipart(parts)
        out, err = command.communicate(timeout=20)
    assert len(out.splitlines()) == 2
    assert "3 messages lost on event/gate\n" in err
    assert err.endswith("1 messages broke the protocol and were ignored\n")


def test_ctrl_c_ends_the_command_with_exit_code_0() -> None:
    with Bus(FREE, None) as bus, running(bus.endpoints["events"]) as command:
        wait_for_subscriptions(bus, events=1)
        bus.publish_event(make_event())
        assert command.stdout is not None
        assert "line.crossing" in command.stdout.readline()
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=20)
    assert command.returncode == 0
    assert "Traceback" not in err


def test_the_command_gives_up_with_exit_code_1_when_nothing_arrives() -> None:
    result = CliRunner().invoke(app, ["ipc:///no/publisher/here", "--timeout", "0.05"])
    assert result.exit_code == 1
    assert "nothing arrived for 0.05 s; is sightline running?" in result.output


def test_the_command_refuses_a_wrong_endpoint_in_one_line() -> None:
    result = CliRunner().invoke(app, ["localhost:5577"])
    assert isinstance(result.exception, ConfigError)
    assert "'localhost:5577' is no address" in str(result.exception)


def test_the_help_shows_an_example() -> None:
    assert "sightline listen tcp://127.0.0.1:5577" in CliRunner().invoke(app, ["--help"]).output


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    code = "import typer; from pipeline.cli.listen import listen; typer.run(listen)"
    with started([sys.executable, "-c", code, *arguments]) as command:
        yield command


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, cwd=ROOT, preexec_fn=as_from_a_terminal) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_documented_python_example_runs() -> None:
    text = (ROOT / "docs/protocol.md").read_text()
    example = next(
        code for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "zmq" in code
    )
    with Bus(FREE, None) as bus:
        code = example.replace("tcp://127.0.0.1:5577", bus.endpoints["events"])
        assert code != example
        with started([sys.executable, "-c", code]) as program:
            wait_for_subscriptions(bus, events=1)
            bus.publish_event(make_event())
            assert program.stdout is not None
            line = program.stdout.readline()
    assert line.startswith("2026-03-01T08:00:00.000Z gate line.crossing car {'line': 'main'")
