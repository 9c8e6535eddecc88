"""A sheet of counts as CSV, as JSON values and as text for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streams.sinks.counts.export.sheet import Interval, Peak, Sheet, peak_hour

if TYPE_CHECKING:
    from rich.table import Table

_NOT_WHOLE = "*"
_UNBOUNDED = 10_000
"""Columns of a console on which nothing is cut off."""


def csv_text(sheets: Sequence[Sheet]) -> str:
    """Return sheets as one CSV: a row for each interval, a column for each way and class, and their sum.

    Streams share the columns; where one does not have a way, its cells are empty.
    """
    ways = sorted({way for sheet in sheets for way in sheet.ways})
    names = [" ".join(part for part in way if part) for way in ways]
    rows: list[list[Any]] = [["stream", "start", "end", *names, "total", "complete", "observed_s"]]
    for sheet in sheets:
        mine = set(sheet.ways)
        for one in sheet.intervals:
            cells = [one.counts.get(way, 0) if way in mine else "" for way in ways]
            observed_s = f"{one.seconds[0]:.2f}"
            complete = str(one.is_complete).lower()
            start, end = one.start.isoformat(), one.end.isoformat()
            rows.append([sheet.stream, start, end, *cells, one.total, complete, observed_s])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def document(sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Return sheets as plain JSON values."""
    return {
        "streams": {
            sheet.stream: {
                "bin_s": sheet.bin_s,
                "peak_hour": _peak(peak_hour(sheet)),
                "intervals": [_interval(one) for one in sheet.intervals],
            }
            for sheet in sheets
        }
    }


def text(sheet: Sheet, width: int) -> str:
    """Return a sheet for people: classes added up, the busiest hour below.

    Names of columns are broken at blanks where it would be wider than `width`. No figure is ever cut off.
    """
    from rich.console import Console
    from rich.measure import Measurement

    shown = io.StringIO()
    console = Console(width=_UNBOUNDED, file=shown)
    table = _table(sheet, " ")
    if Measurement.get(console, console.options, table).maximum > width:
        table = _table(sheet, "\n")
    console.print(table)
    lines = [line.rstrip() for line in shown.getvalue().splitlines()]
    return "\n".join([f"{sheet.stream}, {_length(sheet)}", *lines, *_notes(sheet)])


def _length(sheet: Sheet) -> str:
    return f"{sheet.bin_s} s" if sheet.bin_s % 60 else f"{sheet.bin_s // 60} min"


def _table(sheet: Sheet, blank: str) -> Table:
    """Return the table of a sheet; `blank` is between the words of its columns' names."""
    from rich.table import Table
    from rich.text import Text

    names = sorted({way for way, _ in sheet.ways})
    clock = "%H:%M:%S" if sheet.bin_s % 60 else "%H:%M"
    table = Table(box=None, padding=(0, 1))
    table.add_column("from")
    table.add_column("to")
    for name in (*names, "total"):
        table.add_column(Text(name.replace(" ", blank)), justify="right")
    table.add_column("")
    for one in sheet.intervals:
        sums = [sum(count for (way, _), count in one.counts.items() if way == name) for name in names]
        mark = "" if one.is_complete else _NOT_WHOLE
        times = one.start.strftime(f"%Y-%m-%d {clock} %z"), one.end.strftime(clock)
        table.add_row(*times, *map(str, sums), str(one.total), mark)
    return table


def _notes(sheet: Sheet) -> list[str]:
    notes = []
    broken = [one for one in sheet.intervals if not one.is_complete]
    if broken:
        missing_s, suspended_s = (sum(one.seconds[place] for one in broken) for place in (2, 1))
        notes.append(
            f"{_NOT_WHOLE} {len(broken)} of {len(sheet.intervals)} intervals were not watched as a whole: "
            f"{missing_s:.0f} s missing, {suspended_s:.0f} s suspended"
        )
    peak = peak_hour(sheet)
    if peak is not None:
        factor = "" if peak.factor is None else f", peak hour factor {peak.factor:.2f}"
        notes.append(f"busiest hour: from {peak.start:%Y-%m-%d %H:%M %z}, {peak.total} objects{factor}")
    elif sheet.bin_s <= 3600:
        notes.append("busiest hour: unknown, as no hour was watched as a whole")
    return notes


def _peak(peak: Peak | None) -> dict[str, Any] | None:
    if peak is None:
        return None
    return {"start": peak.start.isoformat(), "total": peak.total, "factor": peak.factor}


def _interval(one: Interval) -> dict[str, Any]:
    observed_s, suspended_s, missing_s = (round(value, 2) for value in one.seconds)
    counts: dict[str, dict[str, int]] = {}
    for (way, label), count in sorted(one.counts.items()):
        counts.setdefault(way, {}).update({label: count} if label else {})
    return {
        "start": one.start.isoformat(),
        "end": one.end.isoformat(),
        "counts": counts,
        "total": one.total,
        "complete": one.is_complete,
        "observed_s": observed_s,
        "suspended_s": suspended_s,
        "missing_s": missing_s,
    }
