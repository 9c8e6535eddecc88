"""Sink `csv`: events as rows of tables that spreadsheets open, go on from run to run, and are bounded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.event import Event
from pipeline.plugin import SinkContext
from streams.sinks.event_file import EventFileOptions, EventFileSink
from streams.sinks.textfile import FileName

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


class CsvOptions(EventFileOptions):
    """Options of the csv sink, beside those of `EventFileOptions`.

    Attributes:
        columns: what each row has, `id` first; `data.line` is the field `line` of the event's `data`, empty
            where an event has none; `data` is all of it, as JSON.
        delimiter: between two values. Spreadsheets set to a language with a decimal comma expect `;`.
    """

    path: FileName = "log/events.csv"
    columns: tuple[Column, ...] = Field(
        default=("id", "time", "stream", "kind", "track_id", "label", "x", "y", "data.line", "data.direction",
                 "data"),
        min_length=1, max_length=100,
    )  # fmt: skip
    delimiter: Literal[",", ";", "\t"] = ","

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        if self.columns[0] != "id":
            raise ValueError("columns: the first must be `id`, by which doubles are known")
        twice = [name for name in self.columns if self.columns.count(name) > 1]
        if twice:
            raise ValueError(f"columns: '{twice[0]}' is there twice")
        return self


class CsvSink(EventFileSink):
    """Appends rows (RFC 4180, UTF-8, lines end with LF); each event is one line, whatever is in it.

    Line breaks within a value become blanks. Other `columns` than before begin a new file.
    """

    Options = CsvOptions
    options: CsvOptions

    def __init__(self, options: CsvOptions, context: SinkContext) -> None:
        super().__init__(options, context, _row(options.columns, options.delimiter))

    def line(self, event: Event, text: str) -> bytes:  # noqa: ARG002 - made of single values
        """Return the row."""
        values = event.to_dict()
        values["x"], values["y"] = values["position"] or (None, None)
        row = [_text(_at(values, name.split("."))) for name in self.options.columns]
        return _row(row, self.options.delimiter)

    def id_in(self, line: bytes) -> str:
        """Return the first value, which holds nothing that would be quoted; of a heading "id"."""
        return line.split(self.options.delimiter.encode(), 1)[0].decode(errors="replace")


def _row(values: Sequence[str], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(values)
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
