"""What a run counted, read from the folder of its results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, SourceError
from stages.count.evaluate.near import nearest
from stages.count.evaluate.truth import Event

_MOST = 5_000_000


@dataclass(frozen=True, eq=False)
class Run:
    """One stream of a run.

    Attributes:
        folder: of the results.
        stream: its name.
        report: what report.json says of the stream, see `pipeline.report.stream_report`.
        status: of the whole run: done, stopped, failed, running.
        lines: line -> names of its directions.
        events: the counted crossings, in media time.
        utc_s: (N,) when each of them happened, seconds since 1970.
        ids: (N,) ids of their events.
        runs: digests or ids of all runs of the stream that have a crossing.
        suspended: how often the camera's health suspended the lines.
    """

    folder: Path
    stream: str
    report: Mapping[str, Any]
    status: str
    lines: Mapping[str, tuple[str, ...]]
    events: tuple[Event, ...]
    utc_s: tuple[float, ...]
    ids: tuple[str, ...]
    runs: frozenset[str]
    suspended: int = 0

    @property
    def media_seconds(self) -> float:
        """How long the clip was, from its first picture to its last."""
        return float(self.report["media_seconds"])


def read_run(folder: Path, stream: str | None = None) -> Run:
    """Read the report and the events of a run.

    Args:
        folder: where its results are.
        stream: which of its streams; may be left out where there is one.

    Raises:
        SourceError: if there are no results, or they cannot be read.
        ConfigError: if there is no such stream, or nothing counts in it.
    """
    report = _report(folder)
    streams: Mapping[str, Any] = report["streams"]
    if stream is None and len(streams) > 1:
        raise ConfigError(f"{folder} has the streams {', '.join(streams)}: say which one with --stream")
    name = stream or next(iter(streams), "")
    if name not in streams:
        raise ConfigError(
            f"{folder}: no stream '{name}'{nearest(name, streams)}; it has: {', '.join(streams)}"
        )
    counts = streams[name].get("counts") or {}
    if not counts and report.get("status") == "running":
        raise SourceError(
            f"{folder}: its report was written as the run began: it goes on, or was killed; let it end first"
        )
    if not counts:
        raise ConfigError(
            f"{folder}: nothing was counted in stream '{name}'; it needs a stage 'count' with lines"
        )
    lines = {line: tuple(directions) for line, directions in counts.items()}
    told = _told(folder / "events.jsonl", name)
    return Run(
        folder,
        name,
        streams[name],
        str(report["status"]),
        lines,
        tuple(told.events),
        tuple(told.utc_s),
        tuple(told.ids),
        frozenset(told.runs),
        told.suspended,
    )


def _report(folder: Path) -> dict[str, Any]:
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SourceError(
            f"{path}: no such file; name the folder that `sightline run --out FOLDER` wrote, or a config"
        ) from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error
    if not isinstance(report, dict) or not isinstance(report.get("streams"), dict):
        raise SourceError(f"{path}: no report of a run")
    return report


@dataclass(slots=True)
class _Told:
    """What the events of one stream say."""

    events: list[Event] = field(default_factory=list)
    utc_s: list[float] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    suspended: int = 0

    def take(self, event: Mapping[str, Any]) -> None:
        """Take an event of the stream."""
        data = event["data"]
        if event["kind"] == "line.crossing":
            self.events.append(Event(float(event["pts_s"]), data["line"], data["direction"], event["label"]))
            self.utc_s.append(event["time_ns"] / 1e9)
            self.ids.append(event["id"])
            self.runs.add(event["run"])
        elif event["kind"] == "camera.health":
            self.suspended += data["state"] == "begin" and bool(data.get("suspends"))


def _told(path: Path, stream: str) -> _Told:
    told = _Told()
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if '"line.crossing"' not in text and '"camera.health"' not in text:
                    continue
                try:
                    event = json.loads(text)
                    if event["stream"] == stream:
                        told.take(event)
                except (ValueError, KeyError, TypeError) as error:
                    raise SourceError(f"{path}:{number}: no event of a run: {error}") from error
                if len(told.events) > _MOST:
                    raise SourceError(f"{path}: more than {_MOST} crossings; evaluate a shorter run")
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; the run needs the sink 'events'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error
    return told
