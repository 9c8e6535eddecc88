"""A sink `live` at work on a free port, fed by hand, and a client to ask it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from pipeline.frame import Frame
from pipeline.packet import Packet, PacketFormat
from pipeline.picture import U8Array
from pipeline.plugin import SinkContext, StreamInfo
from streams.sinks.live.options import LiveOptions
from streams.sinks.live.sink import LiveSink
from tests.pipeline.messages import make_frame
from tests.streams.sinks.live.material import coded

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """One sink with the stream "gate" open."""

    def __init__(self, sink: LiveSink) -> None:
        self.sink = sink
        address = urlsplit(sink.url)
        self.host, self.port = address.hostname or "", address.port or 0
        self._sent = 0

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """Open a connection that says nothing yet."""
        return socket.create_connection((self.host, self.port), PATIENCE_S)

    @contextmanager
    def watching(self, path: str) -> Iterator[socket.socket]:
        """Ask for something that does not end, over a connection with a small buffer."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            connection.settimeout(PATIENCE_S)
            connection.connect((self.host, self.port))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
            yield connection

    def open(self, *, live: bool = True, form: PacketFormat | None = None) -> None:
        """Open the stream, and its packets if they have a format."""
        self.sink.open_stream(StreamInfo("gate", "test", "run-1", 320, 240, live=live))
        if form is not None:
            self.sink.open_packets(form)

    def packets(self, packets: Sequence[Packet]) -> None:
        """Deliver packets at once."""
        for packet in packets:
            self.sink.on_packet(packet)

    def frame(self, bgr: U8Array | None = None, **fields: Any) -> Frame:
        """Deliver the next frame and return it."""
        frame = make_frame(
            self._sent, bgr=np.zeros((240, 320, 3), np.uint8) if bgr is None else bgr, **fields
        )
        self._sent += 1
        self.sink.on_frame(frame)
        return frame


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Site]:
    """Run a sink with these options."""
    sink = LiveSink(LiveOptions(**({"port": 0} | options)), SinkContext(folder))
    try:
        yield Site(sink)
    finally:
        sink.close()
        sink.close()


def filmed(pictures: int, begins: int = 0) -> tuple[PacketFormat, list[Packet]]:
    """Return live packets with a key frame a second."""
    form, packets = coded(begins + pictures)
    return replace(form, live=True), packets[begins:]


def addresses(playlist: str) -> list[str]:
    """Return what a playlist names, in order."""
    named = [line.partition('URI="')[2].partition('"')[0] or line for line in playlist.splitlines()]
    return [one for one in named if one and not one.startswith("#")]
