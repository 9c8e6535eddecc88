"""Failures in words: what FFmpeg says, and what a look at the network adds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import av
import pytest

from pipeline.condition import Reason
from pipeline.errors import SourceError
from streams.sources.network.failures import open_failure, read_failure
from streams.sources.network.protocols import Opening
from tests.streams.sources.network.playing import play

SECRET = "hunter22"


class Listener:
    """Accepts connections, says `answer` to the first words of each, and hangs up unless it is `silent`."""

    def __init__(self, answer: bytes = b"", *, silent: bool = False) -> None:
        self._answer, self._silent = answer, silent
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                connection.settimeout(0.3)
                if self._silent:
                    continue
                with suppress(TimeoutError):
                    connection.recv(100)
                with suppress(OSError):
                    connection.sendall(self._answer)
                connection.close()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)
        for connection in self._open:
            connection.close()


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    made: list[Listener] = []
    yield made
    for each in made:
        each.close()


def failed(url: str, **options: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        play(url, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    assert text.startswith(url.replace(f"ann:{SECRET}", "***").partition("?")[0])
    return caught.value


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp", "tcp", "rtsps", "https"])
def test_nothing_listens(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = failed(f"{scheme}://ann:{SECRET}@127.0.0.1:{port}/1")
    assert error.reason is Reason.CONNECTION_REFUSED
    assert f"nothing listens on port {port} there" in str(error)
    assert f"is {scheme.upper()} switched on?" in str(error)


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp"])
def test_an_unknown_host(scheme: str) -> None:
    error = failed(f"{scheme}://ann:{SECRET}@no-such-camera.invalid/1")
    assert error.reason is Reason.UNKNOWN_HOST
    assert "'no-such-camera.invalid' is not known" in str(error)


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "tcp", "http"])
def test_accepts_and_says_nothing(listeners: list[Listener], scheme: str) -> None:
    listeners.append(Listener(silent=True))
    start_s = time.monotonic()
    error = failed(f"{scheme}://ann:{SECRET}@127.0.0.1:{listeners[0].port}/1", timeout_s=0.3)
    assert error.reason is Reason.NO_ANSWER
    assert "accepts the connection, but sends nothing" in str(error)
    assert time.monotonic() - start_s < 5


@pytest.mark.parametrize(
    ("scheme", "answer", "reason"),
    [
        ("rtsp", b"", Reason.CLOSED),
        ("rtsp", b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.NOT_MEDIA),
        ("rtsp", b"SSH-2.0-OpenSSH_9.2\r\n", Reason.NOT_MEDIA),
        ("rtmp", b"", Reason.CLOSED),
        ("tcp", b"no video at all " * 1000, Reason.NOT_MEDIA),
        ("https", b"HTTP/1.1 200 OK\r\n\r\n", Reason.CLOSED),
    ],
)
def test_another_server(listeners: list[Listener], scheme: str, answer: bytes, reason: Reason) -> None:
    listeners.append(Listener(answer))
    assert failed(f"{scheme}://127.0.0.1:{listeners[0].port}/1", timeout_s=3.0).reason is reason


def test_nothing_arrives_by_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = failed(f"udp://127.0.0.1:{port}", timeout_s=0.3)
    assert error.reason is Reason.NO_ANSWER
    assert "nothing arrives" in str(error)


def test_srt_is_missing_from_the_wheel() -> None:
    if "srt" in getattr(av, "protocols_available", ()):
        pytest.skip("this FFmpeg speaks SRT")
    error = failed("srt://127.0.0.1:9999")
    assert error.reason is Reason.MISSING_PACKAGE
    assert "cannot speak srt://" in str(error)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (av.error.ExitError, Reason.NO_DATA),
        (av.error.TimeoutError, Reason.NO_DATA),
        (av.error.ConnectionResetError, Reason.CLOSED),
        (av.error.OSError, Reason.CLOSED),
        (av.error.InvalidDataError, Reason.CLOSED),
        (av.error.HTTPForbiddenError, Reason.FORBIDDEN),
    ],
)
def test_reading_fails(kind: type[av.FFmpegError], reason: Reason) -> None:
    error = read_failure("cam", kind(5, "words", f"rtsp://ann:{SECRET}@h/"), 3.0)
    assert error.reason is reason
    assert str(error).startswith("cam: ")
    assert SECRET not in str(error)


def test_what_nobody_foresaw_is_told_in_ffmpegs_words() -> None:
    how = Opening(f"udp://ann:{SECRET}@h:1", "udp", {}, 5.0, 5.0)
    error = open_failure("cam", av.error.PatchWelcomeError(1, "not implemented", how.url), how, 0.1)
    assert (str(error), error.reason) == ("cam: cannot be opened (not implemented)", Reason.FAILED)
