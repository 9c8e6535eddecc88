"""What happened in zones, on routes and at what speeds, summed up from the events of a replay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import SinkError
from pipeline.event import Event
from stages.count.history.bins import Bins

_MOST_VALUES = 100_000
_MEASURES = ("speed_kmh", "dwell_s", "waited_s", "travel_s", "top_kmh")


class Happening(NamedTuple):
    """What a number is of.

    Attributes:
        kind: of the event, e.g. "zone.left".
        name: of the line, zone or route.
        what: direction, movement or reason, where there is one.
        label: class, where there is one.
        bin: number of the interval.
    """

    kind: str
    name: str
    what: str
    label: str
    bin: int


@dataclass(slots=True)
class Summary:
    """How often something happened, and the figures that came with it.

    Attributes:
        counts: of each.
        values: by happening and measure, at most `_MOST_VALUES` each.
    """

    counts: dict[Happening, int] = field(default_factory=dict)
    values: dict[tuple[Happening, str], list[float]] = field(default_factory=dict)

    def add(self, event: Event, bins: Bins) -> None:
        """Take an event; of what lasts only its end, and its beginning where that is an event of its own."""
        data = event.data
        if data.get("state") == "update" or event.kind == "route.matrix":
            return
        if event.kind == "line.crossing" and "speed_kmh" not in data:
            return  # lines are counted elsewhere, and quicker
        if data.get("state") == "begin" and event.kind != "zone.entered":
            return
        (number,) = bins.numbers(np.array([event.moment.time_ns], np.int64)).tolist()
        what = next((str(data[key]) for key in ("direction", "movement", "reason") if data.get(key)), "")
        if event.kind == "route.partial":
            what = f"{data['origin'] or '?'} > {data['destination'] or '?'} ({what})"
        happening = Happening(event.kind, event.producer.name, what, event.label or "", number)
        self.counts[happening] = self.counts.get(happening, 0) + 1
        for measure in _MEASURES:
            value = data.get(measure)
            if isinstance(value, int | float):
                values = self.values.setdefault((happening, measure), [])
                if len(values) < _MOST_VALUES:
                    values.append(float(value))

    def means(self, happening: Happening) -> dict[str, float]:
        """Return the mean of each figure that came with something."""
        return {
            measure: round(fmean(values), 2)
            for (key, measure), values in self.values.items()
            if key == happening
        }


def summed_up(events: Iterable[Event], bins: Bins) -> Summary:
    """Return what happened, added up."""
    summary = Summary()
    for event in events:
        summary.add(event, bins)
    return summary


def rows_of(found: Mapping[str, Summary], bins: Bins) -> list[tuple[str, ...]]:
    """Return a header and one row for each number, sorted."""
    header = ("stream", "kind", "name", "what", "label", *(("from",) if bins.by else ()), "means", "count")
    rows = []
    for stream, summary in found.items():
        for each, count in sorted(summary.counts.items()):
            begin = (bins.text(each.bin),) if bins.by else ()
            means = " ".join(f"{name}={value:g}" for name, value in sorted(summary.means(each).items()))
            rows.append((stream, each.kind, each.name, each.what, each.label, *begin, means, str(count)))
    return [header, *rows] if rows else []


def document_of(summary: Summary, bins: Bins) -> list[dict[str, Any]]:
    """Return it as plain JSON values."""
    return [
        {
            "kind": each.kind,
            "name": each.name,
            "what": each.what,
            "label": each.label,
            **({"from": bins.text(each.bin)} if bins.by else {}),
            "count": count,
            "means": summary.means(each),
        }
        for each, count in sorted(summary.counts.items())
    ]


@contextmanager
def events_target(path: Path | None) -> Iterator[Callable[[Event], Event]]:
    """Yield what writes an event to the file as a line of JSON, and returns it; a no-op without a file.

    Raises:
        SinkError: if it cannot be written.
    """
    if path is None:
        yield lambda event: event
        return
    try:
        with path.open("w", encoding="utf-8") as file:

            def write(event: Event) -> Event:
                file.write(json.dumps(event.to_dict(), ensure_ascii=False, separators=(",", ":")) + "\n")
                return event

            yield write
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error
