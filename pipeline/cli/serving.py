"""What `sightline sink` does once its sink is made: events, frames or packets to it, until told to end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pipeline.client import ReliableListener
from pipeline.curve import Credentials
from pipeline.errors import ConfigError
from pipeline.feeder import Feeder
from pipeline.listen import Listener
from pipeline.packet_sink import PacketSink
from pipeline.plugin import EventSink, Sink
from pipeline.remote_frames import FrameFeed
from pipeline.remote_outbox import RemoteOutbox, prefixes_of
from pipeline.remote_packets import PacketFeeds

logger = logging.getLogger(__name__)

_LOOK_S = 0.5
_PATIENCE_S = 5.0
"""How long the box may be silent before that is said."""
_LAST_DELIVERY_S = 10.0
"""How long the end waits for what is being delivered; else it comes again."""


class Teller(Protocol):
    """Says how it goes."""

    def well(self, line: str) -> None:
        """Say that all is well, if it was not, or not yet."""

    def trouble(self, line: str) -> None:
        """Say what is wrong, once."""

    def progress(self, line: str) -> None:
        """Show how far it is."""

    def end(self, line: str) -> None:
        """Say how it ended."""


Serve = Callable[[str, Any, str, Credentials | None, threading.Event, Teller], None]


def server_of(name: str, plugin: type[Sink], options: Any) -> Serve:
    """Return what brings a sink what it takes.

    Raises:
        ConfigError: if it can do its work only inside a run.
    """
    if issubclass(plugin, EventSink):
        return serve_events
    if plugin.on_event is Sink.on_event:
        if issubclass(plugin, PacketSink) and plugin.needs_packets(options):
            return serve_packets
        if plugin.on_frame is not Sink.on_frame:
            return serve_frames
    raise ConfigError(
        f"the sink '{name}' needs what only a run has, or writes the results of one; sinks with the journal "
        "behind them (jsonl, sqlite, postgres, webhook, ...), of pictures (video) or of packets can have a "
        "process of their own"
    )


def serve_events(
    name: str,
    made: EventSink,
    address: str,
    credentials: Credentials | None,
    stopping: threading.Event,
    say: Teller,
) -> None:
    """Deliver events, each at least once, until told to end.

    Raises:
        SinkError: if the box refuses us, or another program takes our name.
    """
    options = made.options
    with ReliableListener(
        address,
        options.consumer or f"sink/{name}",
        kinds=prefixes_of(options.kinds),
        from_start=options.from_start,
        credentials=credentials,
    ) as listener:
        outbox = RemoteOutbox(listener)
        feeder = Feeder(name, outbox, made.deliver, wants=options.takes, batch=made.batch)
        feeder.start()
        begun_s = time.monotonic()
        is_over = False
        while not is_over:
            is_over = stopping.wait(_LOOK_S) or outbox.ended.is_set()
            box, status = outbox.status, feeder.status
            if not box.connected and time.monotonic() - begun_s > _PATIENCE_S:
                say.trouble(_absent(address, box.has_answered, box.handshakes_failed, "bus.reliable"))
            elif box.connected and box.has_answered:
                say.well(f"connected to {address}")
            taking = f", takes none: {status.detail}" if status.detail else ""
            say.progress(f"{status.delivered} events delivered, {box.waiting} wait here{taking}")
        feeder.stop(0, _LAST_DELIVERY_S)  # all else waits at the box
        say.end(f"{feeder.status.delivered} events delivered, {feeder.status.refused} refused")
        if outbox.error is not None:
            raise outbox.error


def serve_frames(
    name: str,
    made: Sink,
    address: str,
    credentials: Credentials | None,
    stopping: threading.Event,
    say: Teller,
) -> None:
    """Hand over the frames that come until told to end.

    Raises:
        SinkError: if the sink fails.
    """
    topics = [f"frame/{stream}" for stream in made.options.streams or ("",)]
    with Listener([address], topics, credentials, newest=False) as listener:
        feed = FrameFeed(name, made, listener)
        begun_s = time.monotonic()

        def look() -> bool:
            if feed.delivered:
                say.well(f"frames come from {address}")
            elif time.monotonic() - begun_s > _PATIENCE_S:
                say.trouble(_silent(address, "frame", "bus.frames"))
            say.progress(f"{feed.delivered} frames delivered, {feed.lost} lost on the way")
            return stopping.is_set()

        try:
            feed.run(look)
        finally:
            feed.close()
        say.end(
            f"{feed.delivered} frames delivered, {feed.lost} lost on the way, {feed.unreadable} unreadable"
        )


def serve_packets(
    name: str,
    made: PacketSink,
    address: str,
    credentials: Credentials | None,
    stopping: threading.Event,
    say: Teller,
) -> None:
    """Hand over the packets that come until told to end.

    Raises:
        SinkError: if the sink cannot serve a stream at all.
    """
    topics = [f"packet/{stream}" for stream in made.options.streams or ("",)]
    with Listener([address], topics, credentials) as listener:
        feeds = PacketFeeds(name, made, listener)
        begun_s = time.monotonic()

        def look() -> bool:
            if feeds.received:
                say.well(f"packets come from {address}")
            elif time.monotonic() - begun_s > _PATIENCE_S:
                say.trouble(_silent(address, "packet", "bus.packets"))
            say.progress(f"{feeds.taken()} packets taken, {feeds.lost} lost on the way")
            return stopping.is_set()

        try:
            feeds.run(look)
        finally:
            feeds.close()
        say.end(f"{feeds.received} packets came, {feeds.lost} lost on the way")


def log_news(
    stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
) -> None:
    """Log what a sink has to say: there is no run whose event it could become."""
    where = f"stream '{stream}': " if stream else ""
    said = ", ".join(f"{key} {value}" for key, value in {**data, **(evidence or {})}.items())
    logger.warning("%s%s: %s", where, kind, said)


def _silent(address: str, what: str, socket: str) -> str:
    return f"no {what} has come from {address} yet; is sightline running, and this its {socket}?"


def _absent(address: str, has_answered: bool, handshakes_failed: int, what: str) -> str:
    if handshakes_failed:
        return f"{address} does not let us in: look at --server-key, --key, and the box's bus.curve"
    if has_answered:
        return f"{address} is away; it is tried for ever, and what happens meanwhile waits there"
    return f"no answer from {address} yet; is sightline running, and this its {what}?"
