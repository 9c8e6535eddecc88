from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import SinkError
from streams.sinks.credentials import tls_context
from streams.sinks.restream.relay import Relay
from tests.servers.daemons import free_port
from tests.servers.footprint import until


class Server:
    """Listens on loopback and hands the first connection to a function, in a thread."""

    def __init__(self, serve: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._serve, self._context = serve, context
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._door, self._door.accept()[0] as raw:
            try:
                with self._context.wrap_socket(raw, server_side=True) if self._context else raw as link:
                    self._serve(link)
            except OSError:
                return

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()
        self._thread.join(5)


def echo(link: socket.socket) -> None:
    while data := link.recv(65536):
        link.sendall(data)


def through(relay: Relay, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as link:
        link.sendall(data)
        got = b""
        while len(got) < len(data):
            got += link.recv(65536)
        return got


def is_taken(link: socket.socket, data: bytes) -> bool:
    try:
        link.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def test_what_goes_in_comes_out_both_ways() -> None:
    with Server(echo) as server:
        relay = Relay("127.0.0.1", server.port, timeout_s=10)
        assert through(relay, bytes(range(256)) * 4000) == bytes(range(256)) * 4000
        assert relay.sent == 256 * 4000
        assert relay.is_clear(0)
        relay.close()
        relay.close()


def test_tls_is_checked_against_what_is_trusted(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(echo, context) as server:
        trusting = tls_context(certificate, verify=True)
        relay = Relay("localhost", server.port, timeout_s=10, context=trusting)
        assert through(relay, b"hello") == b"hello"
        relay.close()
    with Server(echo, context) as server, pytest.raises(SinkError, match="certificate is not trusted"):
        Relay("localhost", server.port, timeout_s=10, context=tls_context(None, verify=True))
    with Server(echo, context) as server:
        relay = Relay("localhost", server.port, timeout_s=10, context=tls_context(None, verify=False))
        assert through(relay, b"hello") == b"hello"
        relay.close()
    with (
        Server(
            lambda link: link.sendall(b"no TLS here"),
        ) as server,
        pytest.raises(SinkError, match="no TLS with it"),
    ):
        Relay("localhost", server.port, timeout_s=10, context=trusting)


@pytest.mark.parametrize(
    ("host", "complaint"),
    [("127.0.0.1", "nothing listens there"), ("no.such.host.invalid", "cannot be resolved")],
)
def test_a_server_that_is_not_there(host: str, complaint: str) -> None:
    with pytest.raises(SinkError, match=complaint):
        Relay(host, free_port(), timeout_s=10)


def test_a_server_that_stops_reading_is_left_and_whoever_writes_is_freed() -> None:
    release = threading.Event()

    def hang(link: socket.socket) -> None:
        release.wait(10)

    with Server(hang) as server:
        relay = Relay("127.0.0.1", server.port, timeout_s=0.3)
        with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as link:
            assert not is_taken(link, bytes(64 << 20))
        assert relay.failure == "it stopped reading for 0.3 s"
        assert relay.is_clear(5)
        release.set()
        relay.close()


def test_a_server_that_leaves_is_noticed() -> None:
    with Server(lambda link: None) as server:
        relay = Relay("127.0.0.1", server.port, timeout_s=1)
        with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as link:
            assert link.recv(1) == b""
        until(lambda: relay.failure, 5, "not noticed")
        assert relay.failure == "it closed the connection"
        relay.close()


def test_closing_frees_whoever_uses_it_at_once() -> None:
    with Server(echo) as server:
        relay = Relay("127.0.0.1", server.port, timeout_s=30)
        with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as link:
            begun_s = time.monotonic()
            threading.Timer(0.05, relay.close).start()
            with suppress(ConnectionResetError):
                assert link.recv(1) == b""
            assert time.monotonic() - begun_s < 2
        assert relay.failure == ""
