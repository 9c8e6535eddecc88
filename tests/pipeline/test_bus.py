from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import zmq

from pipeline.bus import Bus
from pipeline.errors import ConfigError, SinkError
from pipeline.publisher import Subscriptions
from pipeline.wire import EventMessage, FrameMessage, Message, WireError, decode
from tests.pipeline.messages import (
    FREE,
    SpyOverlay,
    make_event,
    make_frame,
    make_tracks,
    noise,
    wait_for_subscriptions,
    wait_until,
)


class Subscriber:
    """A plain socket, as any program would open it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def receive(self) -> Message:
        return decode(self.socket.recv_multipart())


class Programs:
    """Other programs on the bus; all their sockets are closed at the end of a test."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []

    def subscribe(self, endpoint: str, *topics: str, **options: int) -> Subscriber:
        subscriber = self.connect(zmq.SUB, endpoint, **options)
        for topic in topics:
            subscriber.subscribe(topic)
        return Subscriber(subscriber)

    def connect(self, kind: int, endpoint: str, **options: int) -> zmq.Socket[bytes]:
        connected = self._context.socket(kind)
        self._sockets.append(connected)
        for name, value in {"linger": 0, "rcvtimeo": 10_000, **options}.items():
            setattr(connected, name, value)
        connected.connect(endpoint)
        return connected

    def close(self) -> None:
        for opened in self._sockets:
            opened.close()
        self._context.term()


@pytest.fixture
def programs() -> Iterator[Programs]:
    programs = Programs()
    yield programs
    programs.close()


def test_events_arrive_in_order_with_their_numbers(programs: Programs) -> None:
    with Bus(FREE, None) as bus:
        subscriber = programs.subscribe(bus.endpoints["events"], "event/gate")
        wait_for_subscriptions(bus, events=1)
        for number in range(3):
            bus.publish_event(make_event(number))
            bus.publish_event(make_event(number, "other"))
        found = [subscriber.receive() for _ in range(3)]
        assert [message.n for message in found] == [0, 1, 2]
        assert [m.event for m in found if isinstance(m, EventMessage)] == [make_event(n) for n in range(3)]
        wait_until(lambda: bus.statistics()["events_peers"] == 1)  # ZeroMQ's monitor tells it apart
        assert bus.statistics() == {
            "events_sent": 6, "events_unsent": 0, "events_subscriptions": 1,
            "events_refused": 0, "events_peers": 1, "events_gone": 0, "events_strangers": 0,
        }  # fmt: skip


def test_a_late_subscriber_sees_by_n_what_it_missed(programs: Programs) -> None:
    with Bus(FREE, None) as bus:
        for number in range(5):
            bus.publish_event(make_event(number))
        subscriber = programs.subscribe(bus.endpoints["events"], "")
        wait_for_subscriptions(bus, events=1)
        bus.publish_event(make_event(5))
        assert subscriber.receive().n == 5


def test_each_bus_has_an_id_of_its_own(programs: Programs) -> None:
    ids = set()
    for _ in range(2):
        with Bus(FREE, None) as bus:
            subscriber = programs.subscribe(bus.endpoints["events"], "")
            wait_for_subscriptions(bus, events=1)
            bus.publish_event(make_event())
            ids.add(subscriber.receive().bus)
    assert len(ids) == 2


def test_a_frame_arrives_with_its_picture_and_tables(programs: Programs) -> None:
    counts = {"main": {"in": {"car": 2}, "out": {}}}
    with Bus(None, FREE, jpeg_quality=90) as bus:
        subscriber = programs.subscribe(bus.endpoints["frames"], "frame/gate")
        wait_for_subscriptions(bus, frames=1)
        frame = make_frame(4, overlay=SpyOverlay(), tracks=make_tracks(), counts=counts)
        assert bus.publish_frame(frame) is True
        found = subscriber.receive()
    assert isinstance(found, FrameMessage)
    assert (found.stream, found.sequence, found.moment, found.counts) == ("gate", 4, frame.moment, counts)
    assert (found.width, found.height, found.quality, found.n) == (32, 24, 90, 0)
    picture = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (24, 32, 3)
    assert abs(picture.astype(int) - (0, 0, 255)).max() < 8


def test_nothing_is_drawn_or_encoded_for_nobody(programs: Programs) -> None:
    spy = SpyOverlay()
    with Bus(FREE, FREE) as bus:
        programs.subscribe(bus.endpoints["events"], "frame/gate")
        programs.subscribe(bus.endpoints["frames"], "frame/other", "event/")
        wait_for_subscriptions(bus, events=1, frames=2)
        assert bus.wants_frames("gate") is False
        assert bus.publish_frame(make_frame(overlay=spy)) is False
        assert spy.painted == 0
        assert bus.statistics()["frames_sent"] == 0
        assert bus.publish_frame(make_frame(stream="other", overlay=spy)) is True
        assert spy.painted == 1


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        ("", True),
        ("fr", True),
        ("frame/", True),
        ("frame/gat", True),
        ("frame/gate", True),
        ("frame/gate2", False),
        ("frame/Gate", False),
        ("event/gate", False),
    ],
)
def test_a_subscription_is_a_prefix(programs: Programs, topic: str, wanted: bool) -> None:
    with Bus(None, FREE) as bus:
        programs.subscribe(bus.endpoints["frames"], topic)
        wait_for_subscriptions(bus, frames=1)
        assert bus.wants_frames("gate") is wanted


def test_drawing_stops_when_the_last_subscriber_goes(programs: Programs) -> None:
    with Bus(None, FREE) as bus:
        first, second = (programs.subscribe(bus.endpoints["frames"], "frame/gate") for _ in range(2))
        wait_until(lambda: bus.wants_frames("gate"))
        while not _arrives(bus, second):
            pass
        first.socket.unsubscribe("frame/gate")
        second.socket.close()
        wait_until(lambda: not bus.wants_frames("gate"))


def _arrives(bus: Bus, subscriber: Subscriber) -> bool:
    bus.publish_frame(make_frame())
    return bool(subscriber.socket.poll(100))


def test_threads_publish_at_once_without_loss_or_disorder(programs: Programs) -> None:
    streams = ("north", "south", "east", "west")
    with Bus(FREE, None) as bus:
        subscriber = programs.subscribe(bus.endpoints["events"], "event/")
        wait_for_subscriptions(bus, events=1)

        def run(stream: str) -> None:
            for number in range(300):
                bus.publish_event(make_event(number, stream))
                bus.wants_frames(stream)

        threads = [threading.Thread(target=run, args=(stream,)) for stream in streams]
        for thread in threads:
            thread.start()
        found = [subscriber.receive() for _ in range(1200)]
        for thread in threads:
            thread.join()
    for stream in streams:
        own = [m for m in found if isinstance(m, EventMessage) and m.event.stream == stream]
        assert [m.n for m in own] == list(range(300))
        assert [m.event.track_id for m in own] == list(range(300))


def test_a_subscriber_that_does_not_read_neither_blocks_nor_costs_others_anything(programs: Programs) -> None:
    with Bus(None, FREE) as bus:
        stuck = programs.subscribe(bus.endpoints["frames"], "frame/a", rcvhwm=1, rcvbuf=64 << 10)
        wait_for_subscriptions(bus, frames=1)
        awake = programs.subscribe(bus.endpoints["frames"], "frame/ab")
        wait_for_subscriptions(bus, frames=2)
        for number in range(60):
            frame = make_frame(number, "ab", bgr=noise(number))
            began = time.monotonic()
            assert bus.publish_frame(frame)
            assert time.monotonic() - began < 5
            assert awake.receive().n == number
        seen = []
        while stuck.socket.poll(200):
            seen.append(stuck.receive().n)
        assert seen[0] == 0
        assert len(seen) < 40


@pytest.mark.parametrize(
    "address",
    [
        "",
        "5577",
        "127.0.0.1:5577",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:http",
        "tcp://127.0.0.1:5577\0",
        "tcp://:5577",
        "tcp://a b:1",
        "udp://127.0.0.1:5577",
        "ipc://",
        "inproc://x",
    ],
)
@pytest.mark.parametrize("socket_name", ["events", "frames"])
def test_what_is_no_address_is_refused(address: str, socket_name: str) -> None:
    addresses: dict[str, str | None] = {"events": None, "frames": None, socket_name: address}
    with pytest.raises(ConfigError, match=r"is no address; write tcp://HOST:PORT") as caught:
        Bus(**addresses)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()


def test_an_address_in_use_is_an_error_of_one_line_and_frees_the_other_socket() -> None:
    with Bus(FREE, None) as bus:
        taken = bus.endpoints["events"]
        with pytest.raises(
            SinkError, match=rf"cannot publish on {taken}: Address already in use; stop the program"
        ):
            Bus(FREE, taken)
    with Bus(taken, None) as again:
        assert again.endpoints == {"events": taken}


def test_an_ipc_socket_in_use_is_not_taken_over_but_one_left_by_a_crash_is(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'events'}"
    with Bus(address, None), pytest.raises(SinkError, match="Address already in use"):
        Bus(address, None)
    (tmp_path / "events").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(tmp_path / "events"))
    with Bus(address, None) as bus:
        assert bus.endpoints == {"events": address}


@pytest.mark.parametrize(
    "address", ["tcp://192.0.2.1:5577", "tcp://no-such-interface:5577", "ipc:///no/such/folder/socket"]
)
def test_an_address_that_cannot_be_bound_is_an_error_of_one_line(address: str) -> None:
    with pytest.raises(SinkError, match=rf"cannot publish on {address}: [A-Z][^\n]+; choose an address"):
        Bus(address, None)


def test_a_bus_without_sockets_does_nothing() -> None:
    spy = SpyOverlay()
    with Bus(None, None) as bus:
        bus.publish_event(make_event())
        assert bus.publish_frame(make_frame(overlay=spy)) is False
        assert (bus.wants_frames("gate"), bus.endpoints, bus.statistics()) == (False, {}, {})
    assert spy.painted == 0


def test_after_closing_messages_are_counted_as_unsent() -> None:
    bus = Bus(FREE, FREE)
    bus.close()
    bus.close()
    bus.publish_event(make_event())
    assert bus.publish_frame(make_frame()) is False
    assert bus.statistics()["events_unsent"] == 1


def test_closing_delivers_what_is_queued_but_waits_for_no_one_for_long(programs: Programs) -> None:
    with Bus(FREE, FREE) as bus:
        reader = programs.subscribe(bus.endpoints["events"], "event/")
        programs.subscribe(bus.endpoints["events"], "event", rcvhwm=1, rcvbuf=4096)
        wait_for_subscriptions(bus, events=2)
        for number in range(5000):
            bus.publish_event(make_event(number, data={"ballast": "x" * 1000}))
        began = time.monotonic()
        bus.close()
        assert time.monotonic() - began < 5
    assert reader.receive().n == 0


def test_what_cannot_travel_is_an_error_and_leaves_no_gap(programs: Programs) -> None:
    with Bus(FREE, FREE) as bus:
        subscriber = programs.subscribe(bus.endpoints["events"], "")
        programs.subscribe(bus.endpoints["frames"], "")
        wait_for_subscriptions(bus, events=1, frames=1)
        with pytest.raises(WireError, match=r"field data\.raw"):
            bus.publish_event(make_event(data={"raw": b"1"}))
        bus.publish_event(make_event())
        assert subscriber.receive().n == 0
        with pytest.raises(SinkError, match="stream 'gate': a picture of 65577 x 1 px cannot be a JPEG"):
            bus.publish_frame(make_frame(bgr=np.zeros((1, 65577, 3), np.uint8)))


@contextmanager
def raw_connection(endpoint: str) -> Iterator[socket.socket]:
    host, port = endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        yield connection


def test_a_stranger_that_talks_nonsense_disturbs_nobody(programs: Programs) -> None:
    with Bus(FREE, None) as bus:
        subscriber = programs.subscribe(bus.endpoints["events"], "event/")
        talker = programs.connect(zmq.XSUB, bus.endpoints["events"])
        talker.send(b"\x01" + b"x" * 100)
        talker.send(b"no subscription at all")
        talker.send(b"\x01" + b"y" * 100_000)
        talker.send(b"")
        with raw_connection(bus.endpoints["events"]) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n" * 100)
        wait_until(lambda: bus.statistics()["events_subscriptions"] >= 1)
        while True:
            bus.publish_event(make_event())
            if subscriber.socket.poll(50):
                break
        assert isinstance(subscriber.receive(), EventMessage)


def test_more_subscriptions_than_are_kept_count_as_wanting_everything() -> None:
    subscriptions = Subscriptions()
    topics = [f"frame/{n}".encode() for n in range(4100)]
    for topic in topics:
        subscriptions.update(b"\x01" + topic)
    assert len(subscriptions) == 4100
    assert len(subscriptions._prefixes) == 4096
    assert subscriptions.cover(b"frame/elsewhere")
    for topic in reversed(topics):
        subscriptions.update(b"\x00" + topic)
    assert len(subscriptions) == 0
    assert not subscriptions.cover(b"frame/1")
