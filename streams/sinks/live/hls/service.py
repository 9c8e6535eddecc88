"""One programme as HLS: made while somebody asks for it. Its methods are called by the server's thread."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress

from pipeline.packet import Packet, PacketFormat
from streams.sinks.live.hls.muxer import Head, HlsMuxer, Piece
from streams.sinks.live.hls.window import Lengths, Window
from streams.sinks.live.options import LiveOptions
from streams.sinks.live.programme import Programme

MIME_CODECS = ("h264", "hevc")
"""What can be in MP4 for browsers and players."""
_MOST_BYTES = 64 << 20
_SLACK = 1.2
_LONGEST_TARGET_S = 10


class HlsService:
    """Muxes while it is asked for, and lets requests wait for what is to come.

    Attributes:
        window: what there is.

    Args:
        programme: what is shown.
        options: of the sink.
        loop: of the server.
        step_s: seconds between pictures, as far as known otherwise.
        on_start: called when it begins to work.
    """

    def __init__(
        self,
        programme: Programme,
        options: LiveOptions,
        loop: asyncio.AbstractEventLoop,
        step_s: Callable[[], float],
        on_start: Callable[[], None],
    ) -> None:
        self.window = Window(options.segments, _MOST_BYTES)
        self._programme = programme
        self._options = options
        self._loop = loop
        self._step_s = step_s
        self._on_start = on_start
        self._feed: _Feed | None = None
        self._asked_s = 0.0
        self._waiting = 0
        self._changed = asyncio.Event()

    @property
    def is_working(self) -> bool:
        """Whether anything is muxed."""
        return self._feed is not None

    def touch(self) -> None:
        """Note that somebody asks; begin to work if need be."""
        self._asked_s = self._loop.time()
        if self._feed is None or not self._programme.has(self._feed):
            self.window.start(lengths_of(self._options, self._programme.rhythm, self._step_s()))
            self._feed = _Feed(self)
            self._programme.add(self._feed, from_key=True)
            self._on_start()

    def sweep(self) -> None:
        """Stop working when nobody has asked for a while, and nobody waits for an answer."""
        if self._waiting:
            return
        if self._feed is not None and self._loop.time() - self._asked_s > self._options.idle_s:
            self.stop()

    def stop(self) -> None:
        """Work no more, and forget all pictures."""
        feed, self._feed = self._feed, None
        if feed is not None:
            self._programme.remove(feed)
        self.window.clear()
        self._wake()

    async def until(self, holds: Callable[[Window], bool], timeout_s: float) -> bool:
        """Wait until something holds; False after so long."""
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while not holds(self.window):
                    await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
            self._asked_s = self._loop.time()
        return True

    def take_soon(self, feed: _Feed, item: Head | Piece | None) -> None:
        """Take what the muxer has made, from its thread; None for the end."""
        with suppress(RuntimeError):  # the server may have stopped
            self._loop.call_soon_threadsafe(self._take, feed, item)

    def _take(self, feed: _Feed, item: Head | Piece | None) -> None:
        if feed is not self._feed:
            return
        match item:
            case Head():
                self.window.add_head(item)
            case Piece():
                self.window.add(item)
            case None:
                if self._programme.has_ended:
                    self.window.end()
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def lengths_of(options: LiveOptions, rhythm: tuple[float, float], step_s: float) -> Lengths:
    """Return the lengths that fit a programme. Pure.

    Args:
        options: what is asked for.
        rhythm: seconds between key frames, and between pictures; 0 if not known.
        step_s: seconds between pictures, from elsewhere.
    """
    key_s, picture_s = rhythm
    longest_s = options.segment_s
    if key_s > 0:
        longest_s = max(longest_s, key_s * max(1, math.ceil(options.segment_s / key_s - 0.05)))
    target_s = min(max(1, math.ceil(longest_s - 0.05)), _LONGEST_TARGET_S)
    part_s = max(options.part_s, _SLACK * picture_s, _SLACK * step_s)
    return Lengths(options.segment_s, target_s, min(part_s, float(target_s)))


class _Feed:
    """Listens to the programme for one time of work."""

    def __init__(self, service: HlsService) -> None:
        self._service = service
        self._muxer = HlsMuxer(lambda item: service.take_soon(self, item))

    def begin(self, form: PacketFormat) -> None:
        """Prepare for packets of this format."""
        self._muxer.begin(form)

    def put(self, packet: Packet, time_s: float) -> None:
        """Take a packet."""
        self._muxer.put(packet, time_s)

    def finish(self) -> None:
        """Hand on what is left."""
        self._muxer.finish()
        self._service.take_soon(self, None)
