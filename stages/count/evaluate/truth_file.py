"""Truth files: what a person or another instrument counted, as CSV or JSON Lines.

CSV has a line of column names; what begins with `#` before it may say what the counting is of:

    # duration_s: 30.16
    # width: 768
    # height: 432
    # lines: gate, exit/out
    pts_s,line,direction,label
    5.60,gate,up,car

JSON Lines has the same keys: an object without "line" says what the counting is of, each of the others is a
crossing. The events of a run (events.jsonl) are such a file: those of other kinds are passed over.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from pipeline.errors import SourceError
from stages.count.evaluate.near import nearest
from stages.count.evaluate.truth import Clip, Event, Truth, Watched, lines_of

_COLUMNS = ("pts_s", "time", "line", "direction", "label", "stream", "note")
_HEAD = ("stream", "source", "run", "width", "height", "duration_s", "lines", "from", "to")
_MOST = 2_000_000
"""Most crossings of one file: a busy line has a tenth of that in a month."""


def read_truth(path: Path, stream: str | None = None) -> Truth:
    """Read a truth file: JSON Lines where it is called .jsonl or .json, else CSV.

    Args:
        path: of the file.
        stream: whose crossings are taken where the file has those of several, as the events of a run may.

    Raises:
        SourceError: what is wrong in which line, and what is wanted there.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            jsonl = path.suffix.lower() in (".jsonl", ".json", ".ndjson")
            head, rows = _jsonl(path, file) if jsonl else _csv(path, file)
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    return _truth(path, head, _of_one_stream(path, rows, stream))


_Row = tuple[int, Mapping[str, Any]]


def _csv(path: Path, file: Iterator[str]) -> tuple[dict[str, Any], list[_Row]]:
    head: dict[str, Any] = {}
    names: list[str] | None = None
    rows: list[_Row] = []
    for number, line in enumerate(file, 1):
        text = line.strip()
        if not text:
            continue
        if text.startswith("#"):
            key, colon, value = text.lstrip("# ").partition(":")
            if colon and (known := _known_head(path, number, key.strip())):
                head[known] = value.strip()
            continue
        values = [
            value.strip() for value in next(csv.reader([text], delimiter=";" if _semicolon(text) else ","))
        ]
        if names is None:
            names = _names(path, number, values)
            continue
        if len(values) != len(names):
            raise SourceError(f"{path}:{number}: {len(values)} values, but there are {len(names)} columns")
        rows.append((number, dict(zip(names, values, strict=True))))
        _bounded(path, rows)
    if names is None:
        raise SourceError(f"{path}: empty; wanted a line of column names such as pts_s,line,direction,label")
    return head, rows


def _semicolon(text: str) -> bool:
    return text.count(";") > text.count(",")


def _names(path: Path, number: int, values: list[str]) -> list[str]:
    for name in values:
        if name not in _COLUMNS:
            raise SourceError(
                f"{path}:{number}: unknown column '{name}'{nearest(name, _COLUMNS)}; "
                f"known: {', '.join(_COLUMNS)}"
            )
    missing = [name for name in ("line", "direction") if name not in values]
    if missing or ("pts_s" in values) == ("time" in values):
        raise SourceError(
            f"{path}:{number}: wanted the columns line, direction and one of pts_s (seconds of the clip) "
            f"or time (2024-05-01T08:00:00+02:00), got {', '.join(values)}"
        )
    return values


def _known_head(path: Path, number: int, key: str) -> str | None:
    """Return the key if it says something of the clip; other comments are free, but for slips of the pen."""
    if key in _HEAD:
        return key
    near = nearest(key, _HEAD) if " " not in key else ""
    if near:
        raise SourceError(f"{path}:{number}: unknown key '{key}'{near}; known: {', '.join(_HEAD)}")
    return None


def _jsonl(path: Path, file: Iterator[str]) -> tuple[dict[str, Any], list[_Row]]:
    head: dict[str, Any] = {}
    rows: list[_Row] = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError as error:
            raise SourceError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(content, dict):
            raise SourceError(f"{path}:{number}: wanted an object {{...}} in each line")
        if "kind" in content:  # an event of a run
            if content["kind"] != "line.crossing":
                continue
            data = content.get("data") or {}
            keys = ("pts_s", "stream", "label")
            content = {
                **{key: content.get(key) for key in keys},
                **{key: data.get(key) for key in _COLUMNS[2:4]},
            }
        elif "line" not in content:
            for key in content:
                if key not in _HEAD:
                    raise SourceError(
                        f"{path}:{number}: unknown key '{key}'{nearest(key, _HEAD)}; "
                        f"known: {', '.join(_HEAD)}"
                    )
            head.update(content)
            continue
        rows.append((number, content))
        _bounded(path, rows)
    if not rows and not head:
        raise SourceError(
            f'{path}: empty; wanted lines such as {{"pts_s": 5.6, "line": "gate", "direction": "up"}}'
        )
    return head, rows


def _bounded(path: Path, rows: list[_Row]) -> None:
    if len(rows) > _MOST:
        raise SourceError(f"{path}: more than {_MOST} crossings; split it, e.g. by day")


def _of_one_stream(path: Path, rows: list[_Row], stream: str | None) -> list[_Row]:
    streams = {str(row["stream"]) for _, row in rows if row.get("stream")}
    if len(streams) < 2:
        return rows
    if stream not in streams:
        asked = "" if stream is None else f", none of '{stream}'"
        raise SourceError(
            f"{path}: has crossings of the streams {', '.join(sorted(streams))}{asked}; "
            "say which with --stream"
        )
    return [(number, row) for number, row in rows if row.get("stream") in (None, "", stream)]


def _truth(path: Path, head: Mapping[str, Any], rows: list[_Row]) -> Truth:
    ends = [head.get(key) for key in ("from", "to")]
    is_utc = any(row.get("time") for _, row in rows) if rows else any(end and _is_date(end) for end in ends)
    events, streams = [], set()
    for number, row in rows:
        where = f"{path}:{number}"
        if is_utc and not row.get("time"):
            raise SourceError(f"{where}: some crossings have a 'time' and this one has none")
        text = row["time"] if is_utc else row.get("pts_s")
        time_s = _utc(where, text) if is_utc else _number(where, "pts_s", text)
        line, direction = (_name(where, key, row.get(key)) for key in ("line", "direction"))
        label = row.get("label")
        events.append(Event(time_s, line, direction, str(label) if label else None))
        if row.get("stream"):
            streams.add(str(row["stream"]))
    clip = _clip(path, head, streams)
    watched = _watched(path, head, events)
    bounds = [_bound(f"{path}: {key}", head.get(key), is_utc) for key in ("from", "to")]
    if is_utc and not events and None in bounds:
        raise SourceError(f"{path}: no crossing; say with 'from' and 'to' when it was watched")
    if bounds[0] is not None and bounds[1] is not None and bounds[0] >= bounds[1]:
        raise SourceError(f"{path}: 'from' must lie before 'to'")
    for event, (number, _) in zip(events, rows, strict=True):
        low, high = bounds
        if (low is not None and event.time_s < low) or (high is not None and event.time_s > high):
            raise SourceError(
                f"{path}:{number}: this crossing lies outside of the file's own 'from' and 'to'"
            )
    events.sort(key=lambda event: event.time_s)
    return Truth(str(path), tuple(events), watched, clip, is_utc, bounds[0], bounds[1])


def _watched(path: Path, head: Mapping[str, Any], events: list[Event]) -> Watched:
    given = head.get("lines")
    if given is None:
        if not events:
            raise SourceError(
                f"{path}: no crossing; say with 'lines' which lines were watched and stayed empty"
            )
        return lines_of(events)
    names = given if isinstance(given, list) else str(given).split(",")
    watched: dict[str, frozenset[str] | None] = {}
    for name in names:
        line, slash, direction = str(name).strip().partition("/")
        before = watched.get(line, frozenset())
        watched[line] = frozenset({*before, direction}) if slash and before is not None else None
    for event in events:
        directions = watched.get(event.line, frozenset())
        if directions is not None and event.direction not in directions:
            raise SourceError(
                f"{path}: has crossings of '{event.line}/{event.direction}', which is not among its 'lines'"
            )
    return watched


def _clip(path: Path, head: Mapping[str, Any], streams: set[str]) -> Clip:
    where = str(path)
    stream = head.get("stream") or next(iter(streams), None)
    if streams and stream not in streams:
        raise SourceError(
            f"{path}: is of stream '{stream}', but its crossings are of '{next(iter(streams))}'"
        )
    sizes = [
        None if key not in head else _number(where, key, head[key])
        for key in ("width", "height", "duration_s")
    ]
    for key, value in zip(("width", "height", "duration_s"), sizes, strict=True):
        if value is not None and value <= 0:
            raise SourceError(f"{path}: {key} must be above 0, got {value:g}")
    texts = [None if head.get(key) is None else str(head[key]) for key in ("source", "run")]
    width, height = (None if value is None else int(value) for value in sizes[:2])
    return Clip(stream, texts[0], texts[1], width, height, sizes[2])


def _bound(where: str, value: Any, is_utc: bool) -> float | None:
    """Return when watching began or ended, on the clock of the crossings."""
    if value is None:
        return None
    if is_utc:
        return _utc(where, value)
    if _is_date(value):
        raise SourceError(f"{where} is a date, but the crossings have pts_s: write it in seconds of the clip")
    return _number(where, "the value", value)


def _is_date(value: Any) -> bool:
    return "-" in str(value).lstrip("-")


def _number(where: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number) or isinstance(value, bool):
        raise SourceError(f"{where}: {key} must be a number, got {str(value)[:40]!r}")
    return number


def _utc(where: str, value: Any) -> float:
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise SourceError(
            f"{where}: {str(value)[:40]!r} is no time; write it as 2024-05-01T08:00:00+02:00"
        ) from error
    if when.tzinfo is None:
        raise SourceError(f"{where}: {value} has no offset from UTC; write +02:00 or Z behind it")
    return when.timestamp()


def _name(where: str, key: str, value: Any) -> str:
    text = str(value or "").strip()
    if not text:
        raise SourceError(f"{where}: {key} is empty")
    return text
