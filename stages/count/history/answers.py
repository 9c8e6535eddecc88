"""What a recount has found, as a table, as CSV and as JSON."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from csv import writer
from typing import Any

from stages.count.history.bins import Bins
from stages.count.history.happened import Summary, document_of
from stages.count.history.happened import rows_of as happened_rows
from stages.count.history.recount import Recount

HEADER = ("stream", "line", "direction", "label", "count")


def rows_of(found: Mapping[str, Recount], bins: Bins) -> list[tuple[str, ...]]:
    """Return a header and one row for each number, sorted; of intervals only those with a count."""
    header = (*HEADER[:-1], "from", "count") if bins.by else HEADER
    rows = []
    for stream, each in found.items():
        ordered = sorted(each.counts.items(), key=lambda item: (item[0].line, item[0].bin, item[0][1:3]))
        for counted, count in ordered:
            begin = (bins.text(counted.bin),) if bins.by else ()
            rows.append((stream, counted.line, counted.direction, counted.label, *begin, str(count)))
    return [header, *rows]


def text(found: Mapping[str, Recount], happened: Mapping[str, Summary], bins: Bins, *, csv: bool) -> str:
    """Return all of it as tables with notes below, or as CSV: two of them, with a blank line between."""
    tables = [rows for rows in (rows_of(found, bins) if found else [], happened_rows(happened, bins)) if rows]
    if csv:
        return "\n".join(as_csv(rows) for rows in tables)
    said = "".join(f"- {note}\n" for note in notes(found))
    if not tables:
        said = "nothing happened in that time\n" + said
    return "\n".join(as_table(rows) for rows in tables) + said


def as_csv(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as CSV."""
    out = io.StringIO()
    writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text in columns, the numbers at their ends to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("  ".join([*cells, row[-1].rjust(widths[-1])]).rstrip())
    return "\n".join(lines) + "\n"


def as_document(
    found: Mapping[str, Recount], happened: Mapping[str, Summary], bins: Bins, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return it as plain JSON values.

    Keys: `format`, `asked` (as given), `streams`: name -> `trajectories` that were kept in that time,
    `near` and `damaged` of them, `doubtful` of them by line, `counts`: a list of `line`, `direction`,
    `label`, `from` (with intervals) and `count`; `happened`: stream -> a list of the same with `kind`,
    `name`, `what`, and the `means` of the figures that came with it.
    """
    streams = {
        stream: {
            "trajectories": each.trajectories,
            "near": each.near,
            "doubtful": dict(each.doubtful),
            "damaged": each.damaged,
            "counts": [
                {
                    "line": counted.line,
                    "direction": counted.direction,
                    "label": counted.label,
                    **({"from": bins.text(counted.bin)} if bins.by else {}),
                    "count": count,
                }
                for counted, count in sorted(each.counts.items())
            ],
        }
        for stream, each in found.items()
    }
    return {
        "format": 1,
        "asked": dict(asked),
        "streams": streams,
        "happened": {stream: document_of(summary, bins) for stream, summary in happened.items()},
    }


def notes(found: Mapping[str, Recount]) -> list[str]:
    """Return what a person should know about the numbers."""
    said = []
    for stream, each in found.items():
        said.append(f"{stream}: {each.trajectories} trajectories, {each.near} of them near the lines")
        said.extend(f"{line} {told}" for line, told in each.unmatched.items())
        for line, count in sorted(each.doubtful.items()):
            if count:
                said.append(
                    f"{line}: {count} trajectories pass so near its ends or the edge of its band that "
                    "what is stored, exact to a unit, may count otherwise than the camera would have; a line "
                    "that was counted live is exact all the same"
                )
        if each.damaged:
            said.append(f"{stream}: {each.damaged} trajectories are damaged and left out")
    return said
