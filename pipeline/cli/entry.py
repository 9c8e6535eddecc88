"""Where the command `sightline` begins and ends. Importing takes a moment, and Ctrl-C may come in it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def main() -> None:
    """Run the command line; Ctrl-C at any moment ends it without a traceback."""
    code: str | int | None = 0
    try:
        from pipeline.cli.app import main as run

        run()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except SystemExit as end:
        code = end.code
    leave(code)


def leave(code: str | int | None) -> None:
    """End the process with this code, also when a thread hangs in a library that cannot be interrupted.

    Such threads are daemons and have been given up. Python's own way out would take away below them what
    they use: ONNX Runtime then aborts the process, and its exit code says nothing of the run's.
    """
    if any(thread.daemon and thread is not threading.current_thread() for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
    sys.exit(code)
