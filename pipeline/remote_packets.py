"""Packets of a bus for a sink that copies them and runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
        form: of the latest packet.
    """

    feed: Feed
    bus: str
    form: PacketFormat


class PacketFeeds:
    """Hands a sink the packets of each stream, as inside a run: a queue and a thread for each stream.

    Packets that are lost on the way are a jump of their numbers, which the sink's queue turns into a pause up
    to the next key frame. A sink that fails is tried again for ever; that and its end are logged.

    Args:
        name: of the sink.
        sink: takes the packets.
        listener: of packets.

    Attributes:
        received: packets that came.
        lost: packets that did not.
    """

    def __init__(self, name: str, sink: PacketSink, listener: Listener) -> None:
        self._name = name
        self._sink = sink
        self._listener = listener
        self._known: dict[str, _Known] = {}
        self.received = self.lost = 0

    def run(self, stopping: Callable[[], bool]) -> None:
        """Deliver until `stopping` says so.

        Raises:
            SinkError: if the sink cannot serve a stream at all.
        """
        while not stopping():
            received = self._listener.receive(_LOOK_S)
            if received is None or not isinstance(received.message, PacketMessage):
                continue
            message = received.message
            self.lost += received.lost
            if self._sink.options.serve(message.packet.stream):
                self.received += 1
                self._take(message)

    def taken(self) -> int:
        """Return how many packets the sink has."""
        return sum(int(known.feed.statistics()["taken"]) for known in self._known.values())

    def close(self) -> None:
        """Let the sink take what waits, for a few seconds, and close its streams."""
        known, self._known = self._known, {}
        for stream, one in known.items():
            one.feed.over()
            one.feed.close(_LAST_S)
            with blaming(SinkError, f"closing sink '{self._name}' failed"):
                self._sink.close_stream(stream)

    def _take(self, message: PacketMessage) -> None:
        form, packet = message.format, message.packet
        known = self._known.get(packet.stream)
        if known is None:
            if len(self._known) >= _MOST_STREAMS:
                return
            with blaming(SinkError, f"sink '{self._name}' failed to open"):
                self._sink.open_stream(
                    StreamInfo(
                        form.stream, "", form.run, form.width, form.height, live=form.live, codec=form.codec
                    )
                )
            # Waiting for a recording's sink would hold up all streams: they come through one thread here.
            feed = Feed(self._name, packet.stream, self._sink, _log_has_it, patience_s=0.0)
            known = self._known[packet.stream] = _Known(feed, message.bus, form)
            feed.start()
            feed.begin(form)
        elif (known.bus, known.form) != (message.bus, form):
            known.bus, known.form = message.bus, form
            known.feed.over()
            known.feed.begin(form)
        known.feed.put(packet)


def _log_has_it(data: Mapping[str, Any]) -> None:
    """Leave it at what the feed has logged: there is no run whose event it could become."""
