"""The receiving side of raw pictures: announcements checked, pixels taken out of shared memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from pipeline.awaiting import in_thread
from pipeline.curve import Credentials
from pipeline.errors import ConfigError, SinkError
from pipeline.listen import Listener
from pipeline.picture import BgrPicture, Matrix, Picture, U8Array, YuvPicture
from pipeline.shared_ring import RingReader
from pipeline.wire import RAW_TOPIC, RawMessage

_MOST_RINGS = 64
_LOOK_S = 0.5
Rows = tuple[tuple[float, ...], ...]
_MATRICES: tuple[Matrix, ...] = ("bt601", "bt709")


@dataclass(frozen=True, slots=True, eq=False)
class RawFrame:
    """A picture that another process on this box has finished.

    Attributes:
        message: stream, times, tracks, counts: everything but the pixels.
        lost: how many of its stream are missing right before it.
        picture: `.bgr()` is (H, W, 3) uint8; `.planes()` the decoder's Y, U and V, None if it came as BGR.
    """

    message: RawMessage
    lost: int
    picture: Picture
    _reader: RingReader

    def bgr(self) -> U8Array:
        """Return the picture as (height, width, 3) uint8 BGR, read-only."""
        return self.picture.bgr()

    def is_intact(self) -> bool:
        """Return whether its pixels are still in the ring: if so, all that was seen of views was right."""
        return self._reader.holds(self.message.place)


class RawListener:
    """Subscribes to raw pictures and hands out each stream's newest; for one thread.

    It may start before sightline does and outlives its restarts.

    Args:
        endpoint: `bus.raw` of the box, `ipc:///PATH`.
        topics: prefixes of `raw/<stream>`.
        credentials: for an encrypted bus.
        copy: True to hand out copies, which stay as they are. False for views into the ring, which cost
            nothing and change once the writer comes round: work, then ask `RawFrame.is_intact`.

    Attributes:
        overtaken: pictures that were gone before they could be taken.

    Raises:
        ConfigError: if the endpoint is no address, or a topic is not of raw pictures.
    """

    def __init__(
        self,
        endpoint: str,
        topics: Sequence[str] = (RAW_TOPIC,),
        credentials: Credentials | None = None,
        *,
        copy: bool = True,
    ) -> None:
        for topic in topics:
            if not topic.startswith(RAW_TOPIC):
                raise ConfigError(f"raw pictures have a socket of their own: subscribe to {topic!r} apart")
        self._copies = copy
        self._listener = Listener([endpoint], topics, credentials)
        self._readers: OrderedDict[str, RingReader] = OrderedDict()
        self._pictures = _Pictures()
        self._missed: dict[str, int] = {}
        self.overtaken = 0

    @property
    def lost(self) -> int:
        """Pictures that were lost on the way, replaced by newer ones, or overtaken."""
        return self._listener.lost + self._listener.stale + self.overtaken

    def receive(self, timeout_s: float | None = None) -> RawFrame | None:
        """Wait for the next picture; None when `timeout_s` (None: no limit) went by without one."""
        ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = None if ends_s is None else max(0.0, ends_s - time.monotonic())
            stale = self._listener.stale
            received = self._listener.receive(left_s)
            if received is None:
                return None
            if not isinstance(received.message, RawMessage):
                continue
            message = received.message
            lost = received.lost + self._listener.stale - stale + self._missed.pop(message.stream, 0)
            taken = self._take(message)
            if taken is not None:
                return RawFrame(message, lost, *taken)
            self.overtaken += 1
            if len(self._missed) < _MOST_RINGS:
                self._missed[message.stream] = lost + 1

    def __iter__(self) -> Iterator[RawFrame]:
        """Yield pictures for ever."""
        while True:
            found = self.receive()
            if found is not None:
                yield found

    async def __aiter__(self) -> AsyncIterator[RawFrame]:
        """Yield pictures for ever, waiting in a thread of its own."""
        while True:
            found = await in_thread(partial(self.receive, _LOOK_S))
            if found is not None:
                yield found

    def statistics(self) -> Mapping[str, int]:
        """Return what `Listener.statistics` says of the announcements, and how many were overtaken."""
        return {**self._listener.statistics(), "overtaken": self.overtaken}

    def close(self) -> None:
        """Disconnect; arrays that were handed out stay. Safe more than once."""
        self._listener.close()
        self._readers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, message: RawMessage) -> tuple[Picture, RingReader] | None:
        try:
            reader = self._reader(message.stream, message.place.segment)
        except SinkError:  # its writer has gone meanwhile, or it is none
            return None
        pixels = reader.copy(message.place) if self._copies else reader.view(message.place)
        return None if pixels is None else (self._pictures.make(message, pixels), reader)

    def _reader(self, stream: str, segment: str) -> RingReader:
        """Return the stream's ring; an earlier one of it is let go, or its memory would stay taken."""
        known = self._readers.pop(stream, None)
        reader = known if known is not None and known.name == segment else RingReader(segment)
        self._readers[stream] = reader
        if len(self._readers) > _MOST_RINGS:
            self._readers.popitem(last=False)
        return reader


class _Pictures:
    """Makes pictures of pixels; remembers the latest conversion, as looking for it takes a while."""

    def __init__(self) -> None:
        self._rows: Rows | None = None
        self._found: tuple[Matrix, bool] | None = None

    def make(self, message: RawMessage, pixels: U8Array) -> Picture:
        """Return the picture of a message whose pixels, one plane behind the other, are these."""
        width, height = message.width, message.height
        if message.to_bgr is None:
            return BgrPicture(pixels.reshape(height, width, 3))
        half = (height + 1) // 2, (width + 1) // 2
        y_end, u_end = width * height, width * height + half[0] * half[1]
        y, u, v = pixels[:y_end].reshape(height, width), pixels[y_end:u_end], pixels[u_end:]
        planes = y, u.reshape(half), v.reshape(half)
        if message.to_bgr != self._rows:
            self._rows, self._found = message.to_bgr, _conversion(message.to_bgr)
        if self._found is not None:
            return YuvPicture(*planes, matrix=self._found[0], full_range=self._found[1])
        grown = [cv2.resize(plane, (width, height)) for plane in planes]
        return BgrPicture(np.asarray(cv2.transform(cv2.merge(grown), np.asarray(message.to_bgr)), np.uint8))


def _conversion(rows: Rows) -> tuple[Matrix, bool] | None:
    """Return which matrix and range have this conversion, None for another."""
    tiny = [np.zeros((1, 1), np.uint8)] * 3
    for matrix in _MATRICES:
        for full_range in (False, True):
            known = YuvPicture(*tiny, matrix=matrix, full_range=full_range).planes()
            if np.allclose(known.to_bgr, rows, atol=1e-3):
                return matrix, full_range
    return None
