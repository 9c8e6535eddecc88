"""Small sources, stages and sinks of our own, to put the engine into every situation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import ConfigDict

from pipeline.config.schema import PluginConfig, StreamConfig
from pipeline.event import Event, Producer
from pipeline.frame import Frame, Gap
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture
from pipeline.plugin import Options, Sink, Source, Stage, StageContext, StreamInfo
from pipeline.secret import SecretUrl

RATE_HZ = 10.0


def frame(sequence: int, stream: str = "gate", run: str = "run") -> Frame:
    pts_s = sequence / RATE_HZ
    picture = BgrPicture(np.full((6, 8, 3), sequence % 256, np.uint8))
    return Frame(stream, run, sequence, Moment(pts_s, round(pts_s * 1e9), Clock.FILE, 0), picture)


class ScriptOptions(Options):
    """A list of what happens: "frame", "gap", or an exception to raise."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    script: tuple[Any, ...] = ("frame",) * 10
    open_error: Any = None
    close_error: Any = None


class ScriptSource(Source):
    """Does what its script says; `wait` in the script stops until the source is closed."""

    Options = ScriptOptions
    paced = False

    def __init__(self, url: SecretUrl | str, options: ScriptOptions, stream: str) -> None:
        super().__init__(url, options, stream)
        self.closed = threading.Event()

    def open(self) -> StreamInfo:
        if self.options.open_error:
            raise self.options.open_error
        return StreamInfo(self.stream, self.url, "run", 8, 6, live=self.paced)

    def read(self) -> Iterator[Frame | Gap]:
        sequence = 0
        for step in self.options.script:
            if step == "frame":
                yield frame(sequence, self.stream)
                sequence += 1
            elif step == "gap":
                yield Gap("decode error", sequence / RATE_HZ - 0.1 if sequence else None, 0.3, "bad packet")
            elif step == "wait":
                self.closed.wait(10)
                return
            elif callable(step):
                step()
            else:
                raise step

    def close(self) -> None:
        self.closed.set()
        if self.options.close_error:
            raise self.options.close_error


class PacedSource(ScriptSource):
    """Sets its own pace, as a camera does, but ends for good: nobody keeps it."""

    paced = True


class WorkOptions(Options):
    """What to do for each frame, and with how many at once."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    work: Callable[[Frame], None] | None = None
    batch: int = 1
    last_words: bool = False
    open_error: Any = None
    close_error: Any = None


class WorkStage(Stage):
    Options = WorkOptions

    def __init__(self, options: WorkOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self.batch = options.batch
        self.batches: list[int] = []
        self.closed = 0
        self._last: Frame | None = None

    def open(self, info: StreamInfo) -> None:
        if self.options.open_error:
            raise self.options.open_error

    def process_batch(self, frames: Sequence[Frame]) -> None:
        self.batches.append(len(frames))
        super().process_batch(frames)

    def process(self, frame: Frame) -> None:
        self._last = frame
        if self.options.work:
            self.options.work(frame)

    def finish(self) -> Sequence[Event]:
        if self.options.last_words and self._last:
            return [self._last.event("test.finish", "end", Producer("work"))]
        return ()

    def close(self) -> None:
        self.closed += 1
        if self.options.close_error:
            raise self.options.close_error


class ListSink(Sink):
    """Keeps what it is given, by stream, in the order of arrival."""

    def __init__(
        self,
        fail_at: int | None = None,
        error: Exception | None = None,
        close_error: Exception | None = None,
    ) -> None:
        self.got: dict[str, list[Frame | Event]] = {}
        self.closed: list[str] = []
        self._fail_at = fail_at
        self._error = error or OSError("disk on fire")
        self._close_error = close_error

    def open_stream(self, info: StreamInfo) -> None:
        self.got[info.stream] = []

    def on_event(self, event: Event) -> None:
        self.got[event.stream].append(event)

    def on_frame(self, frame: Frame) -> None:
        if frame.sequence == self._fail_at:
            raise self._error
        self.got[frame.stream].append(frame)

    def close_stream(self, stream: str) -> None:
        self.closed.append(stream)
        if self._close_error:
            raise self._close_error

    def frames(self, stream: str = "gate") -> list[int]:
        return [item.sequence for item in self.got[stream] if isinstance(item, Frame)]

    def kinds(self, stream: str = "gate") -> list[str]:
        return [item.kind for item in self.got[stream] if isinstance(item, Event)]


def stream_config(
    *stages: WorkOptions,
    script: Sequence[Any] = ("frame",) * 10,
    name: str = "gate",
    live: bool = False,
    policy: Any = None,
    open_error: Exception | None = None,
    close_error: Exception | None = None,
) -> StreamConfig:
    options = ScriptOptions(script=tuple(script), open_error=open_error, close_error=close_error)
    return StreamConfig(
        name=name,
        url=SecretUrl("script://"),
        source=PluginConfig("source", "script", PacedSource if live else ScriptSource, options),
        policy=policy,
        stages=tuple(PluginConfig("stage", f"work{i}", WorkStage, stage) for i, stage in enumerate(stages)),
        config_hash="c0ffee",
    )
