"""Time stamps without the leaps that media time did not make."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from pipeline.packet import Packet

_LEAP_S = 1.0
"""More than pictures are out of order, and than two ways of counting the same time differ."""


class Leaps:
    """Takes the leaps out of one connection's time stamps. Used by one thread, in the order of decoding.

    A camera that sets its clock, or whose counter begins anew, sends on with stamps that are hours off. Media
    time is judged where pictures are, and goes on; a container that was given the stamps as they are would
    show nothing for hours, or all at once.

    Args:
        time_base: of the stamps, seconds a tick.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._tick_s = float(time_base)
        self._shift = 0
        self._lead_s: float | None = None
        self._highest: int | None = None

    def without(self, packet: Packet) -> Packet:
        """Return the packet, its stamps moved if need be."""
        lead_s = packet.pts * self._tick_s - packet.moment.pts_s
        if self._lead_s is not None and abs(lead_s - self._lead_s) > _LEAP_S:
            self._shift -= round((lead_s - self._lead_s) / self._tick_s)
        self._lead_s = lead_s
        if self._highest is not None and (self._highest - packet.pts - self._shift) * self._tick_s > _LEAP_S:
            self._shift = self._highest + max(packet.duration, 1) - packet.pts
        pts = packet.pts + self._shift
        self._highest = pts if self._highest is None else max(self._highest, pts)
        if not self._shift:
            return packet
        return replace(packet, pts=pts, dts=None if packet.dts is None else packet.dts + self._shift)
