"""Running an engine from the command line: signals, progress, summary, report."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import cv2

from pipeline.cli.display import Display
from pipeline.config.schema import Config
from pipeline.engine import Engine
from pipeline.report import write_report

_GAPS_SHOWN = 5


def run_to_report(config: Config, path: Path, *, quiet: bool) -> tuple[dict[str, Any], int]:
    """Run a configuration with progress on stderr; return its report and its exit code.

    A report of the status "running" is left at `path` first: it tells now and not after an hour that it
    cannot be written, and nobody takes the report of an earlier run for this one's.

    The first Ctrl-C (or SIGTERM) ends the sources and finishes what is on its way; the second one ends the
    process at once.
    """
    # OpenCV's own threads would compete with the streams' for the same cores; FFmpeg's and ours are enough.
    cv2.setNumThreads(1)
    # Busy Python code may hold the interpreter for this long; the default of 5 ms shows in the latency.
    sys.setswitchinterval(0.0005)
    with Engine(config) as engine:
        write_report(engine.report(), path)
        with Display(engine, quiet=quiet) as display, _stopping_on_signals(engine, display):
            engine.run(display.refresh)
    # Only after the sinks are closed is it known whether all was delivered.
    return engine.report(), engine.exit_code()


def finish(report: dict[str, Any], path: Path, *, quiet: bool) -> None:
    """Write the report and say on stderr how each stream ended."""
    write_report(report, path)
    if report["error"]:
        print(f"error: {report['error']}", file=sys.stderr)  # noqa: T201
    for name, stream in report["streams"].items():
        if stream["error"]:
            print(f"error: stream '{name}': {stream['error']}", file=sys.stderr)  # noqa: T201
        if quiet:
            continue
        gaps = stream["gaps"]
        if gaps["count"] > _GAPS_SHOWN:
            print(  # noqa: T201
                f"warning: stream '{name}': {gaps['count']} gaps, see {path}; the latest:", file=sys.stderr
            )
        for gap in gaps["latest"][-_GAPS_SHOWN:]:
            where = "at the start" if gap["after_s"] is None else f"after {gap['after_s']:.2f} s"
            length = "" if gap["seconds"] is None else f" of {gap['seconds']:.2f} s"
            detail = f" ({gap['detail']})" if gap["detail"] else ""
            print(  # noqa: T201
                f"warning: stream '{name}': gap{length} {where}: {gap['cause']}{detail}", file=sys.stderr
            )


@contextmanager
def _stopping_on_signals(engine: Engine, display: Display) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        for again in before:
            signal.signal(again, signal.SIG_DFL)
        engine.stop()
        display.announce_stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
