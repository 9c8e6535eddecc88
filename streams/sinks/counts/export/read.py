"""Reading the tables that the sink `counts` has written."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from pipeline.errors import SourceError
from streams.sinks.counts.layout import COLUMNS

OF = ": "
"""Between the name of a set of routes and a movement."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a table.

    Attributes:
        stream: whose.
        bin_s: nominal length of the interval, s.
        start: local time, with its offset.
        end: local time, with its offset.
        way: the routes and the movement, or the line and the direction.
        is_movement: which of the two.
        label: class; empty where nothing was counted.
        count: objects.
        seen_s: seconds observed, suspended and missing; None where only late objects are told.
    """

    stream: str
    bin_s: int
    start: datetime
    end: datetime
    way: str
    is_movement: bool
    label: str
    count: int
    seen_s: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are read; None is no limit.

    Attributes:
        first: local date.
        last: local date, included.
        stream: name.
    """

    first: date | None = None
    last: date | None = None
    stream: str | None = None


def tables_in(folder: Path) -> list[Path]:
    """Return the tables of a run, by name.

    Raises:
        SourceError: if there are none.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; give the output folder of a run")
    found = [path for path in sorted(folder.rglob("*.csv")) if _is_table(path)]
    if not found:
        raise SourceError(
            f"{folder}: there are no tables of counts in it; give the output folder of a run with the sink "
            "counts"
        )
    return found


def read_entries(tables: Iterable[Path], wanted: Wanted) -> Iterator[Entry]:
    """Yield the rows of these tables that are wanted.

    Raises:
        SourceError: naming file and line of a row that cannot be read.
    """
    for path in tables:
        if not _may_have(path, wanted):
            continue
        try:
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                for row in reader:
                    entry = _entry(row, path, reader.line_num)
                    if _is_wanted(entry, wanted):
                        yield entry
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"{path}: cannot be read: {error}") from error


def _is_table(path: Path) -> bool:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(next(csv.reader(file), ())) == COLUMNS
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _may_have(path: Path, wanted: Wanted) -> bool:
    """Whether a table can have rows of these dates; a live stream's has its date as its name."""
    try:
        day = date.fromisoformat(path.stem)
    except ValueError:
        return True
    return (wanted.first is None or day >= wanted.first) and (wanted.last is None or day <= wanted.last)


def _is_wanted(entry: Entry, wanted: Wanted) -> bool:
    day = entry.start.date()
    return (
        (wanted.stream is None or entry.stream == wanted.stream)
        and (wanted.first is None or day >= wanted.first)
        and (wanted.last is None or day <= wanted.last)
    )


def _entry(row: Mapping[str, str], path: Path, line: int) -> Entry:
    try:
        movement = row["movement"]
        seen = None
        if row["complete"]:
            seen = float(row["observed_s"]), float(row["suspended_s"]), float(row["missing_s"])
        return Entry(
            row["stream"],
            int(row["bin_s"]),
            datetime.fromisoformat(row["start"]),
            datetime.fromisoformat(row["end"]),
            f"{row['line']}{OF}{movement}" if movement else f"{row['line']} {row['direction']}".strip(),
            bool(movement),
            row["class"],
            int(row["count"]),
            seen,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path}:{line}: is no row of counts ({error}); put it right or take it out"
        ) from error
