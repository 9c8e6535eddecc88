"""Running totals of one stream, taken from its events."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from pipeline.event import Event
from pipeline.frame import Counts

_GAPS_KEPT = 100
"""Gaps listed in a report; all of them are counted, and all of them are events."""


class Tally:
    """Counts by line, direction and label, and the gaps; written by one thread, read by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, dict[str, int]]] = {}
        self._known: Counts | None = None
        self._gaps: deque[dict[str, Any]] = deque(maxlen=_GAPS_KEPT)
        self._gap_count = 0
        self._events = 0

    def expect(self, counts: Counts | None) -> None:
        """Learn the lines and directions there are, so that an idle line shows as 0 and is not missing."""
        if counts is None or counts is self._known:
            return
        self._known = counts
        with self._lock:
            for line, directions in counts.items():
                for direction in directions:
                    self._counts.setdefault(line, {}).setdefault(direction, {})

    def add(self, event: Event) -> None:
        """Take one event into the totals."""
        with self._lock:
            self._events += 1
            if event.kind == "line.crossing":
                labels = self._counts.setdefault(event.data["line"], {}).setdefault(
                    event.data["direction"], {}
                )
                label = event.label or "object"
                labels[label] = labels.get(label, 0) + 1
            elif event.kind == "stream.gap":
                self._gap_count += 1
                self._gaps.append(dict(event.data))

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return a copy of line -> direction -> label -> objects."""
        with self._lock:
            return {
                line: {direction: dict(sorted(labels.items())) for direction, labels in directions.items()}
                for line, directions in self._counts.items()
            }

    def gaps(self) -> tuple[int, list[dict[str, Any]]]:
        """Return how many gaps there were, and the latest of them."""
        with self._lock:
            return self._gap_count, list(self._gaps)

    @property
    def events(self) -> int:
        """How many events there were, of all kinds."""
        with self._lock:
            return self._events
