"""A camera made by hand, and a player, for tests of what is between them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture, U8Array
from pipeline.plugin import SinkContext, StreamInfo
from streams.sinks.encoder import Encoder, Encoding
from streams.sinks.restream.options import PushOptions
from streams.sinks.restream.sink import PushSink
from tests.servers.barcode import Stamp, read_barcode, write_barcode
from tests.servers.footprint import until

WIDTH, HEIGHT, RATE_HZ = 320, 240, 25


def picture(number: int, size: tuple[int, int] = (WIDTH, HEIGHT), *, noise: bool = False) -> U8Array:
    """Return a picture, (H, W, 3) uint8, that carries the time and a number; noise makes it large."""
    grey = np.full((size[1], size[0]), 120, np.uint8)
    if noise:
        grey[:] = np.random.default_rng(number).integers(0, 255, grey.shape, np.uint8)
    grey[100 + number % 100 :, number % 200 :][:20, :20] = 220
    write_barcode(grey, Stamp(time.time_ns(), number))
    return np.repeat(grey[:, :, None], 3, axis=2)


class Camera:
    """Gives a sink packets, or pictures, at the pace of a camera, from a thread.

    Args:
        sink: what takes them.
        key_every: packets from one key frame to the next.
        codec: of the packets.
    """

    def __init__(
        self, sink: PushSink, *, key_every: int = 10, codec: str = "h264", stream: str = "gate"
    ) -> None:
        self.sink = sink
        self.number = 0
        self.slowest_s = 0.0
        self._key_every = key_every
        self._codec = codec
        self.noise = False
        self._stream = stream
        self._runs = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._first_s = time.monotonic()

    def start(self, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        self._stop.clear()
        self._runs += 1
        run = f"run-{self._runs}"
        work = self._copy if self.sink.needs_packets(self.sink.options) else self._draw
        self._thread = threading.Thread(target=work, args=(run, size), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _moments(self) -> Any:
        begun_s, count = time.monotonic(), 0
        while not self._stop.wait(max(0.0, begun_s + count / RATE_HZ - time.monotonic())):
            yield Moment(time.monotonic() - self._first_s, time.time_ns(), Clock.ARRIVAL)
            count += 1
            self.number += 1

    def _copy(self, run: str, size: tuple[int, int]) -> None:
        encoder = Encoder(self._stream, run, *size, Encoding(codec=self._codec))
        self.sink.open_packets(encoder.form)
        for count, moment in enumerate(self._moments()):
            key = count % self._key_every == 0
            packet = encoder.encode(picture(self.number, size, noise=self.noise), moment, key=key)
            self._timed(lambda packet=packet: self.sink.on_packet(packet))
        self.sink.close_packets(self._stream)

    def _draw(self, run: str, size: tuple[int, int]) -> None:
        info = StreamInfo(self._stream, "test", run, *size, live=True, rate_hz=RATE_HZ)
        self.sink.open_stream(info)
        for count, moment in enumerate(self._moments()):
            frame = Frame(
                self._stream, run, count, moment, BgrPicture(picture(self.number, size, noise=self.noise))
            )
            self._timed(lambda frame=frame: self.sink.on_frame(frame))
        self.sink.close_stream(self._stream)

    def _timed(self, act: Callable[[], None]) -> None:
        begun_s = time.monotonic()
        act()
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun_s)


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as a player got it: what it says (None: no barcode, the stand-in), its times, its size."""

    stamp: Stamp | None
    time_ns: int
    pts_s: float
    size: tuple[int, int]


class Player:
    """Reads what it can from a URL, or from who connects to a socket, in a thread, again and again."""

    def __init__(
        self, source: str | socket.socket, container: str | None = None, patience_s: float = 1.0
    ) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self._source = source
        self._container = container
        self._patience_s = patience_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def numbers(self) -> list[int | None]:
        return [seen.stamp.number if seen.stamp else None for seen in list(self.seen)]

    def has(self, check: Callable[[Seen], bool], since: int = 0) -> bool:
        return any(check(seen) for seen in list(self.seen)[since:])

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._stop.is_set():
            with suppress(av.FFmpegError, OSError):
                self._read()
            self._stop.wait(0.05)

    def _read(self) -> None:
        if isinstance(self._source, str):
            self._show(self._source)
        else:
            self._source.settimeout(0.2)
            link = self._source.accept()[0]
            link.settimeout(0.5)
            with link, link.makefile("rb", buffering=0) as file:
                self._show(file)

    def _show(self, source: Any) -> None:
        quick = {"probesize": "32768", "analyzeduration": "1", "fflags": "nobuffer"}
        with av.open(
            source, format=self._container, timeout=(3, self._patience_s), options=quick
        ) as container:
            self.connections += 1
            for frame in container.decode(video=0):
                stamp = read_barcode(frame.to_ndarray(format="gray"))
                if stamp is not None and not stamp.time_ns:  # all dark: the stand-in
                    stamp = None
                pts_s = float((frame.pts or 0) * frame.time_base)
                size = (frame.width, frame.height)
                self.seen.append(Seen(stamp, time.time_ns(), pts_s, size))
                if self._stop.is_set():
                    return


class Stage:
    """A sink with what it told; use it as a context manager."""

    def __init__(self, folder: Path, url: str, **options: Any) -> None:
        self.told: list[Mapping[str, Any]] = []
        settings = {"timeout_s": 1.0, "stub_after_s": 0.5, **options, "url": url}
        self.sink = PushSink(PushOptions.model_validate(settings), SinkContext(folder, self._tell))
        self.camera = Camera(self.sink)
        self._players: list[Player] = []

    def player(
        self, source: str | socket.socket, container: str | None = None, patience_s: float = 1.0
    ) -> Player:
        player = Player(source, container, patience_s)
        self._players.append(player)
        return player

    def pusher(self) -> Any:
        return self.sink._copied["gate"][1]

    def assert_held_up_nobody(self) -> None:
        """See that the camera never waited for the server, which would have been for its whole time-out."""
        assert self.camera.slowest_s < 0.9 * self.sink.options.timeout_s

    def states(self) -> list[str]:
        return [str(data["state"]) for data in list(self.told)]

    def _tell(
        self, stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
    ) -> None:
        assert (stream, kind) == (self.camera._stream, "sink.state")
        assert kind in PushSink.emits
        self.told.append(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.camera.stop()
        begun_s = time.monotonic()
        self.sink.close()
        took_s = time.monotonic() - begun_s
        for player in self._players:
            player.stop()
        assert took_s < 5, f"the sink took {took_s:.1f} s to close"


def wait_for(check: Callable[[], bool], player: Player | None = None, seconds: float = 15.0) -> None:
    until(check, seconds, lambda: f"seen {len(player.seen)}: {player.numbers()[-30:]}" if player else "")
