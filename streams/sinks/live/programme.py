"""The coded pictures of one stream, original or annotated, for all who watch: made and kept once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from pipeline.packet import Packet, PacketFormat

logger = logging.getLogger(__name__)

_MOST_KEPT_BYTES = 8 << 20
_LEAST_STEP_S = 0.001
_LONGEST_S = 10.0
_BREAK_S = 0.1
_LONGEST_BREAK_S = 3600.0
_FIRST_S = 1.0
"""Where a programme's time begins: pictures that are decoded before the first is shown need room."""


class Listener(Protocol):
    """Who gets a programme's packets, in the thread in which they come."""

    def begin(self, form: PacketFormat) -> None:
        """Prepare for packets of this format; the first that follows is a key frame."""

    def put(self, packet: Packet, time_s: float) -> None:
        """Take a packet, shown at `time_s` of the programme's time."""

    def finish(self) -> None:
        """Nothing more will come, at least for a while."""


class Programme:
    """Hands packets on to its listeners, and keeps those since the latest key frame for who comes next.

    Its time goes on from connection to connection and never back, whatever media clocks do. Any thread may
    call any method.

    Attributes:
        stream: name of the stream.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._form: PacketFormat | None = None
        self._kept: deque[tuple[Packet, float]] = deque()
        self._kept_bytes = 0
        self._awaits_key = True
        self._sequence: int | None = None
        self._time = ProgrammeTime()
        self._rhythm = Rhythm()
        self.has_ended = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @property
    def form(self) -> PacketFormat | None:
        """Of the packets that come now, None before the first."""
        return self._form

    @property
    def rhythm(self) -> tuple[float, float]:
        """Longest recent seconds from key frame to key frame, and from picture to picture; 0 if not known."""
        with self._lock:
            return self._rhythm.longest()

    def begin(self, form: PacketFormat) -> None:
        """Say what the packets that follow are."""
        with self._lock:
            self.has_ended = False
            self._form = form
            self._forget()
            self._time.restart()
            self._rhythm.interrupt()
            self._awaits_key, self._sequence = True, None
            for listener in list(self._listeners):
                self._guarded(listener, lambda one: one.begin(form))

    def put(self, packet: Packet) -> None:
        """Hand on a packet; up to the first key frame, and after a loss up to the next, none is."""
        with self._lock:
            if self._form is None:
                return
            lost = self._sequence is not None and packet.sequence != self._sequence + 1
            self._sequence = packet.sequence
            self._awaits_key = (self._awaits_key or lost) and not packet.is_key
            if self._awaits_key:
                return
            time_s = self._time.of(packet.moment.pts_s)
            self._rhythm.note(time_s, is_key=packet.is_key)
            self._keep(packet, time_s)
            for listener in list(self._listeners):
                self._guarded(listener, lambda one: one.put(packet, time_s))

    def end(self) -> None:
        """Say that nothing more will come."""
        with self._lock:
            self.has_ended = True
            self._form = None
            self._forget()
            for listener in list(self._listeners):
                self._guarded(listener, lambda one: one.finish())

    def pause(self) -> None:
        """Forget what is kept: it will be old when somebody comes. `begin` goes on."""
        with self._lock:
            self._form = None
            self._forget()

    def has(self, listener: Listener) -> bool:
        """Whether this one still listens: one that failed was let go."""
        return listener in self._listeners

    def add(self, listener: Listener, *, from_key: bool) -> None:
        """Let somebody listen.

        Args:
            listener: who.
            from_key: begin with the packets since the latest key frame, else with the next key frame.
        """
        with self._lock:
            if self._form is not None:
                listener.begin(self._form)
                for packet, time_s in self._kept if from_key else ():
                    listener.put(packet, time_s)
            self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        """Let somebody listen no more; safe more than once."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
                listener.finish()

    def _keep(self, packet: Packet, time_s: float) -> None:
        if packet.is_key:
            self._forget()
        elif not self._kept:
            return  # too much was there since the key frame
        self._kept.append((packet, time_s))
        self._kept_bytes += len(packet.data)
        if self._kept_bytes > _MOST_KEPT_BYTES:
            self._forget()

    def _forget(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0

    def _guarded(self, listener: Listener, call: Callable[[Listener], None]) -> None:
        try:
            call(listener)
        except Exception as error:  # one viewer's trouble is not the others'
            logger.warning("stream '%s': a live viewer is let go: %s", self.stream, error)
            self._listeners.remove(listener)


class ProgrammeTime:
    """A time that goes on over restarts of the media clock. Pure."""

    def __init__(self) -> None:
        self._shift_s: float | None = None
        self._latest_s = 0.0
        self._must_follow = False

    def restart(self) -> None:
        """What follows may begin at any media time."""
        self._must_follow = True

    def of(self, pts_s: float) -> float:
        """Return the time of a picture; after `restart` later than all before, by as long as it was away."""
        if self._shift_s is None:
            self._shift_s = _FIRST_S - pts_s
        time_s = pts_s + self._shift_s
        if self._must_follow and not 0 <= time_s - self._latest_s - _LEAST_STEP_S < _LONGEST_BREAK_S:
            self._shift_s += self._latest_s + _BREAK_S - time_s
            time_s = pts_s + self._shift_s
        self._must_follow = False
        self._latest_s = max(self._latest_s, time_s)
        return time_s


class Rhythm:
    """Measures how far apart key frames and pictures are. Pure."""

    def __init__(self) -> None:
        self._keys: deque[float] = deque(maxlen=4)
        self._steps: deque[float] = deque(maxlen=100)
        self._key_s: float | None = None
        self._last_s: float | None = None

    def note(self, time_s: float, *, is_key: bool) -> None:
        """Take the time of a picture."""
        if self._last_s is not None and 0 < time_s - self._last_s < _LONGEST_S:
            self._steps.append(time_s - self._last_s)
        self._last_s = time_s
        if is_key:
            if self._key_s is not None and time_s > self._key_s:
                self._keys.append(time_s - self._key_s)
            self._key_s = time_s

    def interrupt(self) -> None:
        """Take note of a break, which is no step."""
        self._key_s = self._last_s = None

    def longest(self) -> tuple[float, float]:
        """Return seconds between key frames, and between pictures: of the latest, the longest."""
        running = 0.0 if self._key_s is None or self._last_s is None else self._last_s - self._key_s
        return max([running, *self._keys]), max(self._steps, default=0.0)
