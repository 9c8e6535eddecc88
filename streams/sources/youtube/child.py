"""The process in which yt-dlp runs: a request comes by stdin, JSON lines go by stdout; the last answers it.

A page can answer for ever, or with gigabytes, and yt-dlp stays in memory with a thousand sites once it is
imported; a process has bounds and an end. The one argument is after how many seconds that is at the latest.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from pipeline.condition import Reason
from pipeline.errors import SourceError
from streams.sources.youtube.extract import Request, extract

_MOST_BYTES = 1 << 30


def answer(text: str, answered: Callable[[], None]) -> dict[str, Any]:
    """Return the answer to a request, or `reason` and `message` of its failure."""
    try:
        return extract(Request(**json.loads(text)), answered)
    except SourceError as error:
        return {"reason": error.reason.name, "message": str(error)}
    except MemoryError:
        return {"reason": Reason.REJECTED.name, "message": "the page is too large"}


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))


def _bound_time(seconds: int) -> None:
    """End even if whoever asked was killed and cannot end it."""
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(seconds)


def main() -> None:
    """Answer the one request; whatever else is printed does not reach the answer."""
    out, sys.stdout = sys.stdout, sys.stderr
    _bound_time(int(sys.argv[1]))
    _bound_memory()

    def say(what: dict[str, Any]) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    say(answer(sys.stdin.read(), lambda: say({})))


if __name__ == "__main__":
    main()
