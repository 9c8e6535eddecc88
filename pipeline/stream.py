"""One stream at work: a capture, a compute and an output thread, with bounded channels between them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.ages import Ages
from pipeline.blame import blaming, one_line
from pipeline.bus import Bus
from pipeline.captured import Captured, Outgoing, lot_of
from pipeline.channel import Channel
from pipeline.compute import Compute, NamedStage
from pipeline.condition import SourceState
from pipeline.config.schema import StreamConfig
from pipeline.errors import SightlineError, SinkError, SourceError, StageError
from pipeline.feed import Feed
from pipeline.frame import Frame, Gap, joined
from pipeline.keeper import Keeper, SourceStatus
from pipeline.ledger import Ledger
from pipeline.notices import Notices
from pipeline.output import NamedSink, Output, Record
from pipeline.packet_sink import PacketSink
from pipeline.packets import Packets, Taker
from pipeline.plugin import Source, StageContext, StreamInfo
from pipeline.privacy.options import PrivacyOptions
from pipeline.shared import Shared
from pipeline.stopwatch import Stopwatch
from pipeline.tally import Tally

logger = logging.getLogger(__name__)

_CHANNEL_BYTES = 64 << 20
"""Most bytes that may wait in one channel: about twenty 1080p pictures, or five of 4K."""
_SPARE_FRAMES = 4
"""Live frames that may wait beyond one batch: enough to ride out jitter, few enough to stay fresh."""
_EVENT_BYTES = 1 << 10
_FEEDS_END_S = 15.0
"""How long the sinks of packets may take to their end."""


class State(StrEnum):
    """Where a stream stands."""

    OPENING = "opening"
    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    FAILED = "failed"


class Stream:
    """Runs one configured stream until its source ends, it fails, or `stop` is called.

    Nothing a stream does can stop another: an error ends this stream and is kept in `error`, and every frame
    is accounted for in `ledger` however it ends. A live source that is lost is kept (see `Keeper`); another
    one that fails leaves what it delivered to be finished and counted. A stage or sink that fails ends the
    stream at once.

    Args:
        config: the stream's checked configuration.
        sinks: shared with the other streams.
        bus: shared publisher, or None.
        on_end: called once when all three threads are done.
        clock: monotonic seconds, for the report.
        shared: what the stages of all streams have in common; its own when None.
        folder: where stages may write files, None for nowhere.
        record: writes events down before anybody sees them, None for nowhere.
        privacy: what is hidden in pictures where nothing else is said.
        bus_privacy: what is hidden from those who look at the bus.

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
        shared: Shared | None = None,
        folder: Path | None = None,
        record: Record | None = None,
        privacy: PrivacyOptions | None = None,
        bus_privacy: PrivacyOptions | None = None,
    ) -> None:
        self.config = config
        self.ledger = Ledger()
        self.tally = Tally()
        self.stopwatch = Stopwatch()
        self.ages = Ages()
        self.error: SightlineError | None = None
        self._on_end = on_end
        self._clock = clock
        self._started_s: float | None = None
        self._ended_s: float | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._pending: Gap | None = None
        self._opened: Future[StreamInfo | None] = Future()
        context = StageContext(config.name, config.config_hash, shared or Shared(), folder, privacy)
        self._copies = False
        self._packets = Packets(())
        self._feeds: list[Feed] = []
        self._stages: list[NamedStage] = []
        for step in config.stages:
            with blaming(StageError, f"stream '{config.name}': stage '{step.name}' cannot be made"):
                self._stages.append((step.name, step.plugin(step.options, context)))
        with blaming(SourceError, f"stream '{config.name}': its source cannot be made"):
            first = self._first = self._make_source()
        self._is_live = first.live
        self._keeper = Keeper(
            first,
            self._make_source,
            opened=self._source_opened,
            deliver=self._accept,
            tell=self._source_is,
            options=config.keeper,
        )
        batch = self._batch = max((stage.batch for _, stage in self._stages), default=1)
        self._to_compute: Channel[Captured] = Channel(
            config.policy or "every",
            capacity_items=batch + _SPARE_FRAMES,
            capacity_bytes=_CHANNEL_BYTES,
            weigh=lambda item: item.frame.picture.nbytes,
            on_drop=self._superseded,
        )
        self._to_output: Channel[Outgoing] = Channel(
            "every",
            capacity_items=batch + _SPARE_FRAMES,
            capacity_bytes=_CHANNEL_BYTES,
            weigh=lambda item: item.picture.nbytes if isinstance(item, Frame) else _EVENT_BYTES,
            on_drop=_never,
        )
        self._compute = Compute(config, self._stages, batch, self._to_compute, self._to_output, self)
        self._output = Output(
            config.name, sinks, bus, self._to_output, self, record, privacy, bus_privacy, self._sink_is
        )
        self._notices = Notices(config.name, config.config_hash, self._to_output, self._output)
        work = {"capture": self._capture, "compute": self._run_compute, "output": self._run_output}
        self._threads = [
            threading.Thread(target=target, name=f"{config.name}-{label}", daemon=True)
            for label, target in work.items()
        ]
        self._at_work = len(self._threads)

    def copy_to(self, sinks: Sequence[tuple[str, PacketSink]], others: Sequence[Taker] = ()) -> None:
        """Have the source's packets copied to these sinks, and to others who take them; before `start`."""
        self._feeds = [Feed(name, self.config.name, sink, self._sink_is) for name, sink in sinks]
        self._packets = Packets([*self._feeds, *others])
        self._copies = True
        self._first.tap = self._packets.tap()

    def start(self) -> None:
        """Start the three threads, and one for each sink that takes packets."""
        self._started_s = self._clock()
        for feed in self._feeds:
            feed.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask the source to end soon; what is on its way is finished. Returns at once."""
        if self._at_work:
            self._stopping = True
            self._stop_source()

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
        """What is known of the stream as it was first opened; None before, or if it could not be opened."""
        return self._opened.result() if self._opened.done() else None

    @property
    def live(self) -> bool:
        """True when the source sets the pace, so that the stream has no end of its own."""
        return self.info.live if self.info else self._is_live

    @property
    def source(self) -> SourceStatus | None:
        """Where a live stream's source stands; None for files, which are there or are not."""
        return self._keeper.status if self._is_live else None

    @property
    def media_span_s(self) -> tuple[float, float] | None:
        """Media time of the first and the latest finished frame."""
        return self._output.media_span_s

    def tell(self, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None) -> None:
        """Make an event of what a sink has to say of this stream; from any thread, without waiting."""
        if not self._notices.tell(kind, data, evidence):
            logger.error(
                "stream '%s': too much to tell at once; left out: %s %s", self.config.name, kind, data
            )

    def packet_statistics(self) -> dict[str, dict[str, Any]]:
        """Return what each sink of packets has taken and lost, by its name."""
        return {feed.name: feed.statistics() for feed in self._feeds}

    def file_statistics(self) -> dict[str, dict[str, Any]]:
        """Return of each sink that writes files of the run whether it can, and what it left out."""
        return self._output.outages.statistics()

    def stage_statistics(self) -> dict[str, dict[str, Any]]:
        """Return what each stage says of its work, by its name; stages that say nothing are left out."""
        said: dict[str, dict[str, Any]] = {}
        for name, stage in self._stages:
            try:
                said[name] = dict(stage.statistics())
            except Exception as error:  # a report must not fail by what a plug-in says of itself
                said[name] = {"error": one_line(error)}
        return {name: values for name, values in said.items() if values}

    def fail(self, error: BaseException) -> None:
        """Keep the first error and end the source; the log has all errors, with their traces."""
        self._note(error)
        self._stop_source()

    def _note(self, error: BaseException) -> None:
        logger.debug("stream '%s' failed", self.config.name, exc_info=error)
        if not isinstance(error, SightlineError):
            error = SightlineError(f"unexpected {one_line(error)}")
        with self._lock:
            self.error = self.error or error

    def _make_source(self) -> Source:
        config = self.config.source
        source: Source = config.plugin(self.config.url, config.options, self.config.name)
        if self._copies:
            source.tap = self._packets.tap()
        return source

    def _stop_source(self) -> None:
        """Stop the keeper; should closing the source fail, so has the stream, but its threads still end."""
        try:
            with blaming(SourceError, "closing the source failed"):
                self._keeper.stop()
        except BaseException as error:
            self._note(error)

    def _capture(self) -> None:
        try:
            self._keeper.run()
        except BaseException as error:
            if not self._stopping:  # a source that is closed while it opens or reads may well complain
                self._note(error)
        finally:
            self._compute.trailing_gap = self._pending
            _resolve(self._opened)
            self._stop_source()
            self._packets.over()
            self._to_compute.close()
            self._leave()

    def _run_compute(self) -> None:
        try:
            info = self._opened.result()
            if info is not None:
                self._compute.run(info, full=self._to_compute.policy == "every" and not info.live)
        except BaseException as error:
            self.fail(error)
            self.ledger.drop("compute", "stream failed", len(self._to_compute.abort()))
        finally:
            self._finish_feeds()
            self._to_output.close()
            for failure in self._compute.close():
                self._note(failure)
            self._leave()

    def _finish_feeds(self) -> None:
        """Let the sinks of packets take what is left, while what they tell can still be delivered."""
        ends_s = time.monotonic() + _FEEDS_END_S
        for feed in self._feeds:
            if not feed.close(max(0.0, ends_s - time.monotonic())):
                self._note(SinkError(f"sink '{feed.name}' did not come to its end; its last file may be cut"))
            elif feed.trouble and not self.live:
                self._note(SinkError(f"sink '{feed.name}' failed: {feed.trouble}"))

    def _run_output(self) -> None:
        try:
            self._output.run()
        except BaseException as error:
            self.fail(error)
            self.ledger.drop("compute", "stream failed", len(self._to_compute.abort()))
            left = sum(isinstance(item, Frame) for item in self._to_output.abort())
            self.ledger.drop("output", "stream failed", left)
        finally:
            for failure in self._output.close():
                self._note(failure)
            self._leave()

    def _source_opened(self, info: StreamInfo) -> None:
        self._notices.run = info.run
        if not self._opened.done():
            # Only an open source knows whether it is a camera or a recording on a server.
            self._to_compute.policy = self.config.policy or ("latest" if info.live else "every")
            if not info.live:  # one lot is filled while another is worked on
                lot = lot_of(info, self._batch)
                self._to_compute.capacity_items, self._to_output.capacity_items = lot, lot
            self._opened.set_result(info)

    def _accept(self, info: StreamInfo, item: Frame | Gap) -> bool:
        """Take what the source has delivered; False when nobody processes it any more."""
        if isinstance(item, Gap):
            self._pending = joined(self._pending, item)
            return True
        item.gap = joined(self._pending, item.gap)
        self._pending = None
        self._packets.placed(item)
        self.ledger.capture()
        if self._to_compute.put(Captured(info, item)):
            return True
        self.ledger.drop("capture", "stream failed" if self.error else "stopped")
        return False

    def _superseded(self, dropped: Captured, following: Captured) -> None:
        """Account for a live frame that a newer one replaced; the gap it announced is handed on."""
        self.ledger.drop("capture", "newer frame")
        following.frame.gap = joined(dropped.frame.gap, following.frame.gap)

    def _source_is(self, status: SourceStatus) -> None:
        if status.state in (SourceState.LOST, SourceState.REFUSED):
            self._packets.over()  # who copies finishes now, not when the camera is back
        if self._is_live:
            self._notices.source_is(status)

    def _sink_is(self, data: Mapping[str, Any]) -> None:
        self.tell("sink.state", data)

    def _leave(self) -> None:
        with self._lock:
            self._at_work -= 1
            last = self._at_work == 0
            if last:
                self._ended_s = self._clock()
        if last:
            self._on_end()


def _never(dropped: Outgoing, following: Outgoing) -> None:
    raise AssertionError(f"an output channel dropped {dropped} for {following}")


def _resolve(future: Future[StreamInfo | None]) -> None:
    """Let those who wait go on with nothing when nothing came."""
    if not future.done():
        future.set_result(None)
