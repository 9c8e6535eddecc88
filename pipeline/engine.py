"""A whole run: every stream of a configuration, its sinks and its bus, from start to report."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.blame import blaming
from pipeline.bus import Bus
from pipeline.config.kinds import emitted_by
from pipeline.config.schema import BusConfig, Config
from pipeline.errors import SightlineError, SinkError
from pipeline.event import Event
from pipeline.file_sink import FileSink
from pipeline.metrics import MetricsServer
from pipeline.outbox import JournalOptions, Outbox, box_event
from pipeline.output import NamedSink
from pipeline.outputs import claimed, refuse_overwriting
from pipeline.packet_bus import BusPackets
from pipeline.packet_sink import PacketSink
from pipeline.plugin import EventSink, SinkContext
from pipeline.privacy.options import effective
from pipeline.report import run_report
from pipeline.shared import Shared
from pipeline.status import About, Beacon, one_line_of
from pipeline.stream import State, Stream

logger = logging.getLogger(__name__)


class Engine:
    """Builds everything that a configuration names, and runs it.

    Use it as a context manager; leaving it stops the streams and closes sinks and bus.

    Attributes:
        streams: in the order of the configuration.
        metrics: the server that Prometheus asks, None without.
        error: what went wrong outside of any stream, None so far.

    Args:
        config: a checked configuration.
        report: where the caller will write the report, so that nothing else is written there.
        clock: monotonic seconds, for the report.

    Raises:
        ConfigError: if a part cannot be built as configured, or results would overwrite inputs or each
            other.
        SinkError: if the output folder or an address of the bus cannot be had.
    """

    def __init__(
        self, config: Config, *, report: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config = config
        self._report = report
        self._claims = ExitStack()
        self.error: SightlineError | None = None
        self._clock = clock
        self._started: float | None = None
        self._ended: float | None = None
        self._done = threading.Event()
        self._left = len(config.streams)
        self._lock = threading.Lock()
        self._bus: Bus | None = None
        self._outbox: Outbox | None = None
        self._beacon: Beacon | None = None
        self._shared = Shared()
        self.metrics: MetricsServer | None = None
        self._sinks: list[NamedSink] = []
        self.streams: list[Stream] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        refuse_overwriting(self.config, self._report)
        bus = self.config.bus or BusConfig()
        if self.config.bus:
            places = (bus.place(name) for name in ("events", "frames", "packets"))
            self._bus = Bus(*places, curve=bus.curve, raw=bus.raw)
        # Streams first: a missing package or missing weights should leave no empty folder behind.
        served: dict[str, list[NamedSink]] = {stream.name: [] for stream in self.config.streams}
        self.streams = [
            Stream(
                stream,
                served[stream.name],
                self._bus,
                self._stream_ended,
                self._clock,
                self._shared,
                self.config.out,
                self._record,
                self.config.privacy,
                effective(bus.privacy, self.config.privacy) if bus.shows_pictures else None,
            )
            for stream in self.config.streams
        ]
        self._claims.enter_context(claimed(self.config.out))
        if self.config.metrics:
            self.metrics = MetricsServer(self.config.metrics, self.streams, self._journal_statistics)
        context = SinkContext(self.config.out, self._tell)
        for sink in self.config.sinks:
            with blaming(SinkError, f"sink '{sink.name}' cannot be made"):
                made: NamedSink = (sink.name, sink.plugin(sink.options, context))
            self._sinks.append(made)
            for name, sinks in served.items():
                if sink.serves(name):
                    sinks.append(made)
        self._copy_packets(served)
        fed = [(name, sink) for name, sink in self._sinks if isinstance(sink, EventSink)]
        if fed or bus.reliable or self.config.journal:
            options = self.config.journal or JournalOptions()
            emitted = emitted_by(self.config)
            self._outbox = Outbox(
                self.config.out, options, fed, self._announce, bus.reliable, bus.curve, emitted
            )
        if self._bus and bus.events:
            self._beacon = Beacon(self._bus, self.streams, bus.name, self._about)

    def _about(self) -> About:
        return About(one_line_of(self.error), self._outbox.statistics() if self._outbox else None)

    def _copy_packets(self, served: Mapping[str, Sequence[NamedSink]]) -> None:
        """Have the packets of each stream brought to the sinks that take them, and to the bus."""
        publishes = self._bus is not None and "packets" in self._bus.endpoints
        for stream in self.streams:
            takers = [
                (name, sink)
                for name, sink in served[stream.config.name]
                if isinstance(sink, PacketSink) and sink.needs_packets(sink.options)
            ]
            others = [BusPackets(self._bus)] if self._bus and publishes else []
            if takers or others:
                stream.copy_to(takers, others)

    def _tell(
        self, stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
    ) -> None:
        """Make an event of what a sink has to say."""
        for known in self.streams:
            if known.config.name == stream:
                known.tell(kind, data, evidence)
                return
        event = box_event(kind, data, evidence)
        self._record([event])
        self._announce(event)

    def _record(self, events: Sequence[Event]) -> None:
        if self._outbox:
            self._outbox.append(events)

    def _announce(self, event: Event) -> None:
        """Bring an event of no stream, which the journal has, to the files of the run and to the bus."""
        for name, sink in self._sinks:
            if isinstance(sink, FileSink) and sink.options.serve(event.stream):
                try:
                    sink.on_box_event(event)
                except Exception as error:  # the next that a stream writes tells it, too
                    logger.debug("sink '%s' has not written %s: %s", name, event.kind, error)
        if self._bus:
            self._bus.publish_event(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, tick: Callable[[], None] | None = None, tick_s: float = 0.2) -> dict[str, Any]:
        """Run until every stream has ended, and return the report.

        Args:
            tick: called every `tick_s` in this thread, e.g. to redraw a display.
            tick_s: seconds between two ticks.
        """
        self._started = self._clock()
        if self._outbox:
            self._outbox.start()
        if self._beacon:
            self._beacon.start()
        for stream in self.streams:
            stream.start()
        while not self._done.wait(tick_s):
            if tick:
                tick()
        if tick:
            tick()
        self._ended = self._clock()
        return self.report()

    def stop(self) -> None:
        """Ask every stream to end soon; what is on its way is finished. Safe in a signal handler."""
        for stream in self.streams:
            stream.stop()

    def close(self) -> None:
        """Stop what still runs, then close sinks and bus; safe more than once.

        Does not raise: what fails is kept in `error`, for the report and the exit code.
        """
        if self._started is not None:
            self.stop()
            for stream in self.streams:
                stream.join()
        if self._beacon:
            self._close("the states", self._beacon.close)
        if self._outbox:
            self._close("the journal", self._outbox.close)
        # Stages give back what they hold; this is for those of a run that never began.
        self._close("what stages share", self._shared.close)
        for name, sink in self._sinks:
            self._close(f"sink '{name}'", sink.close)
        if self._bus:
            self._close("the bus", self._bus.close)
        if self.metrics:
            self._close("the metrics", self.metrics.close)
        self._claims.close()

    def _close(self, part: str, close: Callable[[], None]) -> None:
        try:
            with blaming(SinkError, f"closing {part} failed"):
                close()
        except SightlineError as error:
            logger.debug("the run failed", exc_info=error)
            self.error = self.error or error

    @property
    def seconds(self) -> float:
        """Wall seconds since the start, up to the end of the last stream."""
        if self._started is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._started

    def report(self) -> dict[str, Any]:
        """Return the report as it stands; see `pipeline.report`."""
        return run_report(
            self.streams,
            config=str(self.config.path),
            config_hash=self.config.hash,
            seconds=self.seconds,
            error=self.error,
            journal=self._journal_statistics(),
        )

    def _journal_statistics(self) -> dict[str, Any] | None:
        return self._outbox.statistics() if self._outbox else None

    def exit_code(self) -> int:
        """Return 0 if all was done, 2 if a stream cannot run as configured, 1 for any other failure.

        A file that was stopped before its end counts as a failure, so that a script does not take half a
        count for a whole one; a live stream has no end and may be stopped.
        """
        errors = [error for error in (self.error, *(stream.error for stream in self.streams)) if error]
        if any(isinstance(error, SightlineError) and error.exit_code == 2 for error in errors):
            return 2
        unfinished = any(stream.state is State.STOPPED and not stream.live for stream in self.streams)
        return 1 if errors or unfinished else 0

    def _stream_ended(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._done.set()
