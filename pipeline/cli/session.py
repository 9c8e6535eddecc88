"""Running an engine from the command line: signals, progress, summary, report."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import cv2

from pipeline.cli.display import Display
from pipeline.config.schema import Config
from pipeline.engine import Engine
from pipeline.report import write_report

_GAPS_SHOWN = 5
_M_ARENA_MAX = -8  # malloc.h
_SIGHUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""A terminal that closes; not every system knows it."""


def run_to_report(config: Config, path: Path, *, quiet: bool) -> tuple[dict[str, Any], int]:
    """Run a configuration with progress on stderr; return its report and its exit code.

    A report of the status "running" is left at `path` first: it tells now and not after an hour that it
    cannot be written, and nobody takes the report of an earlier run for this one's.

    The first Ctrl-C (or SIGTERM, or SIGHUP) ends the sources and finishes what is on its way; the second one
    ends the process at once.
    """
    set_up_process()
    with Engine(config, report=path) as engine:
        write_report(engine.report(), path)
        with Display(engine, quiet=quiet) as display, _stopping_on_signals(engine, display):
            engine.run(display.refresh)
    display.tell_errors()
    # Only after the sinks are closed is it known whether all was delivered.
    return engine.report(), engine.exit_code()


def set_up_process() -> None:
    """Set what belongs to the whole process: threads of libraries, the interpreter's turns, memory."""
    # OpenCV's own threads would compete with the streams' for the same cores; FFmpeg's and ours are enough.
    cv2.setNumThreads(1)
    # Busy Python code may hold the interpreter for this long; the default of 5 ms shows in the latency.
    sys.setswitchinterval(0.0005)
    _bound_memory_of_threads()


def _bound_memory_of_threads() -> None:
    """Have glibc keep two heaps for all threads: else each camera's threads keep the peak of their own."""
    with suppress(AttributeError, OSError, TypeError):  # another C library, or another system
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def finish(report: dict[str, Any], path: Path, say: Callable[[], None], *, quiet: bool) -> None:
    """Say how a run ended, then write its report: where the disk is full, all has been said before.

    Args:
        report: of the run, which has ended; the errors of its streams have been shown meanwhile.
        path: where the report goes.
        say: prints the summary to stdout; not called when `quiet`.
        quiet: say errors only.

    Raises:
        SinkError: if the report cannot be written.
        OSError: if stdout takes no summary; the report is written all the same.
    """
    try:
        if report["error"]:
            _warn(f"error: {report['error']}")
        if not quiet:
            _warn_of_gaps(report, path)
            with _readers_may_leave():
                say()
    finally:
        write_report(report, path)


def _warn_of_gaps(report: dict[str, Any], path: Path) -> None:
    for name, stream in report["streams"].items():
        gaps = stream["gaps"]
        if gaps["count"] > _GAPS_SHOWN:
            _warn(f"warning: stream '{name}': {gaps['count']} gaps, see {path}; the latest:")
        for gap in gaps["latest"][-_GAPS_SHOWN:]:
            where = "at the start" if gap["after_s"] is None else f"after {gap['after_s']:.2f} s"
            length = "" if gap["seconds"] is None else f" of {gap['seconds']:.2f} s"
            detail = f" ({gap['detail']})" if gap["detail"] else ""
            _warn(f"warning: stream '{name}': gap{length} {where}: {gap['cause']}{detail}")


def _warn(line: str) -> None:
    with suppress(OSError):  # nobody reads stderr any more
        print(line, file=sys.stderr)  # noqa: T201 - the command's own voice


@contextmanager
def _readers_may_leave() -> Iterator[None]:
    """Have a reader of stdout that has gone (`| head -1`) end the summary only, not the command."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit


@contextmanager
def _stopping_on_signals(engine: Engine, display: Display) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        for again in before:
            # A terminal that closes sends more than one SIGHUP; they are one wish.
            signal.signal(again, signal.SIG_IGN if again is _SIGHUP else signal.SIG_DFL)
        engine.stop()
        display.announce_stop()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if _SIGHUP and signal.getsignal(_SIGHUP) is not signal.SIG_IGN:  # which is how `nohup` leaves it
        numbers.append(_SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
