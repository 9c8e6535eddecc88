"""Folders that look as if a run had written them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.event import Event, Producer, event_id
from pipeline.moment import Clock, Moment

Row = tuple[float, str, str, str]
START_NS = 1_714_550_400_000_000_000
"""2024-05-01T08:00:00Z."""


def write_run(
    folder: Path,
    rows: Iterable[Row],
    lines: Mapping[str, tuple[str, str]],
    *,
    seconds: float = 30.0,
    stream: str = "road",
    status: str = "done",
    run: str = "d1gest",
    settings: Any = None,
    dropped: Mapping[str, Mapping[str, int]] | None = None,
) -> Path:
    """Write report.json and events.jsonl; a row is (media time, line, direction, label)."""
    folder.mkdir(parents=True, exist_ok=True)
    events = []
    for number, (pts_s, line, direction, label) in enumerate(rows):
        moment = Moment(pts_s, START_NS + int(pts_s * 1e9), Clock.FILE)
        event = Event(
            id=event_id(moment, stream, run, "line.crossing", str(number)),
            kind="line.crossing",
            stream=stream,
            run=run,
            sequence=number,
            moment=moment,
            producer=Producer("count", line),
            track_id=number,
            label=label,
            data={"line": line, "direction": direction, "label": label},
        )
        events.append(json.dumps(event.to_dict()) + "\n")
    (folder / "events.jsonl").write_text("".join(events))
    report = {
        "status": status,
        "streams": {
            stream: {
                "source": "clip.mp4",
                "run": run,
                "width": 640,
                "height": 360,
                "media_seconds": seconds,
                "frames": {"captured": 900, "finished": 900, "dropped": dropped or {}},
                "gaps": {"count": 0, "latest": []},
                "counts": {line: {name: {} for name in names} for line, names in lines.items()},
                "config_hash": "c0nfig",
                "stages": {"count": {"settings": settings}} if settings else {},
            }
        },
    }
    (folder / "report.json").write_text(json.dumps(report))
    return folder
