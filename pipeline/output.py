"""The output thread of one stream: hands events and frames to the sinks and the bus, in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.blame import blaming
from pipeline.bus import Bus
from pipeline.captured import Outgoing
from pipeline.channel import Channel
from pipeline.compute import Books
from pipeline.errors import SightlineError, SinkError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import Sink, StreamInfo
from pipeline.tally import Tally

logger = logging.getLogger(__name__)

Record = Callable[[Sequence[Event]], None]
NamedSink = tuple[str, Sink]
"""A sink with the name it has in the configuration."""


class OutputBooks(Books, Protocol):
    """Where the output enters what it delivered."""

    tally: Tally


class Output:
    """Delivers what comes through its channel.

    Attributes:
        media_span_s: media time of the first and the latest delivered frame, None before.

    Args:
        stream: name of the stream.
        sinks: shared with the other streams.
        bus: shared publisher, or None.
        items: what to deliver.
        books: of the stream.
        record: writes events down before anybody sees them; None for nowhere.
    """

    def __init__(
        self,
        stream: str,
        sinks: Sequence[NamedSink],
        bus: Bus | None,
        items: Channel[Outgoing],
        books: OutputBooks,
        record: Record | None = None,
    ) -> None:
        self._stream = stream
        self._sinks = sinks
        self._bus = bus
        self._items = items
        self._books = books
        self._record = record
        self._open: list[NamedSink] = []
        self.media_span_s: tuple[float, float] | None = None

    def run(self) -> None:
        """Deliver until the items end.

        Raises:
            SightlineError: of the sink that failed; the frame that it had is in the ledger.
        """
        while taken := self._items.take():
            for item in taken:
                match item:
                    case Frame() as frame:
                        self._deliver(frame)
                    case Event() as event:
                        self._announce([event])
                    case StreamInfo() as info:
                        self._begin(info)

    def announce_late(self, event: Event) -> None:
        """Write down and publish an event that came too late for the sinks of this stream, which are closing.

        Those that have the journal behind them get it. Does not raise: nobody is left to be told.
        """
        try:
            if self._record:
                self._record([event])
            self._books.tally.add(event)
            if self._bus:
                self._bus.publish_event(event)
        except Exception:
            logger.exception("stream '%s': the event %s came too late and is lost", self._stream, event.kind)

    def close(self) -> list[SightlineError]:
        """Close the stream in every sink that knows it; return what fails."""
        errors: list[SightlineError] = []
        for name, sink in self._open:
            try:
                with blaming(SinkError, f"closing sink '{name}' failed"):
                    sink.close_stream(self._stream)
            except SightlineError as error:
                errors.append(error)
        self._open = []
        return errors

    def _begin(self, info: StreamInfo) -> None:
        """Open the sinks for pictures of this format; those open for another one finish first."""
        for error in self.close():
            raise error
        for name, sink in self._sinks:
            with blaming(SinkError, f"sink '{name}' failed to open"):
                sink.open_stream(info)
            self._open.append((name, sink))

    def _deliver(self, frame: Frame) -> None:
        books = self._books
        try:
            books.tally.expect(frame.counts)
            if frame.events:
                self._announce(frame.events)
            for name, sink in self._sinks:
                with books.stopwatch.measure(name, frames=1), blaming(SinkError, f"sink '{name}' failed"):
                    sink.on_frame(frame)
            if self._bus and self._bus.wants_frames(frame.stream):
                with books.stopwatch.measure("publish", frames=1):
                    self._bus.publish_frame(frame)
        except BaseException:
            books.ledger.drop("output", "error")
            raise
        first_s = self.media_span_s[0] if self.media_span_s else frame.moment.pts_s
        self.media_span_s = (first_s, frame.moment.pts_s)
        if frame.arrived_s is not None:
            books.ages.note("output", time.monotonic() - frame.arrived_s)
        books.ledger.finish()

    def _announce(self, events: Sequence[Event]) -> None:
        if self._record:
            self._record(events)
        for event in events:
            self._books.tally.add(event)
            for name, sink in self._sinks:
                with self._books.stopwatch.measure(name), blaming(SinkError, f"sink '{name}' failed"):
                    sink.on_event(event)
            if self._bus:
                self._bus.publish_event(event)
