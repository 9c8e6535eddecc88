"""Finds the media of a page by yt-dlp in a process that ends in time, whatever the page does."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.secret import SecretUrl
from streams.sources.youtube.extract import INSTALL, Request
from streams.sources.youtube.link import Link

_ROOT = Path(__file__).parents[3]


class Resolver:
    """One question to yt-dlp. Used by one thread, except `close`.

    Args:
        name: what messages begin with.
        request: what to ask.
        timeout_s: for the whole answer, however many requests it takes.
    """

    def __init__(self, name: str, request: Request, timeout_s: float) -> None:
        self._name = name
        self._request = request
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[str] | None = None

    def resolve(self, answered: Callable[[], None]) -> Link:
        """Return where the page's video lies now.

        Args:
            answered: called when the site has begun to answer.

        Raises:
            SourceError: what is wrong with the page, the package or the network.
        """
        if importlib.util.find_spec("yt_dlp") is None:
            raise SourceError(f"{self._name}: {INSTALL}", Reason.MISSING_PACKAGE)
        found = self._answer(answered)
        if "message" in found:
            reason = Reason[str(found["reason"])]
            raise SourceError(f"{self._name}: {found['message']}{_advice(reason)}", reason)
        headers = {str(name): str(value) for name, value in found["headers"].items()}
        return Link(SecretUrl(str(found["url"])), headers, found["live"])

    def close(self) -> None:
        """End the question now; from any thread."""
        self._closed = True
        self._end()

    def _answer(self, answered: Callable[[], None]) -> dict[str, Any]:
        with self._lock:
            if self._closed:
                raise self._was_closed()
            try:
                process = self._process = self._started()
            except OSError as error:
                raise SourceError(f"{self._name}: no process for yt-dlp ({error.strerror})") from None
        too_late = threading.Event()

        def give_up() -> None:
            too_late.set()
            self._end()

        timer = threading.Timer(self._timeout_s, give_up)
        timer.daemon = True
        timer.start()
        found: dict[str, Any] = {}
        try:
            for line in self._lines(process):
                found = json.loads(line)
                if not found:
                    answered()
        except ValueError:
            found = {}
        finally:
            timer.cancel()
            self._end()  # and with it a JavaScript engine that it may have started
            if process.stdout is not None:
                process.stdout.close()
            process.wait()
        if self._closed:
            raise self._was_closed()
        if not found and too_late.is_set():
            raise SourceError(
                f"{self._name}: no answer from the site within {self._timeout_s:.0f} s", Reason.NO_ANSWER
            )
        if not found:
            raise SourceError(f"{self._name}: yt-dlp ended without an answer (exit {process.returncode})")
        return found

    def _end(self) -> None:
        """Kill the process and all that it has begun; before it is waited for, as then its number is free."""
        with self._lock:
            if self._process is not None:
                _kill(self._process)
                self._process = None

    def _lines(self, process: subprocess.Popen[str]) -> Iterator[str]:
        if process.stdin is None or process.stdout is None:
            return
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # it has ended before it was asked
            stdin.write(json.dumps(asdict(self._request)))
        yield from process.stdout

    def _was_closed(self) -> SourceError:
        return SourceError(f"{self._name}: was closed while it was opened", Reason.CLOSED)

    def _started(self) -> subprocess.Popen[str]:
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        return subprocess.Popen(  # noqa: S603 - our own module
            [
                sys.executable,
                "-P",
                "-m",
                "streams.sources.youtube.child",
                str(math.ceil(self._timeout_s) + 5),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path, "YTDLP_NO_PLUGINS": "1"},
            start_new_session=True,
        )


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _advice(reason: Reason) -> str:
    if reason is Reason.FORBIDDEN:
        return "; if it plays in your browser, give its cookies by the option cookies"
    if reason is Reason.FAILED:
        return "; sites change: try a newer yt-dlp (pip install -U yt-dlp)"
    return ""
