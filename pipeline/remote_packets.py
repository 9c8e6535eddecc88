"""Packets of a bus for a sink that copies them and runs in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from pipeline.blame import blaming
from pipeline.errors import SinkError
from pipeline.feed import Feed
from pipeline.listen import Listener
from pipeline.packet import PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import StreamInfo
from pipeline.wire import PacketMessage

_LOOK_S = 0.1
_MOST_STREAMS = 1024
_LAST_S = 10.0
"""How long the end waits for what is still queued."""


@dataclass(slots=True)
class _Known:
    """A stream that came.

    Attributes:
        feed: brings its packets to the sink.
        bus: that they came from; another one is another start of the box.
        form: of the latest packet, None before the first.
        is_told: whether the sink has the stream open.
    """

    feed: Feed
    bus: str = ""
    form: PacketFormat | None = None
    is_told: bool = False


class PacketFeeds:
    """Hands a sink the packets of each stream, as inside a run: a queue and a thread for each stream.

    Packets that are lost on the way are a jump of their numbers, which the sink's queue turns into a pause up
    to the next key frame. A sink that fails is tried again for ever; that and its end are logged.

    Args:
        name: of the sink.
        sink: takes the packets.
        listener: of packets.
        turn: held while a stream is opened or closed, so that no event comes at that time.
        opens: whether it opens the sink's streams; not where frames do.

    Attributes:
        come: packets that came.
        lost: packets that did not.
    """

    def __init__(
        self,
        name: str,
        sink: PacketSink,
        listener: Listener,
        turn: threading.Lock | None = None,
        *,
        opens: bool = True,
    ) -> None:
        self._name = name
        self._sink = sink
        self._listener = listener
        self._turn = turn or threading.Lock()
        self._opens = opens
        self._known: dict[str, _Known] = {}
        self._expected: SimpleQueue[str] = SimpleQueue()
        self.come = self.lost = 0

    def run(self, stopping: Callable[[], bool]) -> None:
        """Deliver until `stopping` says so.

        Raises:
            SinkError: if the sink cannot serve a stream at all.
        """
        while not stopping():
            while not self._expected.empty():
                self._know(self._expected.get())
            received = self._listener.receive(_LOOK_S)
            if received is None or not isinstance(received.message, PacketMessage):
                continue
            message = received.message
            self.lost += received.lost
            if self._sink.options.serve(message.packet.stream):
                self.come += 1
                self._take(message)

    def expect(self, stream: str) -> None:
        """Have the sink asked what is due (`on_idle`) for a stream of which no packet may come.

        Called from any thread.
        """
        if stream not in self._known:
            self._expected.put(stream)

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        taken = sum(int(known.feed.statistics()["taken"]) for known in list(self._known.values()))
        return f"{taken} packets taken, {self.lost} lost on the way"

    @property
    def summary(self) -> str:
        """How it was, in words."""
        return f"{self.come} packets came, {self.lost} lost on the way"

    def close(self) -> None:
        """Let the sink take what waits, for a few seconds, and close its streams."""
        known, self._known = self._known, {}
        for stream, one in known.items():
            one.feed.over()
            one.feed.close(_LAST_S)
            if one.is_told:
                with self._turn, blaming(SinkError, f"closing sink '{self._name}' failed"):
                    self._sink.close_stream(stream)

    def _take(self, message: PacketMessage) -> None:
        form, packet = message.format, message.packet
        known = self._know(packet.stream)
        if known is None:
            return
        if (known.bus, known.form) != (message.bus, form):
            if self._opens and not known.is_told:
                self._open_stream(form)
                known.is_told = True
            if known.form is not None:
                known.feed.over()
            known.bus, known.form = message.bus, form
            known.feed.begin(form)
        known.feed.put(packet)

    def _know(self, stream: str) -> _Known | None:
        """Return what is known of a stream, from now on; None if there are too many."""
        known = self._known.get(stream)
        if known is None and len(self._known) < _MOST_STREAMS:
            # Waiting for a recording's sink would hold up all streams: they come through one thread here.
            feed = Feed(self._name, stream, self._sink, _log_has_it, patience_s=0.0)
            known = self._known[stream] = _Known(feed)
            known.feed.start()
        return known

    def _open_stream(self, form: PacketFormat) -> None:
        with self._turn, blaming(SinkError, f"sink '{self._name}' failed to open"):
            self._sink.open_stream(
                StreamInfo(
                    form.stream, "", form.run, form.width, form.height, live=form.live, codec=form.codec
                )
            )


def _log_has_it(data: Mapping[str, Any]) -> None:
    """Leave it at what the feed has logged: there is no run whose event it could become."""
