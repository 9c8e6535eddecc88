"""Raw pictures for programs on the same box: pixels in shared memory, an announcement of each over ZeroMQ."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import zmq
from pydantic import Field, model_validator

from pipeline.address import check_address
from pipeline.curve import CurveOptions, Guard
from pipeline.errors import ConfigError, SinkError
from pipeline.frame import Frame
from pipeline.peers import Peers
from pipeline.picture import Planes, U8Array
from pipeline.place import Place
from pipeline.plugin import Options
from pipeline.publisher import Publisher
from pipeline.shared_ring import FOLDER, RingWriter, remove_stale, segment_bytes
from pipeline.wire import RAW_TOPIC, RawMessage, encode

logger = logging.getLogger(__name__)

_KEPT_S = 10.0
"""How long a ring stays after the last who wanted it has gone."""
_RETRY_S = 10.0
"""How long to wait, after there was no room, before looking again."""


class RawOptions(Options):
    """Raw pictures for programs on this box.

    Attributes:
        address: `ipc:///PATH`, where each picture is announced.
        picture: `planes`, as the decoder left it (Y, U and V; half the bytes, nothing is converted); `bgr`;
            or `drawn`, annotated, in BGR. What never had planes comes as BGR.
        slots: pictures that a stream's ring holds; a program has the time of all but two of them to read one.
        mb: most megabytes of shared memory for all streams.
    """

    address: str
    picture: Literal["planes", "bgr", "drawn"] = "planes"
    slots: int = Field(default=6, ge=3, le=64)
    mb: float = Field(default=512.0, gt=0, le=65_536)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        return {"address": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _on_this_box(self) -> RawOptions:
        try:
            check_address(self.address)
        except ConfigError as error:  # pydantic adds where it was written to a ValueError only
            raise ValueError(str(error)) from None
        if not self.address.startswith("ipc://"):
            raise ValueError("raw pictures are for programs on this box: write ipc:///PATH")
        if not FOLDER.is_dir():
            raise ValueError(f"raw pictures need shared memory in {FOLDER}, as Linux has it")
        return self


class RawBus:
    """Writes and announces pictures of streams that somebody subscribes to; never waits.

    Pictures of a stream come from one thread, those of several at the same time. Where there is no room for
    a stream's ring it is left out, with a warning, and tried again.

    Args:
        options: where and what.
        bus: id of the publishing bus.
        curve: encrypt the announcements, and who may connect; None for neither.
        clock: monotonic seconds.

    Raises:
        SinkError: if the address cannot be bound.
    """

    def __init__(
        self,
        options: RawOptions,
        bus: str,
        curve: CurveOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._id = bus
        self._clock = clock
        self._lock = threading.Lock()
        self._rings: dict[str, RingWriter] = {}
        self._wanted_s: dict[str, float] = {}
        self._retry_s: dict[str, float] = {}
        self._without_room = 0
        stale = remove_stale()
        if stale:
            logger.info("raw pictures: %d rings that killed runs left behind are removed", stale)
        self._context = zmq.Context()
        self._guard = Guard(self._context, curve)
        self._peers = Peers()
        try:
            self._publisher = Publisher(
                self._context,
                Place(options.address),
                self._guard,
                self._peers,
                "raw",
                queued=options.slots,
                linger_ms=0,
            )
        except BaseException:
            self._guard.close()
            self._context.destroy(linger=0)
            raise
        self._peers.start()
        self.endpoint = self._publisher.endpoint

    def wants(self, stream: str) -> bool:
        """Return whether anybody subscribes to `raw/<stream>`; frees the ring that nobody wants any more."""
        if self._publisher.wanted(RAW_TOPIC + stream):
            self._wanted_s[stream] = self._clock()
            return True
        if stream in self._rings and self._clock() - self._wanted_s[stream] > _KEPT_S:
            self._free(stream)
        return False

    def publish(self, frame: Frame) -> bool:
        """Write and announce a frame if somebody subscribes to it; return whether it was.

        Raises:
            WireError: if the frame holds what the protocol cannot carry.
        """
        stream = frame.stream
        if not self.wants(stream):
            return False
        planes = frame.picture.planes() if self._options.picture == "planes" else None
        arrays = _arrays(frame, planes, drawn=self._options.picture == "drawn")
        ring = self._ring(stream, sum(array.size for array in arrays))
        if ring is None:
            with self._lock:
                self._without_room += 1
            return False
        place = ring.write(arrays)
        drawn = self._options.picture == "drawn"
        return self._publisher.send(
            RAW_TOPIC + stream,
            lambda n: encode(RawMessage.of(frame, planes, place, drawn=drawn, bus=self._id, n=n)),
        )

    def statistics(self) -> Mapping[str, int]:
        """Return what a publisher says, the bytes of all rings, and pictures that there was no room for."""
        with self._lock:
            held = sum(ring.nbytes for ring in self._rings.values())
            return {**self._publisher.statistics(), "bytes": held, "without_room": self._without_room}

    def close(self) -> None:
        """Close the socket and remove the rings. Safe more than once."""
        self._publisher.close()
        for stream in list(self._rings):
            self._free(stream)
        self._peers.close()
        self._guard.close()
        self._context.term()

    def _ring(self, stream: str, picture_bytes: int) -> RingWriter | None:
        """Return the stream's ring; None when there is no room for one."""
        ring = self._rings.get(stream)
        if ring is not None and ring.picture_bytes == picture_bytes:
            return ring
        if self._clock() < self._retry_s.get(stream, -_RETRY_S):
            return None
        self._free(stream)
        try:
            with self._lock:
                self._check_room(picture_bytes)
                made = self._rings[stream] = RingWriter(self._options.slots, picture_bytes)
        except SinkError as error:
            if stream not in self._retry_s:
                logger.warning("stream '%s' has no raw pictures: %s", stream, error)
            self._retry_s[stream] = self._clock() + _RETRY_S
            return None
        self._retry_s.pop(stream, None)
        return made

    def _check_room(self, picture_bytes: int) -> None:
        held = sum(ring.nbytes for ring in self._rings.values())
        wanted = segment_bytes(self._options.slots, picture_bytes)
        if held + wanted > self._options.mb * 1e6:
            raise SinkError(
                f"its {self._options.slots} slots take {wanted / 1e6:.0f} MB of shared memory, "
                f"{held / 1e6:.0f} of {self._options.mb:g} are taken; "
                "set bus.raw.mb higher, or bus.raw.slots lower"
            )

    def _free(self, stream: str) -> None:
        with self._lock:
            ring = self._rings.pop(stream, None)
        if ring is not None:
            ring.close()


def _arrays(frame: Frame, planes: Planes | None, *, drawn: bool) -> list[U8Array]:
    if planes is not None:
        return [planes.y, planes.u, planes.v]
    return [frame.drawn() if drawn else frame.picture.bgr()]


def statistics_named(raw: RawBus | None) -> dict[str, Any]:
    """Return its statistics under names of the bus, none where there is no raw bus."""
    return {} if raw is None else {f"raw_{key}": value for key, value in raw.statistics().items()}
