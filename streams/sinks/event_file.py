"""Events as lines of files that rotate: what the sinks `jsonl` and `csv` have in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from pydantic import Field

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, EventSinkOptions, SinkContext
from streams.sinks.body import json_of_all
from streams.sinks.rotating import Bounds, RotatingFile
from streams.sinks.textfile import FileName

_REMEMBERED = 2_000
"""Events whose doubles are recognised; more than a batch, as nothing older is delivered again."""


class EventFileOptions(EventSinkOptions):
    """Options of such a sink.

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

    path: FileName
    file_mb: float = Field(default=64.0, ge=0.001, le=100_000)
    keep_files: int = Field(default=1_000, ge=2, le=100_000)
    keep_days: float = Field(default=30.0, gt=0, le=36_500)
    keep_mb: float = Field(default=1_000.0, ge=0.001, le=100_000_000)
    fsync: bool = True


class EventFileSink(EventSink, ABC):
    """Appends a line for each event; what a crash tore is mended, what comes twice dropped.

    It goes on where the last run stopped, in whatever moment that ended. A full or missing disk holds up
    nobody: the events stay in the journal.

    Args:
        options: see `EventFileOptions`.
        context: of the sink.
        header: first line of each file, with its end.
    """

    emits = NO_EVENTS
    options: EventFileOptions

    def __init__(self, options: EventFileOptions, context: SinkContext, header: bytes = b"") -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._path = context.folder / options.path
        bounds = Bounds(
            int(options.file_mb * 1e6), options.keep_files, options.keep_days, int(options.keep_mb * 1e6)
        )
        self._file = RotatingFile(self._path, bounds, fsync=options.fsync, header=header)
        self._had: deque[str] = deque(maxlen=_REMEMBERED)

    @classmethod
    def files(cls, options: EventFileOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the name that those of all its files are made of."""
        return [options.path]

    @abstractmethod
    def line(self, event: Event, text: str) -> bytes:
        """Return an event's line, with its end; `text` is the event as JSON."""

    @abstractmethod
    def id_in(self, line: bytes) -> str | None:
        """Return the id of the event whose line this is, None if it is none of ours."""

    def deliver(self, events: Sequence[Event]) -> None:
        """Append what is not there yet.

        Raises:
            EventsRefused: naming those that JSON cannot carry.
            SinkError: if the disk takes nothing now.
        """
        texts = json_of_all(events)
        with self._lock:
            try:
                if not self._file.is_open:
                    self._file.open()
                    self._file.trim()
                    found = map(self.id_in, self._file.last_lines(_REMEMBERED))
                    self._had.extend(event_id for event_id in found if event_id is not None)
                had = set(self._had)
                new = {
                    str(event.id): (event, text)
                    for event, text in zip(events, texts, strict=True)
                    if str(event.id) not in had
                }
                self._file.append([self.line(event, text) for event, text in new.values()])
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
