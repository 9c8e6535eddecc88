"""The camera's own packets as a programme, and a stub in their place while there are none."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.packet import Packet, PacketFormat
from streams.sinks.live.programme import Programme

_UNKNOWN_SIZE = (1280, 720)


class Original:
    """Feeds a programme with what the camera delivers, or with a stub: by turns, never both.

    Any thread may call any method.

    Attributes:
        programme: what is watched.

    Args:
        stream: its name.
        clock: monotonic seconds.
    """

    def __init__(self, stream: str, clock: Callable[[], float]) -> None:
        self.programme = Programme(stream)
        self._clock = clock
        self._lock = threading.Lock()
        self._form: PacketFormat | None = None
        self._latest_s = clock()
        self._latest_ns: int | None = None
        self._is_stub = False

    @property
    def codec(self) -> str | None:
        """Of the camera's packets, None before the first connection."""
        return None if self._form is None else self._form.codec

    @property
    def has_reordering(self) -> bool:
        """Whether pictures are decoded in another order than they are shown."""
        return self._form is not None and self._form.reorder > 0

    @property
    def is_turned(self) -> bool:
        """Whether players must turn the pictures upright."""
        return self._form is not None and self._form.rotation_deg != 0

    @property
    def silent_s(self) -> float:
        """Seconds since the latest packet, or since the start."""
        return self._clock() - self._latest_s

    @property
    def latest_ns(self) -> int | None:
        """UTC of the latest packet, None before the first."""
        return self._latest_ns

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px of the upright picture, as far as known."""
        if self._form is None:
            return _UNKNOWN_SIZE
        width, height = self._form.width, self._form.height
        return (height, width) if self._form.rotation_deg % 180 else (width, height)

    def open(self, form: PacketFormat) -> None:
        """Take note of a connection; what was there is shown up to its first packet."""
        with self._lock:
            self._form = form
            if not self._is_stub:
                self.programme.begin(form)

    def close(self) -> None:
        """Take note that the connection is over: what came of it is not shown to who comes later."""
        with self._lock:
            if not self._is_stub:
                self.programme.pause()

    def put(self, packet: Packet) -> None:
        """Take a packet of the camera; in the place of a stub it must be a key frame."""
        with self._lock:
            self._latest_s, self._latest_ns = self._clock(), packet.moment.time_ns
            if self._is_stub:
                if not packet.is_key or self._form is None:
                    return
                self._is_stub = False
                self.programme.begin(self._form)
            self.programme.put(packet)

    def begin_stub(self, form: PacketFormat) -> None:
        """Say that stub pictures of this format follow."""
        with self._lock:
            self._is_stub = True
            self.programme.begin(form)

    def put_stub(self, packet: Packet) -> bool:
        """Take a stub picture; False if the camera is back and it is not shown."""
        with self._lock:
            if self._is_stub:
                self.programme.put(packet)
            return self._is_stub

    def end(self) -> None:
        """Say that nothing more will come: the recording is over."""
        with self._lock:
            self.programme.end()
