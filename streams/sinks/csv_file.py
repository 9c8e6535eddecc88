"""Sink `csv`: events as rows of tables that spreadsheets open, go on from run to run, and are bounded."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, EventSinkOptions, SinkContext
from streams.sinks.body import json_of_all
from streams.sinks.rotating import Bounds, RotatingFile
from streams.sinks.textfile import FileName

_REMEMBERED = 2_000
"""Events whose doubles are recognised; more than a batch, as nothing older is delivered again."""
_PLAIN = ("id", "kind", "stream", "run", "sequence", "pts_s", "time", "time_ns", "clock", "uncertainty_ns",
          "track_id", "label", "x", "y", "data", "evidence", "producer")  # fmt: skip
_NESTED = ("data", "evidence", "producer")


def _known(name: str) -> str:
    first, *rest = name.split(".")
    if first in _PLAIN and (not rest or (first in _NESTED and all(rest))) and name.isprintable():
        return name
    raise ValueError(
        f"{name!r} is no column; known: {', '.join(_PLAIN)}, and what is within the last three: data.line"
    )


Column = Annotated[str, AfterValidator(_known)]
"""A field of an event, or something within `data`, `evidence` or `producer`, with dots."""


class CsvOptions(EventSinkOptions):
    """Options of the csv sink.

    Attributes:
        path: file within the output folder; the day and a number come before its suffix:
            `log/events-2026-03-01.000001.csv`.
        columns: what each row has, `id` first; `data.line` is the field `line` of the event's `data`, empty
            where an event has none; `data` is all of it, as JSON.
        delimiter: between two values. Spreadsheets set to a language with a decimal comma expect `;`.
        file_mb: a table that is larger is followed by another; each day (UTC) begins one, too.
        keep_files: most files; the oldest go.
        keep_days: files of an older day go.
        keep_mb: most megabytes of all files.
        fsync: wait for the disk once per batch, before the journal is told that the events are here.
    """

    path: FileName = "log/events.csv"
    columns: tuple[Column, ...] = Field(
        default=("id", "time", "stream", "kind", "track_id", "label", "x", "y", "data.line", "data.direction",
                 "data"),
        min_length=1, max_length=100,
    )  # fmt: skip
    delimiter: Literal[",", ";", "\t"] = ","
    file_mb: float = Field(default=64.0, ge=0.001, le=100_000)
    keep_files: int = Field(default=1_000, ge=2, le=100_000)
    keep_days: float = Field(default=30.0, gt=0, le=36_500)
    keep_mb: float = Field(default=1_000.0, ge=0.001, le=100_000_000)
    fsync: bool = True

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if self.columns[0] != "id":
            raise ValueError("columns: the first must be `id`, by which doubles are known")
        twice = [name for name in self.columns if self.columns.count(name) > 1]
        if twice:
            raise ValueError(f"columns: '{twice[0]}' is there twice")
        return self


class CsvSink(EventSink):
    """Appends rows (RFC 4180, UTF-8, lines end with LF); each event is one line, whatever is in it.

    Line breaks within a value become blanks. What a crash tore is mended, what comes twice dropped. Other
    `columns` than before begin a new file.
    """

    Options = CsvOptions
    emits = NO_EVENTS
    options: CsvOptions

    def __init__(self, options: CsvOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._path = context.folder / options.path
        bounds = Bounds(
            int(options.file_mb * 1e6), options.keep_files, options.keep_days, int(options.keep_mb * 1e6)
        )
        self._file = RotatingFile(self._path, bounds, fsync=options.fsync, header=self._line(options.columns))
        self._had: deque[str] = deque(maxlen=_REMEMBERED)

    @classmethod
    def files(cls, options: CsvOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the name that those of all its files are made of."""
        return [options.path]

    def deliver(self, events: Sequence[Event]) -> None:
        """Append what is not there yet.

        Raises:
            EventsRefused: naming those that JSON cannot carry.
            SinkError: if the disk takes nothing now.
        """
        json_of_all(events)
        with self._lock:
            try:
                if not self._file.is_open:
                    self._file.open()
                    self._file.trim()
                    self._had.extend(_ids(self._file.last_lines(_REMEMBERED), self.options.delimiter))
                had = set(self._had)
                new = {str(event.id): event for event in events if str(event.id) not in had}
                self._file.append([self._line(self._row(event)) for event in new.values()])
                self._had.extend(new)
            except OSError as error:
                # Some lines may be there, the last of them torn: opening it again finds out.
                self._file.close()
                reason = error.strerror or str(error)
                raise SinkError(f"cannot write {self._path}: {reason}; free space there") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _row(self, event: Event) -> list[str]:
        values = event.to_dict()
        values["x"], values["y"] = values["position"] or (None, None)
        return [_text(_at(values, name.split("."))) for name in self.options.columns]

    def _line(self, row: Sequence[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self.options.delimiter, lineterminator="\n").writerow(row)
        return text.getvalue().encode()


def _at(values: Mapping[str, Any], path: Sequence[str]) -> object:
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return " ".join(value.splitlines()) if not value.isprintable() else value
        case bool() | int() | float() | list() | tuple() | Mapping():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def _ids(lines: Iterable[bytes], delimiter: str) -> Iterable[str]:
    # The id is the first value, holds nothing that would be quoted, and is no heading.
    for line in lines:
        yield line.split(delimiter.encode(), 1)[0].decode(errors="replace")
