"""Sink `s3`: snapshots and clips of events, and the events themselves if wanted, into a bucket."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import ClassVar
from urllib.parse import quote
from uuid import UUID

from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, SinkContext
from streams.sinks.body import json_of_all
from streams.sinks.needed import need
from streams.sinks.s3.bucket import Bucket
from streams.sinks.s3.evidence import NotOurs, named_by, opened
from streams.sinks.s3.keys import MOST_BYTES, key_of
from streams.sinks.s3.options import S3Options

_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
    ".ts": "video/mp2t",
}
_CLOSE_S = 5.0


class S3Sink(EventSink):
    """Uploads what events name in their `evidence`, in the order of the events.

    An object's key follows from the event and its file, so what is uploaded again after a failure replaces
    itself. Files outside the output folder are never read. One that is gone, or must not be uploaded, is
    told, and its event counted as refused; the event still is among the events, where those are uploaded.
    """

    Options = S3Options
    emits = NO_EVENTS
    options: S3Options
    batch: ClassVar[int] = 200

    def __init__(
        self, options: S3Options, context: SinkContext, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(options, context)
        need("boto3", "boto3", "s3")
        self._clock = clock
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._bucket: Bucket | None = None
        self._stored: set[str] = set()
        self._told: set[UUID] = set()
        self._told_s = -options.events_every_s

    def deliver(self, events: Sequence[Event]) -> None:
        """Upload what they name.

        Raises:
            EventsRefused: naming those that JSON cannot carry, or whose files will never be uploaded.
            SinkError: if the server takes nothing now.
        """
        texts = json_of_all(events)
        with self._lock:
            refused = {}
            for place, event in enumerate(events):
                reason = self._upload_files(event)
                if reason:
                    refused[place] = reason
            if self.options.events:
                self._upload_events(
                    [
                        (event, text)
                        for event, text in zip(events, texts, strict=True)
                        if event.id not in self._told
                    ]
                )
            if refused:
                # What comes again without these begins with what is there.
                self._told.update(event.id for event in events)
                raise EventsRefused(refused)
            self._stored.clear()
            self._told.clear()

    def close(self) -> None:
        """Break off what is going on, between two pieces; safe more than once."""
        self._closing.set()
        if self._lock.acquire(timeout=_CLOSE_S):
            try:
                bucket, self._bucket = self._bucket, None
                if bucket:
                    bucket.close()
            finally:
                self._lock.release()

    def _upload_files(self, event: Event) -> str:
        """Upload the files of an event; return why some never will be, "" when all are there."""
        reasons = []
        for role, name in named_by(event, self.options.upload):
            key = key_of(self.options.key, event, role=role, name=PurePath(name).name)
            if key in self._stored:
                continue
            try:
                if len(key.encode()) > MOST_BYTES:
                    raise NotOurs(f"the key of {name!r} has more than {MOST_BYTES} bytes; shorten `key`")
                with opened(self.context.folder, name, self.options.suffixes) as file:
                    kind = _TYPES.get(PurePath(name).suffix.lower(), "application/octet-stream")
                    notes = {"event": str(event.id), "stream": quote(event.stream), "kind": quote(event.kind)}
                    self._ready().upload(file, key, kind, notes)
            except NotOurs as error:
                reasons.append(str(error))
                continue
            except OSError as error:
                raise SinkError(f"{self.context.folder / name}: {error.strerror or error}") from error
            self._stored.add(key)
        return "; ".join(reasons)

    def _upload_events(self, events: Sequence[tuple[Event, str]]) -> None:
        if not events:
            return
        wait_s = self._told_s + self.options.events_every_s - self._clock()
        if wait_s > 0 and self._closing.wait(wait_s):
            raise SinkError("closed")
        lines = "".join(f"{text}\n" for _, text in events).encode()
        key = key_of(self.options.events_key, events[0][0])
        self._ready().upload(io.BytesIO(lines), key, "application/x-ndjson", {"events": str(len(events))})
        self._told_s = self._clock()

    def _ready(self) -> Bucket:
        if self._closing.is_set():
            raise SinkError("closed")
        if self._bucket is None:
            self._bucket = Bucket(self.options, self._closing.is_set)
        return self._bucket
