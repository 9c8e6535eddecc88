"""A box's journal, as a feeder in another process sees it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import msgpack

from pipeline.client import Numbered, ReliableListener
from pipeline.errors import SightlineError
from pipeline.journal import Entry

_BATCH = 500
_LOOK_S = 0.1
"""How long to wait for the box before looking whether somebody wakes us."""
_MOST_PREFIXES = 32


class _Held(NamedTuple):
    number: int
    box: str
    taken: Numbered


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """What is known of the box.

    Attributes:
        has_answered: whether it ever did.
        connected: whether it is there, as far as is known.
        handshakes_failed: how often its encryption, or ours, refused the other.
        waiting: events that are here and not done with.
    """

    has_answered: bool
    connected: bool
    handshakes_failed: int
    waiting: int


class RemoteOutbox:
    """Gives a `Feeder` what a box has in its journal; the box keeps the feeder's place in it.

    Events that come get numbers of our own, as those of the box begin anew with another journal. They wait
    here until they are acknowledged: at most what the box sends ahead. All methods but `wake`, `close` and
    `status` belong to the feeder's thread.

    Args:
        listener: connected to the box under the feeder's name.

    Attributes:
        error: why no more can come (another program took the name), None while it can.
        ended: set once there is an error.
    """

    def __init__(self, listener: ReliableListener) -> None:
        self._listener = listener
        self._held: deque[_Held] = deque()
        self._number = 0
        self.error: SightlineError | None = None
        self.ended = threading.Event()
        self._woken = threading.Event()

    @property
    def status(self) -> RemoteStatus:
        """What is known of the box."""
        listener = self._listener
        return RemoteStatus(
            bool(listener.box), listener.connected, listener.handshakes_failed, len(self._held)
        )

    def join(self, name: str, *, from_start: bool = False) -> int:  # noqa: ARG002 - the listener has both
        """Return that nothing was had yet; what was, the box knows."""
        return 0

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait for events above `after`, or until woken."""
        ends_s = time.monotonic() + timeout_s
        while True:
            self._look(0.0 if self._has(after) else _LOOK_S)
            if self._has(after):
                return True
            if self._woken.is_set() or time.monotonic() >= ends_s:
                self._woken.clear()
                return False

    def read(self, after: int, most: int) -> list[Entry]:
        """Return up to `most` entries above `after`, the same again until they are acknowledged."""
        found = [held for held in self._held if held.number > after][:most]
        return [
            Entry(held.number, held.taken.event.kind, msgpack.packb(held.taken.event.to_dict()))
            for held in found
        ]

    def acknowledge(self, name: str, seq: int) -> None:  # noqa: ARG002 - of the outbox's protocol
        """Tell the box that it need not keep what has a number up to `seq`."""
        last: _Held | None = None
        while self._held and self._held[0].number <= seq:
            last = self._held.popleft()
        if last is not None and last.box == self._listener.box:
            self._listener.acknowledge(last.taken.seq)

    def wake(self) -> None:
        """End the waiting, soon."""
        self._woken.set()

    def _has(self, after: int) -> bool:
        return bool(self._held) and self._held[-1].number > after

    def _look(self, timeout_s: float) -> None:
        """Take what the box sends; also while the sink takes nothing, so that it knows that we are here."""
        if self.error is not None:
            time.sleep(timeout_s)
            return
        try:
            if timeout_s == 0.0:
                self._listener.attend()
                return
            taken = self._listener.take(_BATCH, timeout_s)
        except SightlineError as error:
            self.error = error
            self.ended.set()
            return
        for numbered in taken:
            self._number += 1
            self._held.append(_Held(self._number, self._listener.box, numbered))


def prefixes_of(kinds: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the beginnings of kinds that patterns such as `zone.*` can match, so that no others are sent.

    Empty, for all, where a pattern can match any or there are too many of them.
    """
    found = tuple(dict.fromkeys(_literal(kind) for kind in kinds or ()))
    return found if all(found) and len(found) <= _MOST_PREFIXES else ()


def _literal(pattern: str) -> str:
    for place, sign in enumerate(pattern):
        if sign in "*?[":
            return pattern[:place]
    return pattern
