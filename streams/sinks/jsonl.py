"""Sink `jsonl`: events as lines of JSON in files that go on from run to run, and are bounded."""

from __future__ import annotations

import json

from pipeline.event import Event
from streams.sinks.event_file import EventFileOptions, EventFileSink
from streams.sinks.textfile import FileName


class JsonlOptions(EventFileOptions):
    """Options of the jsonl sink: those of `EventFileOptions`."""

    path: FileName = "log/events.jsonl"


class JsonlSink(EventFileSink):
    """Appends JSON Lines, `Event.to_dict()` in UTF-8. Unlike `events`, no run begins them anew."""

    Options = JsonlOptions
    options: JsonlOptions

    def line(self, event: Event, text: str) -> bytes:  # noqa: ARG002 - the text has all of it
        """Return the JSON."""
        return f"{text}\n".encode()

    def id_in(self, line: bytes) -> str | None:
        """Return the field `id`, None where somebody has edited the file."""
        try:
            return str(json.loads(line)["id"])
        except (ValueError, KeyError, TypeError):
            return None
