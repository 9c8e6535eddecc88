"""All that is offered of one stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from pipeline.frame import Frame
from pipeline.packet import Packet, PacketFormat
from pipeline.plugin import StreamInfo
from streams.sinks.live.hls.service import MIME_CODECS, HlsService
from streams.sinks.live.options import LiveOptions, Pictures
from streams.sinks.live.original import Original
from streams.sinks.live.programme import Programme
from streams.sinks.live.stills import Stills
from streams.sinks.live.studio import Still, Studio

_NO_PACKETS = "this kind of source has no packets to copy; watch the annotated pictures"


class LiveStream:
    """The programmes of one stream, and what is made of them. Made and closed by the server's thread.

    `open`, `see`, `open_packets` and `take` come from the engine's threads.

    Attributes:
        name: of the stream.
        programmes: by which pictures they show.
        hls: by the same.
        stills: annotated pictures as JPEG; None if those are not offered.

    Args:
        name: of the stream.
        options: of the sink.
        loop: of the server.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        options: LiveOptions,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._loop = loop
        self._original = Original(name, clock) if "original" in options.offer else None
        self._offers_annotated = "annotated" in options.offer
        self._studio = Studio(name, options, self._original, self._show, clock)
        self._is_live = True
        programmes: dict[Pictures, Programme] = {}
        if self._original is not None:
            programmes["original"] = self._original.programme
        if self._offers_annotated:
            programmes["annotated"] = self._studio.annotated
        self.programmes: Mapping[Pictures, Programme] = programmes
        self.stills = Stills(self._want_stills) if self._offers_annotated else None
        steps: dict[Pictures, Callable[[], float]] = {
            "original": lambda: 0.0,
            "annotated": lambda: self._studio.step_s,
        }
        self.hls: Mapping[Pictures, HlsService] = {
            pictures: HlsService(programme, options, loop, steps[pictures], self._studio.wake)
            for pictures, programme in programmes.items()
        }

    @property
    def passed_over(self) -> int:
        """Annotated pictures that came faster than they could be encoded."""
        return self._studio.passed_over

    def open(self, info: StreamInfo) -> None:
        """Take note of what the source is."""
        self._is_live = self._studio.is_live = info.live
        if self.stills is not None:
            self._soon(self.stills.end, False)

    @property
    def wants_pictures(self) -> bool:
        """Whether somebody watches what is drawn."""
        return self._offers_annotated and self._studio.is_wanted

    def see(self, frame: Frame) -> None:
        """Take a finished frame; it is drawn only if somebody watches."""
        picture = frame.picture
        self._studio.see(frame.moment, (picture.width, picture.height))
        if self.wants_pictures:
            self._studio.offer(frame.drawn(), frame.moment)

    def open_packets(self, form: PacketFormat) -> None:
        """Take note of a connection's packets."""
        if self._original is not None:
            self._original.open(form)

    def take(self, packet: Packet) -> None:
        """Take a packet of the camera."""
        if self._original is not None:
            self._original.put(packet)

    def close_packets(self) -> None:
        """Take note that the connection is over."""
        if self._original is not None:
            self._original.close()

    def end(self) -> None:
        """The source has ended: a camera may come back, a recording does not."""
        if not self._is_live:
            self.finish()

    def finish(self) -> None:
        """Nothing more will come."""
        if self._original is not None:
            self._original.end()
        self._studio.annotated.end()
        if self.stills is not None:
            self._soon(self.stills.end, True)

    def why_not(self, pictures: Pictures, *, in_order: bool) -> str | None:
        """Return why these pictures cannot be shown as video, None if they can.

        Args:
            pictures: which.
            in_order: they must be decoded in the order in which they are shown (WebRTC), and be H.264.
        """
        original = self._original
        if pictures == "annotated" or original is None:
            return None
        if original.codec is None:
            return _NO_PACKETS if self._studio.has_seen else None
        if original.codec not in (("h264",) if in_order else MIME_CODECS):
            return f"the camera sends {original.codec}, which is not shown here; watch the annotated pictures"
        if in_order and original.has_reordering:
            return "the camera sends B frames, which WebRTC has not; watch the annotated pictures"
        if in_order and original.is_turned:
            return "the camera's pictures lie on their side, which WebRTC does not tell; watch the annotated"
        return None

    def ask_for_key(self, pictures: Pictures) -> None:
        """Have a key frame made soon, where that is in our hands."""
        if pictures == "annotated":
            self._studio.ask_for_key()

    def wake(self) -> None:
        """Have what is wanted made."""
        self._studio.wake()

    def sweep(self) -> None:
        """Stop what nobody asks for any more."""
        for service in self.hls.values():
            service.sweep()

    def close(self) -> None:
        """Stop everything."""
        for service in self.hls.values():
            service.stop()
        self._studio.close()

    def _want_stills(self, wanted: bool) -> None:
        self._studio.wants_stills = wanted
        if wanted:
            self._studio.wake()

    def _show(self, still: Still) -> None:
        if self.stills is not None:
            self._soon(self.stills.show, still)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the server may have stopped
            self._loop.call_soon_threadsafe(call, *arguments)
