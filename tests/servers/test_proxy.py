from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.servers.proxy import FaultProxy


class Echo:
    """Answers every chunk with itself."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    echo = Echo()
    with FaultProxy(echo.address) as running:
        yield running
    echo.close()


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(proxy.address, timeout=5) as connection:
        assert said(connection, b"hello") == b"hello"
        yield connection


def said(connection: socket.socket, data: bytes, timeout_s: float = 5.0) -> bytes:
    connection.settimeout(timeout_s)
    connection.sendall(data)
    return connection.recv(65536)


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_it_forwards_and_counts(proxy: FaultProxy, client: socket.socket) -> None:
    assert (proxy.connections, proxy.open_connections) == (1, 1)
    client.close()
    until(lambda: proxy.open_connections == 0)
    assert proxy.connections == 1


def test_a_cut_ends_the_connection(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.cut()
    assert client.recv(10) == b""
    assert proxy.open_connections == 0


def test_a_cut_may_reset_it(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.cut(reset=True)
    with pytest.raises(ConnectionResetError):
        client.recv(10)


def test_a_stall_keeps_everything_back_until_it_ends(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.stall()
    with pytest.raises(TimeoutError):
        said(client, b"more", timeout_s=0.1)
    proxy.resume()
    client.settimeout(5)
    assert client.recv(10) == b"more"


def test_a_stall_may_come_in_the_middle(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.stall(after_bytes=3)
    assert said(client, b"abcdef") == b"abc"
    with pytest.raises(TimeoutError):
        said(client, b"", timeout_s=0.1)
    proxy.resume()
    client.settimeout(5)
    assert client.recv(10) == b"def"


def test_silence_takes_connections_and_says_nothing(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.silence()
    assert said(client, b"still here") == b"still here"
    with socket.create_connection(proxy.address, timeout=5) as other, pytest.raises(TimeoutError):
        said(other, b"hello", timeout_s=0.1)


def test_a_refused_port_can_be_opened_again(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.refuse()
    assert said(client, b"still here") == b"still here"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(proxy.address)
    proxy.accept()
    with socket.create_connection(proxy.address) as other:
        assert said(other, b"hello") == b"hello"


def test_half_closed_it_still_listens(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.half_close()
    assert client.recv(10) == b""
    client.sendall(b"heard")


def test_garbage_and_flipped_bytes(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.garbage(b"$%&")
    assert client.recv(10) == b"$%&"
    proxy.corrupt(1.0)
    assert all(got != 0 for got in said(client, bytes(20)))
    proxy.corrupt(0)
    assert said(client, bytes(20)) == bytes(20)


def test_delay_and_throttle(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.delay(0.05)
    start_s = time.monotonic()
    said(client, b"there and back")
    assert time.monotonic() - start_s >= 0.1
    proxy.delay(0)
    proxy.throttle(1000)
    start_s = time.monotonic()
    said(client, bytes(100))
    said(client, b"x")
    assert time.monotonic() - start_s >= 0.1


def test_it_leaves_neither_thread_nor_socket() -> None:
    before = threading.active_count()
    with (
        FaultProxy(("127.0.0.1", 9)) as running,
        socket.create_connection(running.address, timeout=5) as client,
    ):
        running.stall()
    with FaultProxy(("127.0.0.1", 9)) as running:
        running.silence()
        client = socket.create_connection(running.address, timeout=5)
        until(lambda: running.open_connections == 1)
    assert client.recv(10) == b""
    client.close()
    assert threading.active_count() <= before  # others may end meanwhile
