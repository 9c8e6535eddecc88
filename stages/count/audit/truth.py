"""What was judged, as truth for `sightline evaluate counts`: another detector can then be held against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import ConfigError
from stages.count.audit.marks import Marks
from stages.count.audit.windows import Window


def truth_lines(windows: Sequence[Window], marks: Marks) -> str:
    """Return JSON Lines: first what was watched and when, then each true crossing with its `time`.

    A count of the wrong direction becomes one of the other direction, one of the wrong class has none.

    Args:
        windows: of one stream; all of them must have been looked through.
        marks: of a person.

    Raises:
        ConfigError: if they are of several streams, or something was not looked through.
    """
    streams = sorted({window.stream for window in windows})
    if len(streams) > 1:
        raise ConfigError(f"truth is of one stream; choose one by --stream: {', '.join(streams)}")
    left = [window for window in windows if not _is_reviewed(window, marks)]
    if left:
        raise ConfigError(
            f"{len(left)} of {len(windows)} windows are not looked through, the first at "
            f"{_iso(left[0].begin_ns)} on '{left[0].line}'; do so, or leave them out by --from, --to, --line"
        )
    rows = sorted(
        (row for window in windows for row in _crossings(window, marks)),
        key=lambda row: (row["time"], row["line"]),
    )
    times = [row["time"] for row in rows]
    head = {
        "stream": streams[0],
        "lines": sorted({window.line for window in windows}),
        "from": min([_iso(min(window.begin_ns for window in windows)), *times]),
        "to": max([_iso(max(window.end_ns for window in windows)), *times]),
    }
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (head, *rows))


def _is_reviewed(window: Window, marks: Marks) -> bool:
    return window.id in marks.reviewed and all(count.id in marks.counts for count in window.counts)


def _crossings(window: Window, marks: Marks) -> list[dict[str, Any]]:
    rows = []
    for count in window.counts:
        verdict = marks.counts[count.id]
        if verdict.verdict == "wrong" and not verdict.is_misassigned:
            continue
        direction, label = count.direction, count.label
        if verdict.why == "direction":
            direction = _other(window, count.direction)
        elif verdict.why == "class":
            label = ""
        rows.append(_row(count.time_ns, window.line, direction, label))
    rows += [
        _row(round(missed.time_ms * 1e6), window.line, missed.direction, missed.label)
        for missed in marks.missed
        if missed.window == window.id
    ]
    return rows


def _other(window: Window, direction: str) -> str:
    names = window.strip.directions if window.strip else tuple({count.direction for count in window.counts})
    others = [name for name in names if name != direction]
    if len(others) != 1:
        raise ConfigError(
            f"line '{window.line}': '{direction}' was marked as the wrong direction, but no strip says which "
            "other one it has"
        )
    return others[0]


def _row(time_ns: int, line: str, direction: str, label: str) -> dict[str, Any]:
    row = {"time": _iso(time_ns), "line": line, "direction": direction}
    return {**row, "label": label} if label else row


def _iso(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return (
        datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest_ns // 1000:06d}+00:00"
    )
