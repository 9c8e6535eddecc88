"""What a comparison of counts with the truth looks like, to people and to machines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.count.evaluate.run_folder import Run
from stages.count.evaluate.scoring import HOUR_S, SHORTEST_FOR_GEH_S, Interval, Score, Scores
from stages.count.evaluate.truth import Truth

_HEADINGS = ("", "counted", "true", "error", "right", "missed", "extra", "precision", "recall", "GEH")
_MOST_SHOWN = 20


def table(scores: Scores) -> str:
    """Return the figures as aligned text: all, then by line, by direction and by class."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for line, of_line in scores.lines.items():
        rows.append(_row(line, of_line))
        rows += [_row(f"  {gate[1]}", one) for gate, one in scores.directions.items() if gate[0] == line]
    rows.append(_row("all", scores.total))
    if scores.classes:
        rows.append(("",) * len(_HEADINGS))
        rows += [_row(f"class {name}", one) for name, one in scores.classes.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in rows
    )


def notes(truth: Truth, run: Run, scores: Scores, tolerance_s: float, seconds: float) -> list[str]:
    """Return what belongs beside the figures, a line each."""
    said = [f"right: same line and direction, within {tolerance_s:g} s, one to one"]
    for name, interval in (("precision", scores.total.precision_95), ("recall", scores.total.recall_95)):
        if interval is not None:
            said.append(f"{name} of all, 95 %: {interval[0]:.3f} to {interval[1]:.3f} (Wilson)")
    if scores.late_s is not None:
        said.append(
            f"moments: {scores.late_s:+.2f} s from the true ones, {scores.apart_s:.2f} s apart (medians)"
        )
    said.append(_about_geh(seconds, scores.total))
    if scores.left_out:
        said.append(f"{scores.left_out} crossings were counted outside of the watched time, not judged")
    for (is_a, named), count in sorted(scores.misnamed.items()):
        said.append(f"{count} of class {is_a} counted as {named}")
    said += _listed(
        "missed",
        [f"{e.line} {e.direction} at {truth.shown(e.time_s)}" + _class(e.label) for e in scores.missed],
    )
    extra = []
    for at in scores.extra:
        event = run.events[at]
        time_s = run.utc_s[at] if truth.is_utc else event.time_s
        extra.append(f"{event.line} {event.direction} at {truth.shown(time_s)}" + _class(event.label))
    return [*said, *_listed("extra", extra)]


def document(
    truth: Truth,
    run: Run,
    scores: Scores,
    tolerance_s: float,
    asked: Mapping[str, Any],
    remarks: Iterable[str],
) -> dict[str, Any]:
    """Return everything as plain JSON values, with what it was made from."""
    report = run.report
    return {
        "truth": {
            "path": truth.origin,
            "sha256": _sha256(Path(truth.origin)),
            "crossings": len(truth.events),
            "clip": asdict(truth.clip),
        },
        "run": {
            "folder": str(run.folder),
            "stream": run.stream,
            "source": report["source"],
            "status": run.status,
            "media_seconds": run.media_seconds,
            "config_hash": report["config_hash"],
            "events_sha256": _sha256(run.folder / "events.jsonl"),
        },
        "asked": dict(asked),
        "tolerance_s": tolerance_s,
        "total": _values(scores.total),
        "lines": {
            line: {
                **_values(one),
                "directions": {
                    gate[1]: _values(of) for gate, of in scores.directions.items() if gate[0] == line
                },
            }
            for line, one in scores.lines.items()
        },
        "classes": {name: _values(one) for name, one in scores.classes.items()},
        "misnamed": [
            {"class": is_a, "counted_as": named, "crossings": count}
            for (is_a, named), count in sorted(scores.misnamed.items())
        ],
        "late_s": _rounded(scores.late_s),
        "apart_s": _rounded(scores.apart_s),
        "missed": [asdict(event) for event in scores.missed],
        "extra": [{**asdict(run.events[at]), "event": run.ids[at]} for at in scores.extra],
        "left_out": scores.left_out,
        "notes": list(remarks),
    }


def _row(name: str, one: Score) -> tuple[str, ...]:
    share = "" if one.error_share is None else f" ({100 * one.error_share:+.1f} %)"
    return (
        name,
        str(one.counted),
        str(one.true),
        f"{one.error:+d}{share}" if one.error else "0",
        str(one.right),
        str(one.missed),
        str(one.extra),
        _text(one.precision),
        _text(one.recall),
        "-" if one.geh is None else f"{one.geh:.2f}",
    )


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _class(label: str | None) -> str:
    return f", {label}" if label else ""


def _listed(what: str, texts: list[str]) -> list[str]:
    if not texts:
        return []
    more = f"; and {len(texts) - _MOST_SHOWN} more, see --json" if len(texts) > _MOST_SHOWN else ""
    return [f"{what}: {'; '.join(texts[:_MOST_SHOWN])}{more}"]


def _about_geh(seconds: float, total: Score) -> str:
    if seconds < SHORTEST_FOR_GEH_S:
        return f"GEH compares volumes of an hour; {seconds:.0f} s are too short for it (15 min at least)"
    if seconds < HOUR_S:
        return f"GEH: of the {seconds / 60:.0f} min scaled up to an hour; a full hour says more"
    return f"GEH: the worst hour; {total.hours_below_5} of {total.hours} hours of all are below 5"


def _values(one: Score) -> dict[str, Any]:
    return {
        "counted": one.counted,
        "true": one.true,
        "error": one.error,
        "error_share": _rounded(one.error_share),
        "right": one.right,
        "missed": one.missed,
        "extra": one.extra,
        "precision": _rounded(one.precision),
        "precision_95": _both(one.precision_95),
        "recall": _rounded(one.recall),
        "recall_95": _both(one.recall_95),
        "geh": _rounded(one.geh),
        "hours": one.hours,
        "hours_geh_below_5": one.hours_below_5,
    }


def _both(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(interval[0], 4), round(interval[1], 4)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
