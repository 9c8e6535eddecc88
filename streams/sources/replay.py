"""What another decoder needs to go on where one failed: packets since a key frame, and what they gave."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

_DEEPEST = 32
"""Packets after which a key frame has been shown: H.264 and H.265 hold 16 pictures, of two fields each."""
_MOST_PACKETS = 1024
_MOST_BYTES = 64 << 20

_Stamp: TypeAlias = "tuple[int | None, int | None]"


class Replay:
    """Keeps packets from the last key frame that has surely been shown; used by one thread.

    Whatever a decoder still owes was built on that key frame or on later ones. A stretch without a key frame
    of more than 1024 packets or 64 MiB is not kept; it begins again with the next one.

    Args:
        all_keys: whether every packet can be decoded by itself, flagged or not.
    """

    def __init__(self, *, all_keys: bool = False) -> None:
        self._all_keys = all_keys
        self._packets: deque[Packet[Stream]] = deque()
        self._bytes = 0
        self._keys: deque[int] = deque()
        self._taken = 0
        self._has_begun = False
        self._shown: deque[_Stamp] = deque(maxlen=_MOST_PACKETS + 2 * _DEEPEST)

    @property
    def packets(self) -> tuple[Packet[Stream], ...]:
        """What is kept, from a key frame on; nothing where it is too long ago."""
        return tuple(self._packets)

    @property
    def has_begun(self) -> bool:
        """True once a key frame has come."""
        return self._has_begun

    def is_key(self, packet: Packet[Stream]) -> bool:
        """Tell whether decoding can begin here."""
        return self._all_keys or packet.is_keyframe

    def take(self, packet: Packet[Stream]) -> None:
        """Take a packet with data before it is decoded."""
        if self.is_key(packet):
            self._keys.append(self._taken)
            self._has_begun = True
        elif not self._keys:
            return
        self._packets.append(packet)
        self._bytes += packet.size
        self._taken += 1
        if len(self._packets) > _MOST_PACKETS or self._bytes > _MOST_BYTES:
            self._packets.clear()
            self._keys.clear()
            self._bytes = 0

    def shown(self, frames: Sequence[VideoFrame]) -> None:
        """Note what was handed out after the last packet taken."""
        self._shown.extend(map(_stamp, frames))
        while frames and len(self._keys) > 1 and self._taken - self._keys[1] > _DEEPEST:
            for _ in range(self._keys[1] - self._keys.popleft()):
                self._bytes -= self._packets.popleft().size

    def owed(self, frames: Iterable[VideoFrame]) -> list[VideoFrame]:
        """Return what of replayed frames, in the order of showing, comes after all that was handed out."""
        shown = {stamp for stamp in self._shown if stamp != (None, None)}
        owed: list[VideoFrame] = []
        for frame in frames:
            if _stamp(frame) in shown:
                owed.clear()
            else:
                owed.append(frame)
        if owed:
            self._shown.clear()
        return owed

    def clear(self) -> None:
        """Forget everything."""
        self._packets.clear()
        self._keys.clear()
        self._shown.clear()
        self._bytes = 0


def _stamp(frame: VideoFrame) -> _Stamp:
    return (frame.pts, None) if frame.pts is not None else (None, frame.dts)
