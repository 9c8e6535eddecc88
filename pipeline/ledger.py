"""Where every captured frame went: finished, or dropped by whom and why."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A consistent view of a ledger.

    Attributes:
        captured: frames that left the source.
        finished: frames that reached every sink.
        dropped: stage -> cause -> frames.
    """

    captured: int
    finished: int
    dropped: dict[str, dict[str, int]]

    @property
    def in_flight(self) -> int:
        """Frames that are neither finished nor dropped yet; 0 once a stream has ended."""
        lost = sum(n for causes in self.dropped.values() for n in causes.values())
        return self.captured - self.finished - lost


class Ledger:
    """Counts the frames of one stream; safe to use from all of its threads.

    The invariant is `captured == finished + dropped + in_flight` with `in_flight` never negative.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured = 0
        self._finished = 0
        self._dropped: Counter[tuple[str, str]] = Counter()

    def capture(self) -> None:
        """Count a frame that left the source."""
        with self._lock:
            self._captured += 1

    def finish(self) -> None:
        """Count a frame that reached every sink."""
        with self._lock:
            self._finished += 1

    def drop(self, stage: str, cause: str, frames: int = 1) -> None:
        """Count frames that `stage` dropped because of `cause`."""
        if frames:
            with self._lock:
                self._dropped[stage, cause] += frames

    def entry(self) -> LedgerEntry:
        """Return the present numbers, consistent with each other."""
        with self._lock:
            dropped: dict[str, dict[str, int]] = {}
            for (stage, cause), frames in sorted(self._dropped.items()):
                dropped.setdefault(stage, {})[cause] = frames
            return LedgerEntry(self._captured, self._finished, dropped)
