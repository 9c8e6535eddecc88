"""What a run did, as plain values: the contract of `report.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.config.problems import without_credentials
from pipeline.errors import SinkError
from pipeline.stream import State, Stream

_PACKAGES = (
    "sightline",
    "numpy",
    "scipy",
    "opencv-python",
    "av",
    "pyzmq",
    "onnxruntime",
    "torch",
    "ultralytics",
)


def stream_report(stream: Stream, seconds: float) -> dict[str, Any]:
    """Describe one stream; `seconds` is the wall time of the run so far.

    Keys: `state`, `error` (one line or null), `source`, `width`, `height`, `frames` (`captured`, `finished`,
    `dropped`: stage -> cause -> n), `counts` (line -> direction -> label -> n), `events`, `gaps` (`count` and
    the latest), `seconds` (wall), `media_seconds`, `fps` (finished frames per wall second), `ms_per_frame`
    (busy time by step; steps of different threads overlap), `config_hash`.
    """
    entry = stream.ledger.entry()
    info = stream.info
    gap_count, gaps = stream.tally.gaps()
    first_s, last_s = stream.media_span_s or (0.0, 0.0)
    return {
        "state": str(stream.state),
        "error": str(stream.error) if stream.error else None,
        "source": info.url if info else without_credentials(stream.config.url),
        "width": info.width if info else None,
        "height": info.height if info else None,
        "frames": {"captured": entry.captured, "finished": entry.finished, "dropped": entry.dropped},
        "counts": stream.tally.counts(),
        "events": stream.tally.events,
        "gaps": {"count": gap_count, "latest": gaps},
        "seconds": round(seconds, 3),
        "media_seconds": round(last_s - first_s, 6),
        "fps": round(entry.finished / seconds, 2) if seconds > 0 else 0.0,
        "ms_per_frame": stream.stopwatch.per_frame_ms(entry.captured),
        "config_hash": stream.config.config_hash,
    }


def run_report(streams: Iterable[Stream], *, config: str, config_hash: str, seconds: float) -> dict[str, Any]:
    """Describe a whole run; see `stream_report` for each of its `streams`.

    `status` is "failed" if any stream failed, else "stopped" if any was stopped before its end, else "done".
    """
    streams = list(streams)
    states = {stream.state for stream in streams}
    status = "failed" if State.FAILED in states else "stopped" if State.STOPPED in states else "done"
    return {
        "status": status,
        "config": config,
        "config_hash": config_hash,
        "seconds": round(seconds, 3),
        "streams": {stream.config.name: stream_report(stream, seconds) for stream in streams},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the installed packages that decide results."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_report(report: dict[str, Any], path: Path) -> None:
    """Write a report as JSON; whoever reads the path meanwhile sees the old or the new one, never half.

    Raises:
        SinkError: if the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)  # noqa: PTH105 - Path.replace is the same call, but this name says "atomic"
    except OSError as error:
        raise SinkError(
            f"{path}: cannot write the report: {error.strerror}; choose another --report"
        ) from error
