"""What the index is yet to be told."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from streams.sinks.record.index import Index
from streams.sinks.record.segment import Segment

_MOST = 1000
_AGAIN_S = 30.0


class Pending:
    """Keeps what the index does not take now (somebody has locked it, its disk is full), bounded.

    Its owner holds a lock: one thread at a time.

    Args:
        clock_s: monotonic.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._put: dict[str, Segment] = {}
        self._removed: dict[str, None] = {}
        self._due_s = float("-inf")

    def __len__(self) -> int:
        return len(self._put) + len(self._removed)

    @property
    def is_due(self) -> bool:
        """Whether to try: while somebody has locked it each try waits, and recording with it."""
        return self._clock_s() >= self._due_s

    def put(self, segment: Segment) -> None:
        """Note a segment, or what has become of it."""
        self._removed.pop(segment.path, None)
        self._put.pop(segment.path, None)
        self._put[segment.path] = segment
        if len(self._put) > _MOST:  # the next comparison with the disk finds it
            del self._put[next(iter(self._put))]

    def remove(self, path: str) -> None:
        """Note that a segment is gone."""
        self._put.pop(path, None)
        self._removed[path] = None
        if len(self._removed) > _MOST:
            del self._removed[next(iter(self._removed))]

    def move_stored(self, by_ns: int) -> None:
        """Move the time at which they were stored."""
        for path, segment in self._put.items():
            self._put[path] = replace(segment, stored_ns=segment.stored_ns + by_ns)

    def without(self, segments: Iterable[Segment]) -> list[Segment]:
        """Return those of which the index is right."""
        return [one for one in segments if one.path not in self._put and one.path not in self._removed]

    def settle(self, index: Index) -> None:
        """Tell the index.

        Raises:
            sqlite3.Error: if it does not take it; later is soon enough.
        """
        if not self._put and not self._removed:
            return
        try:
            index.put(self._put.values())
            index.remove(self._removed)
        except sqlite3.Error as error:
            if code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                self._due_s = self._clock_s() + _AGAIN_S
            raise
        self._put.clear()
        self._removed.clear()
        self._due_s = float("-inf")


def code_of(error: BaseException | None) -> int:
    """Return SQLite's primary result code, e.g. `sqlite3.SQLITE_FULL`; 0 if it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
