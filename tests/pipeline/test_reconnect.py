"""Sockets that connect: what they meet there may be anything, and they go on trying."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import zmq

from pipeline.bus import Bus
from pipeline.client import ReliableListener
from pipeline.hub import Ends, Hub
from pipeline.journal import Journal
from pipeline.listen import Listener
from pipeline.place import Place
from pipeline.reliable import ReliableServer
from pipeline.wire import EventMessage, encode
from tests.pipeline.messages import FREE, make_event, wait_until
from tests.pipeline.strangers import CURVE, MESSAGES, nonsense


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greetings have 0.2 s here, not 5; what ZeroMQ has given up is tried again after 0.05 s, not 1."""
    monkeypatch.setattr("pipeline.place.HANDSHAKE_MS", 200)
    monkeypatch.setattr("pipeline.listen.HANDSHAKE_MS", 200)
    monkeypatch.setattr("pipeline.peers._GIVEN_UP_S", 0.05)


def test_a_listener_takes_nonsense_from_no_server_and_goes_on_trying() -> None:
    """Servers that talk rubbish, at which ZeroMQ alone gives up for ever; then one of ours."""
    good = EventMessage("0" * 16, 0, make_event())
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0.0)
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with Listener([endpoint]) as listener:
            for seed in range(13):
                with closing(accepted(server, listener)) as connection:
                    connection.sendall(nonsense(seed))
                    assert listener.receive(timeout_s=0.01) is None
            server.close()
            with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
                publisher.linger = 0
                publisher.bind(endpoint)
                wait_until(lambda: listener.receive(timeout_s=0.01) is None and publisher.poll(0) > 0)
                for parts in MESSAGES:
                    publisher.send_multipart(parts)
                publisher.send_multipart(encode(good))
                received = listener.receive(timeout_s=10)
                assert received is not None
                assert received.message == good
            addressed = sum(parts[0].startswith(b"event/") for parts in MESSAGES)
            assert listener.statistics()["refused"] == addressed


def accepted(server: socket.socket, listener: Listener) -> socket.socket:
    found: list[socket.socket] = []

    def look() -> bool:
        assert listener.receive(timeout_s=0.005) is None
        with suppress(BlockingIOError):
            found.append(server.accept()[0])
        return bool(found)

    wait_until(look)
    return found[0]


def test_a_message_beyond_all_bounds_does_not_end_a_subscription() -> None:
    """ZeroMQ cuts the connection, and alone would never come back."""
    good = EventMessage("0" * 16, 0, make_event())
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.linger = 0
        publisher.bind(FREE)
        with Listener([publisher.getsockopt_string(zmq.LAST_ENDPOINT)]) as listener:
            assert publisher.poll(10_000)
            publisher.recv()
            publisher.send_multipart([b"event/gate", bytes((32 << 20) + 1)])
            wait_until(lambda: listener.receive(timeout_s=0.01) is None and publisher.poll(0) > 0)

            def arrives() -> bool:
                publisher.send_multipart(encode(good))
                return listener.receive(timeout_s=0.02) is not None

            wait_until(arrives)


def test_programs_and_boxes_that_met_a_stranger_first_find_who_they_want(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server had the port; ZeroMQ alone would not try again once it has heard what that says."""
    monkeypatch.setattr("pipeline.client._PING_S", 0.05)
    monkeypatch.setattr("pipeline.client._GIVEN_UP_S", 0.1)
    rude = CURVE + bytes(300)
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    journal.append([make_event(1)])
    with ExitStack() as stack:
        stack.callback(journal.close)
        rivals = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        ports = [rival.getsockname()[1] for rival in rivals]
        at = [f"tcp://127.0.0.1:{port}" for port in ports]
        bus = stack.enter_context(Bus(Place(at[0], connects=True), None))
        shop = stack.enter_context(ReliableListener(at[1], "shop", from_start=True))
        for rival in rivals:
            connection, _ = rival.accept()
            connection.sendall(rude)
            connection.settimeout(10)
            with suppress(ConnectionResetError):
                while connection.recv(1 << 10):  # until they hang up
                    pass
            connection.close()
            rival.close()
        hub = stack.enter_context(Hub({"events": Ends(at[0], FREE)}))
        listener = stack.enter_context(Listener([hub.endpoints["events"].programs]))
        wait_until(lambda: bus.statistics()["events_subscriptions"] == 1)
        bus.publish_event(make_event(5))
        received = listener.receive(timeout_s=10)
        assert received is not None
        server = ReliableServer(journal, at[1])
        stack.callback(server.close)
        event = shop.receive(10)
        assert event is not None
        assert event.event.track_id == 1
