"""Reading the tables back, and frames that follow each other."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.event import Event
from pipeline.frame import Counts, Frame
from pipeline.plugin import SinkContext, StreamInfo
from streams.sinks.counts import CountsOptions, CountsSink
from tests.streams.sinks.material import frame, info

BOTH: Counts = {"main": {"in": {}, "out": {}}}


def utc_s(text: str) -> float:
    """Seconds since 1970-01-01 UTC of a local time with its offset."""
    return datetime.fromisoformat(text).timestamp()


def live(stream: str = "gate") -> StreamInfo:
    return replace(info(stream), live=True)


def open_sink(folder: Path, *streams: str, is_live: bool = False, **options: Any) -> CountsSink:
    sink = CountsSink(CountsOptions(**options), SinkContext(folder))
    for stream in streams or ("gate",):
        sink.open_stream(live(stream) if is_live else info(stream))
    return sink


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of a recording."""
    return read(folder / "counts.csv")


def day(folder: Path, name: str, stream: str = "gate") -> list[dict[str, str]]:
    """The rows of a live stream's day."""
    return read(folder / "counts" / stream / f"{name}.csv")


def short(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """(direction, class, start of the interval as hh:mm:ss, count) of each row."""
    return [(row["direction"], row["class"], row["start"][11:19], row["count"]) for row in rows]


def feed(sink: CountsSink, *items: Event | Frame) -> None:
    for item in items:
        if isinstance(item, Event):
            sink.on_event(item)
        else:
            sink.on_frame(item)


def frames(from_s: float, to_s: float, step_s: float = 1.0, **fields: Any) -> Iterator[Frame]:
    """Frames of a stream, both ends included."""
    fields = {"counts": BOTH, **fields}
    for n in range(round((to_s - from_s) / step_s) + 1):
        yield frame(from_s + n * step_s, sequence=n, **fields)
