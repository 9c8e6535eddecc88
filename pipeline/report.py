"""What a run did, as plain values: the contract of `report.json`."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import SightlineError, SinkError
from pipeline.secret import without_credentials
from pipeline.stream import State, Stream

_PACKAGES = (
    "sightline",
    "numpy",
    "scipy",
    "opencv-python",
    "av",
    "pyzmq",
    "onnxruntime",
    "openvino",
    "torch",
    "ultralytics",
)


def stream_report(stream: Stream) -> dict[str, Any]:
    """Describe one stream as it stands.

    Keys: `state`, `error` (one line or null), `source`, `connection` (of a live source: `state`, `reason`,
    `detail`, `connections`, `failures`, `next_try_s` in so many seconds; null for files), `run` (the latest,
    see `Frame.run`), `width`, `height`, `frames` (`captured`, `finished`, `dropped`: stage -> cause -> n),
    `counts` (line -> direction -> label -> n), `events`, `gaps` (`count` and the latest), `seconds` (wall, of
    this stream), `media_seconds`, `fps` (finished frames per wall second), `ms_per_frame` (busy time by step,
    per frame that it handled; steps of different threads overlap), `age_ms` (of live frames once a step has
    done with them: `p50`, `p99`, `latest`, since their arrival),
    `stages` (what stages say of their work, see `Stage.statistics`), `packets` (of each sink that copies
    them: `taken`, `lost` by cause, `waiting`, `error`), `files` (of each sink that writes files of the run:
    `error` while its disk takes nothing, `outages` so far, `lost`: what -> n),
    `config_hash`.
    """
    entry = stream.ledger.entry()
    info = stream.info
    seconds = stream.seconds
    gap_count, gaps = stream.tally.gaps()
    first_s, last_s = stream.media_span_s or (0.0, 0.0)
    return {
        "state": str(stream.state),
        "error": _line(stream.error),
        "source": info.url if info else str(stream.config.url),
        "connection": _connection(stream),
        "run": info.run if info else None,
        "width": info.width if info else None,
        "height": info.height if info else None,
        "frames": {"captured": entry.captured, "finished": entry.finished, "dropped": entry.dropped},
        "counts": stream.tally.counts(),
        "events": stream.tally.events,
        "gaps": {"count": gap_count, "latest": gaps},
        "seconds": round(seconds, 3),
        "media_seconds": round(last_s - first_s, 6),
        "fps": round(entry.finished / seconds, 2) if seconds > 0 else 0.0,
        "ms_per_frame": stream.stopwatch.per_frame_ms(),
        "age_ms": stream.ages.summary_ms(),
        "stages": stream.stage_statistics(),
        "packets": stream.packet_statistics(),
        "files": stream.file_statistics(),
        "config_hash": stream.config.config_hash,
    }


def _line(error: SightlineError | None) -> str | None:
    """Return an error's message without the credentials that a plug-in may have put into it."""
    return without_credentials(str(error)) if error else None


def _connection(stream: Stream) -> dict[str, Any] | None:
    status = stream.source
    if status is None:
        return None
    next_try_s = None if status.next_try_s is None else max(0.0, status.next_try_s - time.monotonic())
    return {
        "state": str(status.state),
        "reason": None if status.reason is None else str(status.reason),
        "detail": status.detail,
        "connections": status.connections,
        "failures": status.failures,
        "next_try_s": None if next_try_s is None else round(next_try_s, 1),
    }


def run_report(
    streams: Iterable[Stream],
    *,
    config: str,
    config_hash: str,
    seconds: float,
    error: SightlineError | None = None,
    journal: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe a whole run; see `stream_report` for each of its `streams`, `Outbox` for its `journal`.

    `status` is "running" until all streams have ended; then "failed" if any of them or the run itself
    (`error`) failed, else "stopped" if any was stopped before its end, else "done".
    """
    streams = list(streams)
    return {
        "status": _status({stream.state for stream in streams}, error),
        "error": _line(error),
        "config": config,
        "config_hash": config_hash,
        "seconds": round(seconds, 3),
        "journal": journal,
        "streams": {stream.config.name: stream_report(stream) for stream in streams},
        "versions": versions(),
    }


def _status(states: set[State], error: SightlineError | None) -> str:
    if states & {State.OPENING, State.RUNNING}:
        return "running"
    if error or State.FAILED in states:
        return "failed"
    return "stopped" if State.STOPPED in states else "done"


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
    part = Path(f"{path}.part")
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file's name may hold bytes that are no UTF-8; JSON knows the escapes that this makes of them.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(part, path)  # noqa: PTH105 - Path.replace is the same call, but this name says "atomic"
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise SinkError(
            f"{path}: cannot write the report: {error.strerror}; choose another --report or --out"
        ) from error
