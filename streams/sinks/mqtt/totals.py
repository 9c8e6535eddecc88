"""How many crossings of each line went to the broker so far, over restarts, each counted once."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.moment import iso_utc

logger = logging.getLogger(__name__)

KIND = "line.crossing"
_MOST_LABELS = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Which total."""

    stream: str
    line: str
    direction: str


@dataclass(slots=True)
class Total:
    """A total.

    Attributes:
        labels: class -> how many; "" for objects without one.
        time: of the latest crossing, UTC, "" before the first.
    """

    labels: dict[str, int] = field(default_factory=dict)
    time: str = ""

    def add(self, event: Event) -> None:
        """Count one crossing."""
        label = event.label or ""
        if label not in self.labels and len(self.labels) >= _MOST_LABELS:
            label = ""
        self.labels[label] = self.labels.get(label, 0) + 1
        self.time = max(self.time, iso_utc(event.moment.time_ns))

    def payload(self) -> bytes:
        """Return it as JSON."""
        total = sum(self.labels.values())
        return json.dumps(
            {"total": total, "labels": self.labels, "time": self.time}, ensure_ascii=False
        ).encode()


class Totals:
    """Kept in one JSON file, together with the ids of what was counted last.

    What is delivered again after a crash is the end of what was delivered before, so the ids of one delivery
    suffice to count everything once.

    Args:
        path: of the file; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.by_place: dict[Place, Total] = {}
        self.counted: frozenset[UUID] = frozenset()
        try:
            self._read(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.by_place = {}
            self.counted = frozenset()
            logger.warning("%s holds no totals (%s); they begin anew", path, type(error).__name__)

    def count(self, events: Sequence[Event]) -> list[Place]:
        """Count the crossings among events that were delivered, and store the totals.

        Returns:
            The places whose total changed.

        Raises:
            SinkError: if they cannot be stored; then none is counted.
        """
        fresh = [event for event in events if event.id not in self.counted]
        if not fresh:
            return []
        # Another thread may be reading the present ones.
        after = {place: Total(dict(total.labels), total.time) for place, total in self.by_place.items()}
        places = [_place(event) for event in fresh]
        for place, event in zip(places, fresh, strict=True):
            if place:
                after.setdefault(place, Total()).add(event)
        try:
            self._write(after, (event.id for event in events))
        except OSError as error:
            raise SinkError(f"{self._path}: cannot be written: {error.strerror or error}") from error
        self.by_place = after
        self.counted = frozenset(event.id for event in events)
        return list(dict.fromkeys(place for place in places if place))

    def _read(self, document: dict[str, Any]) -> None:
        for row in document["totals"]:
            labels = {str(label): int(number) for label, number in row["labels"].items()}
            place = Place(row["stream"], row["line"], row["direction"])
            self.by_place[place] = Total(labels, str(row["time"]))
        self.counted = frozenset(UUID(text) for text in document["counted"])

    def _write(self, totals: Mapping[Place, Total], counted: Iterable[UUID]) -> None:
        rows = [
            {
                "stream": place.stream,
                "line": place.line,
                "direction": place.direction,
                "labels": total.labels,
                "time": total.time,
            }
            for place, total in totals.items()
        ]
        text = json.dumps({"totals": rows, "counted": [str(one) for one in counted]}, ensure_ascii=False)
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, self._path)  # noqa: PTH105 - by its name


def _place(event: Event) -> Place | None:
    if event.kind != KIND or not {"line", "direction"} <= event.data.keys():
        return None
    return Place(event.stream, str(event.data["line"]), str(event.data["direction"]))
