"""Sink `push`: streams to a media server, as they come from the camera or as they are drawn."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from pipeline.errors import ConfigError, SinkError
from pipeline.frame import Frame
from pipeline.moment import Moment
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import Input, SinkContext, StreamInfo
from streams.sinks.credentials import reveal, tls_context
from streams.sinks.encoder import Pace
from streams.sinks.restream.connection import Connection, need_protocol
from streams.sinks.restream.inbox import Inbox, Waiting
from streams.sinks.restream.makers import CopyMaker, DrawMaker, Drawn, Maker, Taken
from streams.sinks.restream.options import PushOptions
from streams.sinks.restream.pusher import Manner, Pusher
from streams.sinks.restream.target import Target, target_of

_MOST_WAITING_S = 2.0
"""Media time that may wait for a line: what is slower than the stream must not be ever later."""
_MOST_PACKETS = 2000
_MOST_BYTES = 16 << 20
_MOST_PICTURES = 2
_STOP_S = 5.0

Item = TypeVar("Item")


class PushSink(PacketSink):
    """Pushes each stream to its own URL, and tries again for ever.

    It never holds up a live stream: each has a thread for sending, and what that cannot take is dropped,
    counted and told by an event `sink.state`. A recording is sent at its own pace, and so is read at it.
    """

    Options = PushOptions
    emits: ClassVar[Mapping[str, str]] = {"sink.state": "a push has failed, is too slow, or works again"}
    options: PushOptions
    queue_bytes: ClassVar[int] = _MOST_BYTES
    queue_s: ClassVar[float] = _MOST_WAITING_S

    def __init__(self, options: PushOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        target = self._target("name")
        self._srt = need_protocol(target)
        self._context: ssl.SSLContext | None = None
        if target.is_secure:
            try:
                self._context = tls_context(options.ca_file, verify=options.verify_tls)
            except ValueError as error:
                raise SinkError(str(error)) from error
        self._lock = threading.Lock()
        self._copied: dict[str, tuple[PacketFormat, Pusher[Taken]]] = {}
        self._drawn: dict[str, tuple[Pace, bool, Pusher[Drawn]]] = {}

    @classmethod
    def needs_packets(cls, options: PushOptions) -> bool:
        """Whether the camera's own packets are sent."""
        return options.video == "original"

    @classmethod
    def inputs(cls, options: PushOptions) -> frozenset[Input]:
        """Return the pictures that are sent: the camera's own, or those that are drawn."""
        return frozenset({"packets" if cls.needs_packets(options) else "frames"})

    @classmethod
    def files(cls, options: PushOptions, streams: Sequence[str]) -> Sequence[str]:
        """Return none; make sure here that no two streams would go to one address."""
        url = reveal(options.url)
        if len(streams) > 1 and target_of(url, "one").url == target_of(url, "other").url:
            raise ConfigError(
                f"sink push: {len(streams)} streams ({', '.join(streams)}) would go to one url; put "
                "{stream} into it, or name one under `streams`"
            )
        return ()

    def open_packets(self, form: PacketFormat) -> None:
        """Take note of what the packets are; the connection is made by another thread."""
        target = self._target(form.stream)
        if not target.carries(form.codec):
            raise SinkError(
                f"{target.shown}: {form.codec} cannot be sent there, but {target.codecs()}; "
                "set video: annotated"
            )
        with self._lock:
            known = self._copied.get(form.stream)
            if known is not None and known[1].is_alive and form.live:
                self._copied[form.stream] = (form, known[1])
                return
        inbox = Inbox[Taken](most_items=_MOST_PACKETS, most_bytes=_MOST_BYTES, most_s=_MOST_WAITING_S)
        pusher = self._started(form.stream, inbox, CopyMaker(), _moment_of_packet, live=form.live)
        with self._lock:
            self._copied[form.stream] = (form, pusher)

    def on_packet(self, packet: Packet) -> None:
        """Lay a packet down to be sent.

        Raises:
            SinkError: if a recording is not sent: all of it is wanted, and its feed tells what fails.
        """
        with self._lock:
            form, pusher = self._copied[packet.stream]
        if pusher.trouble and not form.live:
            raise SinkError(pusher.trouble)
        waiting = Waiting(Taken(form, packet), packet.moment.pts_s, len(packet.data), packet.is_key)
        pusher.inbox.put(waiting, wait=not form.live)

    def close_packets(self, stream: str) -> None:
        """End the push of a recording. That of a camera goes on: it may come back."""
        with self._lock:
            form, pusher = self._copied.get(stream, (None, None))
            if form is None or pusher is None or form.live:
                return
            del self._copied[stream]
        pusher.finish(_MOST_WAITING_S + _STOP_S)

    def open_stream(self, info: StreamInfo) -> None:
        """Prepare for the pictures of a stream; one that comes back goes on in the same connection."""
        if self.needs_packets(self.options):
            return
        with self._lock:
            known = self._drawn.get(info.stream)
            if known is not None and known[2].is_alive:
                return
        maker = DrawMaker(info.stream, self.options.encoding(info.rate_hz), self.options.size)
        inbox = Inbox[Drawn](most_items=_MOST_PICTURES, most_bytes=1 << 40, most_s=1e9)
        pusher = self._started(info.stream, inbox, maker, _moment_of_picture, live=info.live)
        with self._lock:
            self._drawn[info.stream] = (Pace(self.options.rate_hz), info.live, pusher)

    def wants_pictures(self, stream: str) -> bool:
        """Whether the next picture would be sent on."""
        with self._lock:
            known = self._drawn.get(stream)
        return known is not None and known[2].wants

    def on_frame(self, frame: Frame) -> None:
        """Lay the picture down to be encoded and sent; it is drawn only if somebody would get it."""
        with self._lock:
            known = self._drawn.get(frame.stream)
        if known is None:
            return
        pace, live, pusher = known
        moment = frame.moment
        if pusher.wants and pace.takes(moment.pts_s):
            bgr = frame.drawn()
            waiting = Waiting(Drawn(bgr, moment, frame.run), moment.pts_s, bgr.nbytes, can_start=True)
            pusher.inbox.put(waiting, wait=not live)

    def close_stream(self, stream: str) -> None:
        """End the push of a recording's pictures; a camera may come back.

        Raises:
            SinkError: if the recording's end was not sent.
        """
        with self._lock:
            known = self._drawn.get(stream)
            if known is None or known[1]:
                return
            del self._drawn[stream]
        known[2].finish(_MOST_WAITING_S + _STOP_S)
        if known[2].trouble:
            raise SinkError(f"stream '{stream}' was not pushed to its end: {known[2].trouble}")

    def close(self) -> None:
        """End all."""
        with self._lock:
            pushers = [pusher for _, pusher in self._copied.values()]
            drawing = [pusher for *_, pusher in self._drawn.values()]
            self._copied.clear()
            self._drawn.clear()
        for pusher in pushers:  # all at once: each may need a second
            pusher.leave()
        for other in drawing:
            other.leave()
        for pusher in pushers:
            pusher.stop(_STOP_S)
        for other in drawing:
            other.stop(_STOP_S)

    def _target(self, stream: str) -> Target:
        return target_of(reveal(self.options.url), stream)

    def _started(
        self,
        stream: str,
        inbox: Inbox[Item],
        maker: Maker[Item],
        moment_of: Callable[[Item], Moment],
        *,
        live: bool,
    ) -> Pusher[Item]:
        options = self.options
        pusher = Pusher(
            stream,
            self._target(stream).shown,
            inbox,
            maker,
            self._connect,
            Manner(live, options.stub, options.stub_after_s),
            moment_of,
            partial(self._tell, stream) if live or not self.needs_packets(options) else _unheard,
        )
        pusher.start()
        return pusher

    def _connect(self, form: PacketFormat) -> Connection:
        options = self.options
        return Connection(
            self._target(form.stream),  # its secrets may be others by now
            form,
            transport=options.transport,
            timeout_s=options.timeout_s,
            context=self._context,
            srt=self._srt,
        )

    def _tell(self, stream: str, data: Mapping[str, Any]) -> None:
        self.context.tell(stream, "sink.state", data)


def _unheard(data: Mapping[str, Any]) -> None:
    """Leave it to the feed of a recording's packets to tell."""


def _moment_of_packet(taken: Taken) -> Moment:
    return taken.packet.moment


def _moment_of_picture(drawn: Drawn) -> Moment:
    return drawn.moment
