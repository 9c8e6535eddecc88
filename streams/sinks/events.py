"""Sink `events`: every event as one line of JSON."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.file_sink import FileSink
from pipeline.plugin import NO_EVENTS, SinkContext, SinkOptions, StreamInfo
from streams.sinks.body import json_of
from streams.sinks.textfile import FileName, TextFile


class EventsOptions(SinkOptions):
    """Options of the events sink.

    Attributes:
        path: file within the output folder, for all streams. A run begins it anew: the same input then
            yields the same bytes, and lines of two runs never mix. Choose another folder to keep both.
        fsync: True to have each event on the disk before the next is taken; False leaves that to the
            operating system, so that events survive a crash of sightline but not of the machine.
    """

    path: FileName = "events.jsonl"
    fsync: bool = False


class EventsSink(FileSink):
    """Writes JSON Lines: `Event.to_dict()` in UTF-8, flushed event by event.

    The events of one stream come in their order; how the lines of several streams interleave depends on
    which is faster. What belongs to no stream is among them, as stream `_box`.

    While the disk takes nothing a megabyte of the newest events waits in memory.
    """

    Options = EventsOptions
    emits = NO_EVENTS
    inside_only: ClassVar[str] = (
        "its file is that of one run, from begin to end; the sink 'jsonl' writes the same lines in a process "
        "of its own"
    )
    options: EventsOptions

    def __init__(self, options: EventsOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._file = TextFile(context.folder / options.path, fsync=options.fsync)
        self._is_closed = False

    @classmethod
    def files(cls, options: EventsOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the one file for all streams."""
        return [options.path]

    def open_stream(self, info: StreamInfo) -> None:  # noqa: ARG002
        """Begin the file with the first stream, so that a run without events leaves it empty."""
        with self._lock:
            self._file.open()

    def on_event(self, event: Event) -> None:
        """Append the event."""
        line = _json(event)
        with self._lock:
            if self._is_closed:
                raise SinkError(f"{self._file.path}: the run is over; the event {event.kind} is left out")
            self._file.write(line, event.stream)

    def on_box_event(self, event: Event) -> None:
        """Append the event."""
        self.on_event(event)

    def retry(self, stream: str) -> None:  # noqa: ARG002
        """Write what waits."""
        with self._lock:
            self._file.open()
            self._file.flush()

    def losses(self, stream: str) -> Mapping[str, int]:
        """Return the `events` that are not in the file."""
        return {"events": self._file.lost().get(stream, 0)}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._is_closed = True
            self._file.close()


def _json(event: Event) -> str:
    try:
        return json_of(event) + "\n"
    except ValueError as error:
        raise SinkError(str(error)) from error
