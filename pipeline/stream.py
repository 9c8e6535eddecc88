"""One stream at work: a capture, a compute and an output thread, with bounded channels between them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from enum import StrEnum
from functools import partial

from pipeline.bus import Bus
from pipeline.channel import Channel, Policy
from pipeline.config.schema import StreamConfig
from pipeline.errors import SightlineError, SinkError, SourceError, StageError
from pipeline.event import Event, Producer
from pipeline.frame import Frame, Gap
from pipeline.ledger import Ledger
from pipeline.plugin import Sink, Source, Stage, StageContext, StreamInfo
from pipeline.secret import without_credentials
from pipeline.stopwatch import Stopwatch
from pipeline.tally import Tally

logger = logging.getLogger(__name__)

_CHANNEL_BYTES = 64 << 20
"""Most bytes that may wait in one channel: about twenty 1080p pictures, or five of 4K."""
_SPARE_FRAMES = 4
"""Frames that may wait beyond one batch: enough to ride out jitter, few enough to stay fresh."""


class State(StrEnum):
    """Where a stream stands."""

    OPENING = "opening"
    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    FAILED = "failed"


NamedSink = tuple[str, Sink]
NamedStage = tuple[str, Stage]
"""A part with the name it has in the configuration."""


class Stream:
    """Runs one configured stream until its source ends, it fails, or `stop` is called.

    Nothing a stream does can stop another: an error ends this stream and is kept in `error`, and every frame
    is accounted for in `ledger` however it ends. A source that fails leaves what it delivered to be finished
    and counted; a stage or sink that fails ends the stream at once.

    Args:
        config: the stream's checked configuration.
        sinks: shared with the other streams.
        bus: shared publisher, or None.
        on_end: called once when all three threads are done.
        clock: monotonic seconds, for the report.

    Raises:
        ConfigError: if a stage cannot be built (missing weights, a missing package).
    """

    def __init__(
        self,
        config: StreamConfig,
        sinks: Sequence[NamedSink],
        bus: Bus | None,
        on_end: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.ledger = Ledger()
        self.tally = Tally()
        self.stopwatch = Stopwatch()
        self.error: SightlineError | None = None
        self.media_span_s: tuple[float, float] | None = None
        self._sinks = sinks
        self._bus = bus
        self._on_end = on_end
        self._clock = clock
        self._started_s: float | None = None
        self._ended_s: float | None = None
        context = StageContext(config.name, config.config_hash)
        self._stages: list[NamedStage] = []
        for step in config.stages:
            with blaming(StageError, f"stream '{config.name}': stage '{step.name}' cannot be made"):
                self._stages.append((step.name, step.plugin(step.options, context)))
        with blaming(SourceError, f"stream '{config.name}': its source cannot be made"):
            self._source: Source = config.source.plugin(config.url, config.source.options, config.name)
        self._policy: Policy = config.policy or ("latest" if self._source.live else "every")
        self._batch = max((stage.batch for _, stage in self._stages), default=1)
        self._opened: Future[StreamInfo | None] = Future()
        self._prepared: Future[StreamInfo | None] = Future()
        self._lock = threading.Lock()
        self._stopping = False
        self._trailing_gap: Gap | None = None
        self._trailing_events: list[Event] = []
        self._to_compute = self._channel(self._policy)
        self._to_output = self._channel("every")
        self._threads = [
            threading.Thread(target=work, name=f"{config.name}-{label}", daemon=True)
            for label, work in (
                ("capture", self._capture),
                ("compute", self._compute),
                ("output", self._output),
            )
        ]
        self._at_work = len(self._threads)

    def start(self) -> None:
        """Start the three threads."""
        self._started_s = self._clock()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask the source to end soon; what is on its way is finished. Returns at once."""
        if self._at_work:
            self._stopping = True
            self._close_source()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the threads, each for at most `timeout_s`."""
        for thread in self._threads:
            thread.join(timeout_s)

    @property
    def state(self) -> State:
        """Where the stream stands."""
        if self._at_work:
            return State.RUNNING if self.info else State.OPENING
        if self.error:
            return State.FAILED
        return State.STOPPED if self._stopping else State.ENDED

    @property
    def seconds(self) -> float:
        """Wall seconds from the stream's start to its end, or until now; 0 before it was started."""
        if self._started_s is None:
            return 0.0
        return (self._clock() if self._ended_s is None else self._ended_s) - self._started_s

    @property
    def info(self) -> StreamInfo | None:
        """What is known of the stream; None until its source is open, or if it could not be opened."""
        return self._opened.result() if self._opened.done() else None

    @property
    def live(self) -> bool:
        """True when the source sets the pace, so that the stream has no end of its own."""
        return self._source.live

    def _capture(self) -> None:
        try:
            with blaming(SourceError, "the source failed"):
                self._opened.set_result(self._source.open())
                self._read()
        except BaseException as error:
            if not self._stopping:  # a source that is closed while it opens or reads may well complain
                self._fail(error)
        finally:
            _resolve(self._opened)
            self._close_source()
            self._to_compute.close()
            self._leave()

    def _read(self) -> None:
        pending: Gap | None = None
        items = self._source.read()
        while True:
            with self.stopwatch.measure("capture", frames=1):
                item = next(items, None)
            if item is None:
                return
            if isinstance(item, Gap):
                self._trailing_gap = pending = _merged(pending, item)
                continue
            item.gap = _merged(pending, item.gap)
            self._trailing_gap = pending = None
            self.ledger.capture()
            if not self._to_compute.put(item):
                self.ledger.drop("capture", "stream failed")
                return

    def _compute(self) -> None:
        try:
            info = self._opened.result()
            if info is None:
                return
            for name, stage in self._stages:
                with blaming(StageError, f"stage '{name}' failed to open"):
                    stage.open(info)
            self._prepared.set_result(info)
            last: Frame | None = None
            full_batches = self._policy == "every" and not self.live
            while batch := self._to_compute.take(self._batch, fill=full_batches):
                self._process(batch)
                last = batch[-1]
                for index, frame in enumerate(batch):
                    if not self._to_output.put(frame):
                        self.ledger.drop("compute", "stream failed", len(batch) - index)
                        return
            if last is not None:
                self._wind_up(last)
        except BaseException as error:
            self._fail(error)
            self._close_source()
            self.ledger.drop("compute", "stream failed", len(self._to_compute.abort()))
        finally:
            _resolve(self._prepared)
            self._to_output.close()
            for name, stage in self._stages:
                self._close(StageError, f"stage '{name}'", stage.close)
            self._leave()

    def _process(self, batch: list[Frame]) -> None:
        step = "compute"
        try:
            for frame in batch:
                if frame.gap:
                    frame.events.append(self._gap_event(frame, frame.gap, f"{frame.sequence}"))
            where = f"failed at frame {batch[0].sequence} ({batch[0].moment.pts_s:.2f} s)"
            for step, stage in self._stages:
                with self.stopwatch.measure(step, len(batch)), blaming(StageError, f"stage '{step}' {where}"):
                    for start in range(0, len(batch), stage.batch):
                        stage.process_batch(batch[start : start + stage.batch])
        except BaseException:
            self.ledger.drop(step, "error", len(batch))
            raise

    def _wind_up(self, last: Frame) -> None:
        """Collect what is certain only now that the stream has ended."""
        if self._trailing_gap:
            self._trailing_events.append(self._gap_event(last, self._trailing_gap, "end"))
        for name, stage in self._stages:
            with self.stopwatch.measure(name), blaming(StageError, f"stage '{name}' failed at the end"):
                self._trailing_events.extend(stage.finish())

    def _gap_event(self, frame: Frame, gap: Gap, key: str) -> Event:
        moment = frame.moment
        if gap.after_s is not None:
            moment = moment.shifted(gap.after_s - moment.pts_s)
        return frame.event(
            "stream.gap",
            key,
            Producer("engine", config_hash=self.config.config_hash),
            moment=moment,
            data={"cause": gap.cause, "after_s": gap.after_s, "seconds": gap.seconds, "detail": gap.detail},
        )

    def _output(self) -> None:
        opened: list[NamedSink] = []
        try:
            info = self._prepared.result()
            if info is None:
                return
            for name, sink in self._sinks:
                with blaming(SinkError, f"sink '{name}' failed to open"):
                    sink.open_stream(info)
                opened.append((name, sink))
            while taken := self._to_output.take():
                self._deliver(taken[0])
            for event in self._trailing_events:
                self._announce(event)
        except BaseException as error:
            self._fail(error)
            self._close_source()
            self.ledger.drop("compute", "stream failed", len(self._to_compute.abort()))
            self.ledger.drop("output", "stream failed", len(self._to_output.abort()))
        finally:
            for name, sink in opened:
                self._close(SinkError, f"sink '{name}'", partial(sink.close_stream, self.config.name))
            self._leave()

    def _deliver(self, frame: Frame) -> None:
        try:
            self.tally.expect(frame.counts)
            for event in frame.events:
                self._announce(event)
            for name, sink in self._sinks:
                with self.stopwatch.measure(name, frames=1), blaming(SinkError, f"sink '{name}' failed"):
                    sink.on_frame(frame)
            if self._bus and self._bus.wants_frames(frame.stream):
                with self.stopwatch.measure("publish", frames=1):
                    self._bus.publish_frame(frame)
        except BaseException:
            self.ledger.drop("output", "error")
            raise
        first_s = self.media_span_s[0] if self.media_span_s else frame.moment.pts_s
        self.media_span_s = (first_s, frame.moment.pts_s)
        self.ledger.finish()

    def _announce(self, event: Event) -> None:
        self.tally.add(event)
        for name, sink in self._sinks:
            with self.stopwatch.measure(name), blaming(SinkError, f"sink '{name}' failed"):
                sink.on_event(event)
        if self._bus:
            self._bus.publish_event(event)

    def _close_source(self) -> None:
        self._close(SourceError, "the source", self._source.close)

    def _close(self, kind: type[SightlineError], part: str, close: Callable[[], None]) -> None:
        """Close one part; should that fail, the stream has failed, but its threads still end."""
        try:
            with blaming(kind, f"closing {part} failed"):
                close()
        except BaseException as error:
            self._fail(error)

    def _channel(self, policy: Policy) -> Channel[Frame]:
        return Channel(
            policy,
            capacity_items=self._batch + _SPARE_FRAMES,
            capacity_bytes=_CHANNEL_BYTES,
            weigh=lambda frame: frame.picture.nbytes,
            on_drop=self._superseded,
        )

    def _superseded(self, dropped: Frame, following: Frame) -> None:
        """Account for a live frame that a newer one replaced; the gap it announced is handed on."""
        self.ledger.drop("capture", "newer frame")
        following.gap = _merged(dropped.gap, following.gap)

    def _fail(self, error: BaseException) -> None:
        """Keep the first error; the log has all of them, with their traces."""
        logger.debug("stream '%s' failed", self.config.name, exc_info=error)
        if not isinstance(error, SightlineError):
            error = SightlineError(f"unexpected {_one_line(error)}")
        with self._lock:
            self.error = self.error or error

    def _leave(self) -> None:
        with self._lock:
            self._at_work -= 1
            last = self._at_work == 0
            if last:
                self._ended_s = self._clock()
        if last:
            self._on_end()


@contextmanager
def blaming(kind: type[SightlineError], what: str) -> Iterator[None]:
    """Turn whatever a plug-in raises into one line that says whose failure it is; our own errors pass."""
    try:
        yield
    except SightlineError:
        raise
    except Exception as error:
        raise kind(f"{what}: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return without_credentials(" ".join(f"{type(error).__name__}: {error}".split()))


def _resolve(future: Future[StreamInfo | None]) -> None:
    """Let those who wait go on with nothing when nothing came."""
    if not future.done():
        future.set_result(None)


def _merged(first: Gap | None, second: Gap | None) -> Gap | None:
    """Join two gaps with no frame between them; None stands for no gap."""
    if first is None or second is None:
        return first or second
    known = first.seconds is not None and second.seconds is not None
    return Gap(
        first.cause if first.cause == second.cause else f"{first.cause}, {second.cause}",
        first.after_s,
        (first.seconds or 0.0) + (second.seconds or 0.0) if known else None,
        first.detail if first.detail == second.detail else f"{first.detail}; {second.detail}".strip("; "),
    )
