"""A camera behind a wire, and what reads it: a bare source, or a whole stream with its keeper."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.backoff import KeeperOptions
from pipeline.config.schema import PluginConfig, StreamConfig
from pipeline.errors import SourceError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.keeper import SourceStatus
from pipeline.plugin import Sink, SinkContext, StreamInfo
from pipeline.secret import SecretUrl
from pipeline.stream import Stream
from streams.sources.network.options import NetworkOptions
from streams.sources.network.source import NetworkSource
from tests.servers.footprint import until
from tests.servers.proxy import FaultProxy
from tests.servers.rtsp import Mount, RtspServer, pattern

RATE_HZ = 25
CAMERA: dict[str, Mount] = {"/cam": pattern(rate=RATE_HZ, key_every=10)}
PATIENT = os.environ.get("SIGHTLINE_FAULTS") == "default"
"""True to measure with the time-outs that users have by default; the tests are quicker than that."""
KEEPER = (
    KeeperOptions()
    if PATIENT
    else KeeperOptions(
        connect_s=1.5, picture_s=2.0, stall_s=1.0, retry_s=0.1, retry_most_s=0.3, refused_retry_s=0.3
    )
)
SOURCE = NetworkOptions() if PATIENT else NetworkOptions(timeout_s=1.0)


class Rig:
    """An RTSP camera and a proxy before it; use it as a context manager.

    Attributes:
        camera: the server.
        proxy: between it and the source.
        path: what is asked for.
        login: "user:password@" or "".
    """

    def __init__(self, mounts: dict[str, Mount] | None = None) -> None:
        self.camera = RtspServer(mounts or CAMERA)
        self.path = "/cam"
        self.login = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.enter_context(self.camera)
            self.proxy = stack.enter_context(FaultProxy(self.camera.address))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """What the source is given."""
        return f"rtsp://{self.login}127.0.0.1:{self.proxy.port}{self.path}"

    def heal(self) -> None:
        """Undo everything: the camera is there, and the wire is sound; what hung on it is gone."""
        self.proxy.resume()
        self.proxy.accept()
        self.proxy.delay(0)
        self.proxy.throttle(None)
        self.proxy.corrupt(0)
        self.camera.resume()


class Bare:
    """One connection in a thread of its own, without an engine."""

    def __init__(self, url: str, options: NetworkOptions = SOURCE) -> None:
        self.source = NetworkSource(url, options, "bare")
        self.info: StreamInfo | None = None
        self.frames = 0
        self.error: BaseException | None = None
        self.ended_s: float | None = None
        self._thread = threading.Thread(target=self._work, name="bare", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self.info = self.source.open()
            for item in self.source.read():
                self.frames += isinstance(item, Frame)
        except BaseException as error:
            self.error = error
        finally:
            self.ended_s = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it has ended or failed."""
        return self.ended_s is not None

    def has_ended(self, seconds: float) -> None:
        """Wait for its end."""
        until(lambda: self.is_over, seconds, "the source ends")
        self._thread.join(1)

    @property
    def outcome(self) -> str:
        """The reason it failed with, or "ended"."""
        return str(self.error.reason) if isinstance(self.error, SourceError) else str(self.error or "ended")


class Arrivals(Sink):
    """Keeps when each frame came: run, media time, own time."""

    def __init__(self) -> None:
        super().__init__(None, SinkContext(Path()))
        self.frames: list[tuple[str, float, float]] = []
        self.sizes: list[tuple[int, int]] = []
        self.events: list[Event] = []

    def open_stream(self, info: StreamInfo) -> None:
        self.sizes.append((info.width, info.height))

    def on_frame(self, frame: Frame) -> None:
        self.frames.append((frame.run, frame.moment.pts_s, time.monotonic()))

    def on_event(self, event: Event) -> None:
        self.events.append(event)


class Running:
    """A stream of the engine over a live source, with all that is told of it."""

    def __init__(
        self,
        url: str,
        name: str = "cam",
        *,
        keeper: KeeperOptions = KEEPER,
        options: NetworkOptions = SOURCE,
        plugin: Any = NetworkSource,
        stages: tuple[PluginConfig, ...] = (),
        sink: Sink | None = None,
    ) -> None:
        source = PluginConfig("source", "rtsp", plugin, options)
        config = StreamConfig(name, SecretUrl(url), source, None, stages, "c0ffee", keeper)
        self.sink = Arrivals()
        self._done = threading.Event()
        self.stream = Stream(config, [("arrivals", sink or self.sink)], None, self._done.set)
        self.told: list[tuple[float, SourceStatus]] = []
        self._tell = self.stream._keeper._tell
        self.stream._keeper._tell = self._note
        self.stream.start()

    def _note(self, status: SourceStatus) -> None:
        self.told.append((time.monotonic(), status))
        self._tell(status)

    @property
    def status(self) -> SourceStatus:
        """Where the source stands."""
        status = self.stream.source
        assert status is not None
        return status

    def plays(self, seconds: float, frames: int = 5) -> float:
        """Wait until so many new frames have come; return how long the first of them took."""
        count, start_s = len(self.sink.frames), time.monotonic()
        until(lambda: len(self.sink.frames) >= count + frames, seconds, lambda: f"frames come; {self.status}")
        return self.sink.frames[count][2] - start_s

    def stop(self, seconds: float) -> float:
        """Stop the stream; return how long it took to end."""
        start_s = time.monotonic()
        self.stream.stop()
        assert time.monotonic() - start_s < SOURCE.timeout_s / 2, "stop returns at once"
        assert self._done.wait(seconds), "the stream ends"
        self.stream.join(1)
        return time.monotonic() - start_s


def record(fault: str, **found: object) -> None:
    """Add a line to the table that SIGHTLINE_FAULT_TABLE names, for the documentation."""
    path = os.environ.get("SIGHTLINE_FAULT_TABLE")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"fault": fault, **found}) + "\n")
