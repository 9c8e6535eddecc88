"""Where the packets of one stream come in, get the clocks of its frames, and go to whoever takes them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat, Tap

_MOST_HELD = 256
"""Packets that may wait for the first frame: a second or more of any camera."""
_LEAP_S = 2.0
"""Stamps that go so far back, or beyond the time that passed here, have leapt: a frame tells where to."""
_UNKNOWN = Moment(0.0, 0, Clock.ARRIVAL)


class Taker(Protocol):
    """Somebody who takes the packets of one stream. No method raises; only recordings may be made to wait."""

    def begin(self, form: PacketFormat) -> None:
        """Take note of the format of what follows."""

    def put(self, packet: Packet) -> None:
        """Take a packet."""

    def over(self) -> None:
        """Take note that nothing more of the latest format follows."""


class Packets:
    """The packets of one stream, from connection to connection.

    A packet has the clocks of the frame that it becomes. Those are known once frames are: what comes before
    the first frame of a connection waits for it, and so does what comes after a leap of the time stamps.

    Args:
        takers: who takes them.
        clock: monotonic seconds.
    """

    def __init__(self, takers: Sequence[Taker], clock: Callable[[], float] = time.monotonic) -> None:
        self._takers = tuple(takers)
        self._clock = clock
        self._lock = threading.Lock()
        self._made = 0
        self._current: _Tap | None = None

    def tap(self) -> Tap:
        """Return where the next connection's source may lay down its packets."""
        with self._lock:
            self._made += 1
            return _Tap(self, self._made, self._clock)

    def placed(self, frame: Frame) -> None:
        """Learn from a frame how its connection's time stamps lie on both clocks."""
        tap = self._current
        if tap is not None and frame.ticks is not None:
            for packet in tap.placed(frame.run, frame.ticks, frame.moment):
                self.hand_on(tap, packet)

    def over(self) -> None:
        """Tell the takers that the source has ended."""
        with self._lock:
            current, self._current = self._current, None
        if current is not None:
            for taker in self._takers:
                taker.over()

    def began(self, tap: _Tap, form: PacketFormat) -> bool:
        """Make a tap the current one, unless that of a later connection is."""
        with self._lock:
            if self._current is not None and self._current.number > tap.number:
                return False
            had, self._current = self._current, tap
        for taker in self._takers:
            if had is not None:
                taker.over()
            taker.begin(form)
        return True

    def hand_on(self, tap: _Tap, packet: Packet) -> None:
        """Give a packet to all takers, if its tap is still the current one."""
        if tap is self._current:
            for taker in self._takers:
                taker.put(packet)


class _Tap:
    """Where one connection's source lays down its packets; used by its thread."""

    def __init__(self, packets: Packets, number: int, clock: Callable[[], float]) -> None:
        self.number = number
        self._packets = packets
        self._clock = clock
        self._form: PacketFormat | None = None
        self._sequence = 0
        self._last: tuple[int, float] | None = None
        self._known: tuple[int, Moment] | None = None
        self._held: deque[Packet] = deque(maxlen=_MOST_HELD)

    def begin(self, form: PacketFormat) -> None:
        """See `Tap.begin`."""
        self._form = form if self._packets.began(self, form) else None
        self._sequence = 0
        self._last = None
        self._known = None
        self._held.clear()

    def put(self, data: bytes, *, pts: int, dts: int | None, duration: int, is_key: bool) -> None:
        """See `Tap.put`."""
        form = self._form
        if form is None:
            return
        packet = Packet(form.stream, form.run, self._sequence, data, pts, dts, duration, is_key, _UNKNOWN)
        self._sequence += 1
        if self._leaps(pts, form.time_base):
            self._known = None
        if self._known is None:
            self._held.append(packet)
        else:
            self._packets.hand_on(self, _placed(packet, self._known, form.time_base))

    def _leaps(self, pts: int, time_base: Fraction) -> bool:
        """Whether the time stamps have leapt since the packet before."""
        now_s, last = self._clock(), self._last
        self._last = pts, now_s
        if last is None:
            return False
        step_s = float((pts - last[0]) * time_base)
        return not -_LEAP_S <= step_s <= now_s - last[1] + _LEAP_S

    def placed(self, run: str, ticks: int, moment: Moment) -> list[Packet]:
        """Take note of a frame's clocks; return what has waited for them."""
        form = self._form
        if form is None or run != form.run:
            return []
        # Of what was before a leap, frames are still on their way.
        if self._held and not any(
            abs(ticks - packet.pts) * form.time_base <= _LEAP_S for packet in self._held
        ):
            return []
        known = self._known = (ticks, moment)
        held = [_placed(packet, known, form.time_base) for packet in self._held]
        self._held.clear()
        return held


def _placed(packet: Packet, known: tuple[int, Moment], time_base: Fraction) -> Packet:
    """Return a packet with the moment that follows from that of another time stamp."""
    ticks, moment = known
    return replace(packet, moment=moment.shifted(float((packet.pts - ticks) * time_base)))
