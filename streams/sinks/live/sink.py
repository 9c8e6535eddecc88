"""Sink `live`: pictures in browsers and players, by HLS, MJPEG and WebRTC, from one port of this box."""

from __future__ import annotations

import logging
from typing import Any

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import NO_EVENTS, Input, SinkContext, StreamInfo
from streams.sinks.live.options import LiveOptions
from streams.sinks.needed import need

logger = logging.getLogger(__name__)


class LiveSink(PacketSink):
    """Serves a page with all streams, and each as HLS, MJPEG, JPEG and WebRTC.

    Nothing is drawn, encoded or muxed while nobody watches, and once however many do.

    Attributes:
        url: of the page.

    Raises:
        SinkError: if the address cannot be had, or a package is missing.
    """

    Options = LiveOptions
    emits = NO_EVENTS
    options: LiveOptions

    def __init__(self, options: LiveOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        need("aiohttp", "aiohttp", "live")
        if options.webrtc:
            need("aiortc", "aiortc", "live", extra="webrtc")
        from streams.sinks.live.server import LiveServer

        self._server = LiveServer(options)
        self.url = self._server.url
        if options.open_to_all and not options.is_guarded:
            logger.warning("sink 'live': whoever reaches %s can watch, nobody is asked who he is", self.url)
        logger.info("live pictures: %s", self.url)

    @classmethod
    def needs_packets(cls, options: Any) -> bool:
        """Whether the camera's own pictures are offered."""
        return isinstance(options, LiveOptions) and "original" in options.offer

    @classmethod
    def does_without(cls, options: Any) -> bool:
        """Whether annotated pictures are offered, which every source has."""
        return isinstance(options, LiveOptions) and "annotated" in options.offer

    @classmethod
    def inputs(cls, options: Any) -> frozenset[Input]:
        """Return what is offered. A process of its own lists a stream once something of it has come."""
        wanted: set[Input] = set()
        if cls.needs_packets(options):
            wanted.add("packets")
        if cls.does_without(options):
            wanted.add("frames")
        return frozenset(wanted)

    def wants_pictures(self, stream: str) -> bool:
        """Whether somebody watches."""
        return self._server.stream(stream).wants_pictures

    def open_stream(self, info: StreamInfo) -> None:
        """List the stream."""
        self._server.stream(info.stream).open(info)

    def on_event(self, event: Event) -> None:
        """List a stream also while its camera is missing."""
        if event.stream and self.options.serve(event.stream) and event.kind == "source.state":
            self._server.stream(event.stream)

    def on_frame(self, frame: Frame) -> None:
        """Take a finished frame; it is drawn only if somebody watches."""
        self._server.stream(frame.stream).see(frame)

    def close_stream(self, stream: str) -> None:
        """Tell the viewers of a recording that it is over."""
        self._server.stream(stream).end()

    def open_packets(self, form: PacketFormat) -> None:
        """Take note of a connection's packets."""
        self._server.stream(form.stream).open_packets(form)

    def on_packet(self, packet: Packet) -> None:
        """Take a packet of the camera."""
        self._server.stream(packet.stream).take(packet)

    def close_packets(self, stream: str) -> None:
        """Take note that the connection is over; a stub follows if no other one comes soon."""
        self._server.stream(stream).close_packets()

    def close(self) -> None:
        """End all connections."""
        self._server.close()
