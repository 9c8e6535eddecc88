"""The latest packets of a stream, within bounds of time and bytes, in whole groups from key frame on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.packet import Packet, PacketFormat


@dataclass(slots=True)
class _Group:
    """A key frame and what follows up to the next."""

    form: PacketFormat
    number: int
    packets: list[Packet] = field(default_factory=list)
    size: int = 0

    @property
    def start_s(self) -> float:
        return self.packets[0].moment.pts_s


class PacketRing:
    """Keeps packets; each has a number, counted over all that ever came.

    The oldest group goes as soon as the others reach back far enough, or when all are too many bytes. A
    group that is too large alone goes too, and what comes up to the next key frame is not kept.

    Args:
        keep_s: how far back it reaches, as long as the bytes allow, s of media time.
        most_bytes: of the packets' data.

    Attributes:
        size: bytes now.
        shortened: groups that had to go for their bytes, although they were new enough.
    """

    def __init__(self, keep_s: float, most_bytes: int) -> None:
        self._keep_s = keep_s
        self._most_bytes = most_bytes
        self._groups: deque[_Group] = deque()
        self._next = 0
        self._newest_s: float | None = None
        self._is_open = False
        self._has_dropped = False
        self.size = 0
        self.shortened = 0

    @property
    def newest_s(self) -> float | None:
        """Media time of the latest packet, None before the first."""
        return self._newest_s

    @property
    def next_number(self) -> int:
        """Number that the next packet will have."""
        return self._next

    def reach_s(self, run: str) -> float | None:
        """Return the media time of the oldest packet of a run; None if there is none."""
        return next((group.start_s for group in self._groups if group.form.run == run), None)

    def has_lost(self, run: str) -> bool:
        """Whether packets of this run were here and are gone."""
        oldest = next((group for group in self._groups if group.form.run == run), None)
        return oldest is None or (self._has_dropped and oldest is self._groups[0])

    def begin(self) -> None:
        """Take note that what follows does not go on with what came before."""
        self._is_open = False

    def add(self, form: PacketFormat, packet: Packet) -> None:
        """Keep a packet; one without a key frame before it is left out."""
        if packet.is_key:
            self._groups.append(_Group(form, self._next))
            self._is_open = True
        self._next += 1
        if not self._is_open:
            return
        group = self._groups[-1]
        group.packets.append(packet)
        group.size += len(packet.data)
        self.size += len(packet.data)
        now_s = packet.moment.pts_s
        # A camera's media time goes on over its runs; should it jump back, what is there is of no use.
        self._newest_s = now_s if packet.is_key or self._newest_s is None else max(self._newest_s, now_s)
        while len(self._groups) > 1 and self._groups[1].start_s <= now_s - self._keep_s:
            self._drop()
        while self.size > self._most_bytes and self._groups:
            self.shortened += 1
            self._is_open = len(self._groups) > 1
            self._drop()

    def number_at(self, run: str, time_s: float) -> int | None:
        """Return the number of the key frame from which a time can be shown, the oldest if none is.

        None if there is no packet of the run.
        """
        found: int | None = None
        for group in self._groups:
            if group.form.run == run and (found is None or group.start_s <= time_s):
                found = group.number
        return found

    def run_at(self, time_s: float) -> str | None:
        """Return the run to which a time belongs: the latest that had begun, else the oldest."""
        found: str | None = None
        for group in self._groups:
            if found is None or group.start_s <= time_s:
                found = group.form.run
        return found

    def since(self, number: int) -> Iterator[tuple[int, PacketFormat, Packet]]:
        """Yield the packets from a number on, those that are still there, with their numbers."""
        for group in self._groups:
            if group.number + len(group.packets) <= number:
                continue
            skipped = max(0, number - group.number)
            for place, packet in enumerate(group.packets[skipped:], group.number + skipped):
                yield place, group.form, packet

    def _drop(self) -> None:
        self.size -= self._groups.popleft().size
        self._has_dropped = True
