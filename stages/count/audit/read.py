"""Reads what a run left in its folder: the counts in its events and in its strips, and the strips."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.errors import ConfigError, SourceError
from pipeline.event import Event
from stages.count.audit.windows import Count, Strip
from stages.count.place import LinePlace

CROSSING = "line.crossing"
_EVENTS = "events.jsonl"


class _StripFile(BaseModel):
    """What `stages.count.evidence.strips` writes beside each strip."""

    stream: str
    line: str
    time_ns: int
    end_time_ns: int
    picture: str
    rows: int
    across: int
    times_ms: tuple[int, ...]
    suspended: tuple[tuple[int, int, str], ...] = ()
    directions: tuple[str, str]
    gates: tuple[tuple[tuple[float, float], ...], ...]
    crossings: list[dict[str, Any]]


@dataclass(slots=True)
class Kept:
    """What was kept of a run.

    Attributes:
        folder: the run's.
        strips: in no order.
        counts: by id.
        places: where the lines lay at last, by stream and line.
        sources: what the streams read, as far as the report says; fit to be shown.
        unreadable: files and lines that could not be read, one text each.
    """

    folder: Path
    strips: list[Strip] = field(default_factory=list)
    counts: dict[str, Count] = field(default_factory=dict)
    places: dict[tuple[str, str], LinePlace] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def read_run(folder: Path, events: str = _EVENTS) -> Kept:
    """Read a run's folder.

    Args:
        folder: where the run wrote its results.
        events: name of the file of events in it.

    Raises:
        ConfigError: if it is no folder of a run that counted at lines.
        SourceError: if it cannot be read.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise ConfigError(f"{folder} {what}; name the folder that `sightline run --out` wrote to")
    if events != _EVENTS and not (folder / events).is_file():
        raise ConfigError(f"{folder / events} is not there; name a file of events in {folder}")
    kept = Kept(folder)
    try:
        for path in sorted(folder.glob("evidence/*/*/strip-*.json")):
            _read_strip(path, kept)
        if (folder / events).is_file():
            for event in _crossings(folder / events, kept):
                _keep(event, kept)
        kept.sources = _sources(folder / "report.json")
    except OSError as error:
        raise SourceError(f"{error.filename or folder}: cannot be read: {error.strerror}") from error
    if not kept.strips and not kept.counts:
        have = "has no events of lines" if (folder / events).is_file() else f"has neither {events}"
        raise ConfigError(
            f"{folder} {have} nor audit strips: there is nothing to judge; run with a stage `count` that has "
            "lines, and the sink `events`"
        )
    return kept


def _read_strip(path: Path, kept: Kept) -> None:
    try:
        file = _StripFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        kept.unreadable.append(f"{path}: is no audit strip: {error.errors()[0]['msg']}")
        return
    picture = path.with_name(Path(file.picture).name)
    if not picture.is_file() or not file.times_ms:
        kept.unreadable.append(f"{path}: its picture {picture.name} is missing")
        return
    kept.places[file.stream, file.line] = LinePlace(file.gates, file.directions)
    kept.strips.append(
        Strip(
            file.stream,
            file.line,
            file.time_ns,
            file.end_time_ns,
            picture,
            file.rows,
            file.across,
            file.times_ms,
            file.suspended,
            file.directions,
        )
    )
    for values in file.crossings:
        try:
            _keep(Event.from_dict(values), kept)
        except (KeyError, TypeError, ValueError) as error:
            kept.unreadable.append(f"{path}: holds what is no event: {_reason(error)}")


def _crossings(path: Path, kept: Kept) -> Iterator[Event]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if CROSSING not in line:
                continue
            try:
                event = Event.from_dict(json.loads(line))
            except (KeyError, TypeError, ValueError) as error:
                kept.unreadable.append(f"{path}: line {number} is no event: {_reason(error)}")
                continue
            if event.kind == CROSSING:
                yield event


def _keep(event: Event, kept: Kept) -> None:
    line = str(event.data["line"])
    place = kept.places.get((event.stream, line))
    along = None if place is None or event.position is None else place.along(event.position)
    snapshot, clip = event.evidence.get("snapshot"), event.evidence.get("clip")
    kept.counts[str(event.id)] = Count(
        id=str(event.id),
        stream=event.stream,
        line=line,
        direction=str(event.data.get("direction", "")),
        label=event.label or "",
        time_ns=event.moment.time_ns,
        pts_s=event.moment.pts_s,
        along=along,
        snapshot=_inside(kept.folder, snapshot) if isinstance(snapshot, str) else None,
        clip_s=(float(clip["from_s"]), float(clip["to_s"])) if isinstance(clip, Mapping) else None,
    )


def _inside(folder: Path, name: str) -> Path | None:
    """Return a file that an event names, if it is there and in the run's folder."""
    path = folder / name
    within = path.resolve().is_relative_to(folder.resolve())
    return path if within and path.is_file() else None


def _sources(report: Path) -> dict[str, str]:
    try:
        streams = json.loads(report.read_bytes())["streams"]
        return {str(name): str(stream["source"]) for name, stream in streams.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # a run that was killed, or another program's events: clips are cut elsewhere or not at all


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
