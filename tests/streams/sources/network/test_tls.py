"""Certificates: what is trusted, and what is said when it is not."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.condition import Reason
from pipeline.errors import SourceError
from tests.servers.footage import encoded
from tests.streams.sources.network.playing import play

PICTURES = 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that a camera has signed itself, and its key."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("needs the command openssl")
    folder = tmp_path_factory.mktemp("tls")
    shown, key = folder / "camera.pem", folder / "key.pem"
    line = [command, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"]
    line += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(shown)]
    subprocess.run(line, check=True, capture_output=True)
    return shown, key


@pytest.fixture(scope="module")
def url(certificate: tuple[Path, Path]) -> Iterator[str]:
    """A server that answers everything with a clip."""
    data = encoded(PICTURES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: {len(data)}\r\n\r\n"

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with plain, suppress(OSError):
                    plain.settimeout(5)
                    with context.wrap_socket(plain, server_side=True) as connection:
                        connection.recv(4096)
                        connection.sendall(head.encode() + data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}/clip.ts"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def test_a_stranger_is_not_trusted(url: str) -> None:
    with pytest.raises(SourceError, match="certificate is not trusted") as caught:
        play(url)
    assert caught.value.reason is Reason.REJECTED
    assert "'ca_file'" in str(caught.value)


def test_one_whose_certificate_is_known_is(url: str, certificate: tuple[Path, Path]) -> None:
    assert len(play(url, ca_file=certificate[0]).frames) == PICTURES


def test_trust_can_be_waived(url: str) -> None:
    assert len(play(url, verify_tls=False).frames) == PICTURES


def test_a_file_that_is_missing_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nosuch\.pem cannot be read"):
        play(url, ca_file=tmp_path / "nosuch.pem")
