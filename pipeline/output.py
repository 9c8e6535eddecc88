"""The output thread of one stream: hands events and frames to the sinks and the bus, in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pipeline.blame import blaming
from pipeline.bus import Bus
from pipeline.captured import Outgoing
from pipeline.channel import Channel
from pipeline.compute import Books
from pipeline.errors import SightlineError, SinkError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.outages import Outages
from pipeline.plugin import Sink, StreamInfo
from pipeline.privacy.options import PrivacyOptions, effective
from pipeline.privacy.veil import Veiled, Veils
from pipeline.tally import Tally

logger = logging.getLogger(__name__)

Record = Callable[[Sequence[Event]], None]
_HIDING = "privacy"
NamedSink = tuple[str, Sink]
"""A sink with the name it has in the configuration."""


class OutputBooks(Books, Protocol):
    """Where the output enters what it delivered."""

    tally: Tally


class Output:
    """Delivers what comes through its channel.

    Attributes:
        media_span_s: media time of the first and the latest delivered frame, None before.
        outages: what its file sinks could not write.

    Args:
        stream: name of the stream.
        sinks: shared with the other streams.
        bus: shared publisher, or None.
        items: what to deliver.
        books: of the stream.
        record: writes events down before anybody sees them; None for nowhere.
        privacy: what is hidden from sinks that do not say anything of it.
        bus_privacy: what is hidden from those who look at the bus.
        tell: told when a disk takes no results of a live stream, and when it does again.
    """

    def __init__(
        self,
        stream: str,
        sinks: Sequence[NamedSink],
        bus: Bus | None,
        items: Channel[Outgoing],
        books: OutputBooks,
        record: Record | None = None,
        privacy: PrivacyOptions | None = None,
        bus_privacy: PrivacyOptions | None = None,
        tell: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        self._stream = stream
        self._sinks = sinks
        self._bus = bus
        self._items = items
        self._books = books
        self._record = record
        self._open: list[NamedSink] = []
        self._privacy = privacy
        self._bus_privacy = bus_privacy
        self._viewers: list[tuple[str, Sink, PrivacyOptions | None]] = []
        self._veils = Veils((), stream)
        self.media_span_s: tuple[float, float] | None = None
        self.outages = Outages(stream, tell)

    def run(self) -> None:
        """Deliver until the items end.

        Raises:
            SightlineError: of the sink that failed; the frame that it had is in the ledger.
        """
        for name, sink in self._sinks:
            self.outages.watch(name, sink)
        self._viewers = [(name, sink, self._hidden_from(sink)) for name, sink in self._sinks]
        settings = {setting for _, _, setting in self._viewers} | (
            {self._bus_privacy} if self._bus else set()
        )
        self._veils = Veils(settings, self._stream)
        while taken := self._items.take():
            for item in taken:
                if self.outages.failing:
                    self._retry()
                match item:
                    case Frame() as frame:
                        self._deliver(frame)
                    case Event() as event:
                        self._announce([event])
                    case StreamInfo() as info:
                        self._begin(info)
        if self.outages.failing:
            self._retry(at_once=True)
        self._show_rest()

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
        return errors + self.outages.unfinished()

    def _begin(self, info: StreamInfo) -> None:
        """Open the sinks for pictures of this format; those open for another one finish first."""
        self._show_rest()
        while self._open:
            name, sink = self._open.pop(0)
            with self.outages.enduring(sink), blaming(SinkError, f"closing sink '{name}' failed"):
                sink.close_stream(self._stream)
        self.outages.endures = info.live
        for name, sink in self._sinks:
            with self.outages.enduring(sink), blaming(SinkError, f"sink '{name}' failed to open"):
                sink.open_stream(info)
            self._open.append((name, sink))

    def _retry(self, *, at_once: bool = False) -> None:
        """Have file sinks try again whose disk took nothing."""
        with blaming(SinkError, "a sink failed that was tried again"):
            self.outages.retry(at_once=at_once)

    def _deliver(self, frame: Frame) -> None:
        books = self._books
        try:
            books.tally.expect(frame.counts)
            if frame.events:
                self._announce(frame.events)
            self._veil(frame)
            self._show()
        except BaseException:
            books.ledger.drop("output", "error")
            raise
        first_s = self.media_span_s[0] if self.media_span_s else frame.moment.pts_s
        self.media_span_s = (first_s, frame.moment.pts_s)
        if frame.arrived_s is not None:
            books.ages.note("output", time.monotonic() - frame.arrived_s)
        books.ledger.finish()

    def _hidden_from(self, sink: Sink) -> PrivacyOptions | None:
        own = getattr(getattr(sink, "options", None), "privacy", None)
        return effective(own, self._privacy) if sink.takes_pictures() else None

    def _veil(self, frame: Frame) -> None:
        """Decide what of the frame is hidden from whom."""
        if not self._veils.hide:
            self._veils.look(frame)
            return
        with self._books.stopwatch.measure(_HIDING, frames=1), blaming(SinkError, "privacy failed"):
            self._veils.look(frame)

    def _unveiled(self, veiled: Veiled, setting: PrivacyOptions | None) -> Frame:
        """Return a frame for those with this setting; hides what is to be hidden, the first time."""
        if setting is None:
            return veiled.frame()
        with self._books.stopwatch.measure(_HIDING), blaming(SinkError, "privacy failed"):
            return veiled.frame()

    def _show(self) -> None:
        """Show what is ready to each who wants it."""
        for name, sink, setting in self._viewers:
            for veiled in self._veils.ready(setting):
                with blaming(SinkError, f"sink '{name}' failed"):
                    is_seen = setting is None or sink.wants_pictures(self._stream)
                frame = self._unveiled(veiled, setting) if is_seen else veiled.blank()
                with (
                    self.outages.enduring(sink),
                    self._books.stopwatch.measure(name, frames=1),
                    blaming(SinkError, f"sink '{name}' failed"),
                ):
                    sink.on_frame(frame)
        for veiled in self._veils.ready(self._bus_privacy):
            if self._bus and self._bus.wants_frames(self._stream):
                frame = self._unveiled(veiled, self._bus_privacy)
                with self._books.stopwatch.measure("publish", frames=1):
                    self._bus.publish_frame(frame)
            if self._bus and self._bus.wants_raw(self._stream):
                frame = self._unveiled(veiled, self._bus_privacy)
                with self._books.stopwatch.measure("publish raw", frames=1):
                    self._bus.publish_raw(frame)

    def _show_rest(self) -> None:
        """Show what was held back, as nothing follows it."""
        self._veils.rest()
        self._show()

    def _announce(self, events: Sequence[Event]) -> None:
        if self._record:
            self._record(events)
        for event in events:
            self._books.tally.add(event)
            for name, sink in self._sinks:
                with (
                    self.outages.enduring(sink),
                    self._books.stopwatch.measure(name),
                    blaming(SinkError, f"sink '{name}' failed"),
                ):
                    sink.on_event(event)
            if self._bus:
                self._bus.publish_event(event)
