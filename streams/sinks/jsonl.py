"""Sink `jsonl`: events as lines of JSON in files that go on from run to run, and are bounded."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterable, Sequence

from pydantic import Field

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, EventSinkOptions, SinkContext
from streams.sinks.body import json_of_all
from streams.sinks.rotating import Bounds, RotatingFile
from streams.sinks.textfile import FileName

_REMEMBERED = 2_000
"""Events whose doubles are recognised; more than a batch, as nothing older is delivered again."""


class JsonlOptions(EventSinkOptions):
    """Options of the jsonl sink.

    Attributes:
        path: file within the output folder; the day and a number come before its suffix:
            `log/events-2026-03-01.000001.jsonl`.
        file_mb: a file that is larger is followed by another; each day (UTC) begins one, too.
        keep_files: most files; the oldest go.
        keep_days: files of an older day go.
        keep_mb: most megabytes of all files.
        fsync: wait for the disk once per batch, before the journal is told that the events are here. False
            leaves that to the operating system: events then survive a crash of sightline, but some may be
            missing after a power failure.
    """

    path: FileName = "log/events.jsonl"
    file_mb: float = Field(default=64.0, ge=0.001, le=100_000)
    keep_files: int = Field(default=1_000, ge=2, le=100_000)
    keep_days: float = Field(default=30.0, gt=0, le=36_500)
    keep_mb: float = Field(default=1_000.0, ge=0.001, le=100_000_000)
    fsync: bool = True


class JsonlSink(EventSink):
    """Appends JSON Lines, `Event.to_dict()` in UTF-8; what a crash tore is mended, what comes twice dropped.

    Unlike `events`, which a run begins anew, it goes on where the last run stopped, in whatever moment that
    ended. A full or missing disk holds up nobody: the events stay in the journal.
    """

    Options = JsonlOptions
    emits = NO_EVENTS
    options: JsonlOptions

    def __init__(self, options: JsonlOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._path = context.folder / options.path
        bounds = Bounds(
            int(options.file_mb * 1e6), options.keep_files, options.keep_days, int(options.keep_mb * 1e6)
        )
        self._file = RotatingFile(self._path, bounds, fsync=options.fsync)
        self._had: deque[str] = deque(maxlen=_REMEMBERED)

    @classmethod
    def files(cls, options: JsonlOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the name that those of all its files are made of."""
        return [options.path]

    def deliver(self, events: Sequence[Event]) -> None:
        """Append what is not there yet."""
        texts = json_of_all(events)
        with self._lock:
            try:
                if not self._file.is_open:
                    self._file.open()
                    self._file.trim()
                    self._had.extend(_ids(self._file.last_lines(_REMEMBERED)))
                had = set(self._had)
                new = {
                    str(event.id): text
                    for event, text in zip(events, texts, strict=True)
                    if str(event.id) not in had
                }
                self._file.append([f"{text}\n".encode() for text in new.values()])
                self._had.extend(new)
            except OSError as error:
                # Some lines may be there, the last of them torn: opening it again finds out.
                self._file.close()
                reason = error.strerror or str(error)
                raise SinkError(f"cannot write {self._path}: {reason}; free space there") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def _ids(lines: Iterable[bytes]) -> Iterable[str]:
    for line in lines:
        try:
            yield str(json.loads(line)["id"])
        except (ValueError, KeyError, TypeError):
            continue  # not ours: somebody edited the file
