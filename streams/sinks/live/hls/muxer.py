"""Packets to pieces of fragmented MP4, each of one picture, as soon as its duration is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.copier import Copier
from streams.sinks.copying.leaps import Leaps
from streams.sinks.live.hls.fragments import Fragments, codec_of, duration_of, ticks_per_s

_OPTIONS = {
    # The head is written with the first picture, as cameras bring their parameter sets with it.
    "movflags": "frag_every_frame+delay_moov+default_base_moof+skip_trailer+frag_discont",
    # Time begins where it is told to: not at 0, and without an edit list, which players of fragments ignore.
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
    "flush_packets": "1",
}
_MOST_UNWRITTEN = 64


@dataclass(frozen=True, slots=True)
class Head:
    """What a player must have before the pieces that follow.

    Attributes:
        data: `ftyp` and `moov`.
        codec: by RFC 6381, "" when not known.
        width: px, as coded.
        height: px, as coded.
    """

    data: bytes
    codec: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Piece:
    """One picture as a fragment.

    Attributes:
        data: `moof` and `mdat`.
        duration_s: until the next picture is decoded.
        is_key: whether decoding can begin with it.
        time_ns: UTC at which it was taken.
    """

    data: bytes
    duration_s: float
    is_key: bool
    time_ns: int


class HlsMuxer:
    """Makes pieces of one programme's packets; a listener of it (see `Programme`). Used by one thread.

    Args:
        take: gets each `Head` and each `Piece`.
    """

    def __init__(self, take: Callable[[Head | Piece], None]) -> None:
        self._take = take
        self._form: PacketFormat | None = None
        self._size = (0, 0)
        self._scale = 1
        self._copier: Copier | None = None
        self._leaps: Leaps | None = None
        self._written: deque[Packet] = deque()

    def begin(self, form: PacketFormat) -> None:
        """Prepare for packets of this format."""
        self.finish()
        self._form = form
        self._size = (form.width, form.height)

    def put(self, packet: Packet, time_s: float) -> None:
        """Take a packet, which is shown at `time_s` of the programme's own time.

        Raises:
            SinkError: if its codec cannot be in MP4.
        """
        form = self._form
        if form is None:
            return
        if self._copier is None or self._leaps is None:
            self._leaps = Leaps(form.time_base)
            origin = packet.pts - round(time_s / form.time_base)
            file = Fragments(self._head, self._piece)
            self._copier = Copier(file, form, container="mp4", options=_OPTIONS, origin=origin)
        self._written.append(packet)
        self._copier.write(self._leaps.without(packet))
        if len(self._written) > _MOST_UNWRITTEN:  # one packet is one fragment, but for what FFmpeg leaves out
            self._written.popleft()

    def finish(self) -> None:
        """Hand on what is left, and take nothing more until `begin`."""
        copier, self._copier = self._copier, None
        if copier is not None:
            copier.close()
        self._written.clear()
        self._form = None

    def _head(self, data: bytes) -> None:
        # Apple's players take H.265 under this name only; FFmpeg writes what belongs to it in either case.
        data = data.replace(b"hev1", b"hvc1", 1)
        self._scale = ticks_per_s(data)
        self._take(Head(data, codec_of(data), *self._size))

    def _piece(self, data: bytes) -> None:
        packet = self._written.popleft()
        self._take(Piece(data, duration_of(data) / self._scale, packet.is_key, packet.moment.time_ns))
