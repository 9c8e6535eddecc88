"""The accuracy of a run's counts as a table for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stages.count.audit.accuracy import Report

_TITLES = {"line": "by line", "direction": "by direction", "class": "by class", "hour": "by hour"}
_HEAD = ("", "counts", "right", "wrong", "missed", "precision (95 %)", "recall (95 %)", "count error (95 %)")


def accuracy_text(report: Report) -> str:
    """Return the table, with what its figures rest on."""
    values = report.to_dict()
    rows: list[Sequence[str]] = [_HEAD, _row("all", values["total"])]
    for kind, members in values["by"].items():
        rows.append((_TITLES[kind],))
        rows += [_row(f"  {name}", one) for name, one in members.items()]
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(widths[0]) if at == 0 else cell.rjust(widths[at]) for at, cell in enumerate(row))
        for row in rows
    ]
    total = report.total
    lines += [
        "",
        f"{total.right + total.wrong} of {total.counts} counts marked, "
        f"{report.reviewed_windows} of {report.windows} windows looked through.",
        "precision: of the marked counts; recall and count error: in the windows looked through.",
    ]
    return "\n".join(line.rstrip() for line in lines)


def _row(name: str, one: dict[str, Any]) -> Sequence[str]:
    return (
        name,
        str(one["counts"]),
        str(one["right"]),
        str(one["wrong"]),
        str(one["missed"]),
        _share(one["precision"], one["precision_interval"]),
        _share(one["recall"], one["recall_interval"]),
        _share(one["count_error"], one["count_error_interval"], signed=True),
    )


def _share(value: float | None, interval: Sequence[float] | None, *, signed: bool = False) -> str:
    if value is None or interval is None:
        return "-"
    sign = "+" if signed else ""
    return f"{value:{sign}.1%} ({interval[0]:{sign}.1%} to {interval[1]:{sign}.1%})"
