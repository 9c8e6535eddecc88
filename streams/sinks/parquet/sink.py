"""Sink `parquet`: events as Parquet files for DuckDB, pandas, Spark, a folder for each day."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.plugin import NO_EVENTS, EventSink, EventSinkOptions, SinkContext
from pipeline.steady import SteadyClock
from streams.sinks.body import json_of_all
from streams.sinks.needed import need
from streams.sinks.parquet import files
from streams.sinks.parquet.spool import Spool
from streams.sinks.textfile import FileName

logger = logging.getLogger(__name__)

_REMEMBERED = 2_000
"""Events whose doubles are recognised; more than a batch, as nothing older is delivered again."""


class ParquetOptions(EventSinkOptions):
    """Options of the parquet sink.

    Attributes:
        folder: within the output folder; belongs to the sink alone.
        every_s: a file is made of what has come when that is so old, at the next event, and at the end.
        file_rows: or when it has so many rows.
        group_rows: rows of a row group; so many are in memory at a time.
        keep_days: files of an older day (UTC) go.
        keep_mb: most megabytes of all files.
        fsync: wait for the disk once per batch, before the journal is told that the events are here.
    """

    folder: FileName = "parquet"
    every_s: float = Field(default=900.0, ge=1, le=86_400)
    file_rows: int = Field(default=100_000, ge=1, le=10_000_000)
    group_rows: int = Field(default=5_000, ge=1, le=1_000_000)
    keep_days: float = Field(default=365.0, gt=0, le=36_500)
    keep_mb: float = Field(default=10_000.0, ge=0.001, le=100_000_000)
    fsync: bool = True


class ParquetSink(EventSink):
    """Collects events in a spool on the disk, and makes files of it: `date=2026-03-01/events-STAMP.parquet`.

    An event lies in the folder of its own day. It is in the spool, safely, before the journal is told, and
    each file appears whole: a crash at any moment loses nothing and doubles nothing.
    """

    Options = ParquetOptions
    emits = NO_EVENTS
    options: ParquetOptions

    def __init__(
        self,
        options: ParquetOptions,
        context: SinkContext,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(options, context)
        need("pyarrow", "pyarrow", "parquet")
        self._now = now
        self._time_of_day = SteadyClock(lambda: round(now().timestamp() * 1e9))
        self._folder = context.folder / options.folder
        self._lock = threading.Lock()
        self._spool = Spool(self._folder, fsync=options.fsync, now=now)
        self._had: deque[str] = deque(maxlen=_REMEMBERED)

    @classmethod
    def files(cls, options: ParquetOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the folder."""
        return [options.folder]

    def deliver(self, events: Sequence[Event]) -> None:
        """Put what is not there yet into the spool, after that was made a file of if it is time.

        Raises:
            EventsRefused: naming those that JSON cannot carry.
            SinkError: if the disk takes nothing now.
        """
        texts = json_of_all(events)
        with self._lock, self._explained():
            if not self._spool.is_open:
                latest = files.latest_stamp(self._folder)
                if latest:
                    self._time_of_day.vouch(files.time_ns_of(latest))
                self._spool.open(latest)
                files.clean(self._folder)
                self._had.extend(files.latest_ids(self._folder, _REMEMBERED))
                self._had.extend(event["id"] for _, event in self._spooled())
            if self._is_due():
                self._convert()
            had = set(self._had)
            new = {
                str(event.id): text
                for event, text in zip(events, texts, strict=True)
                if str(event.id) not in had
            }
            self._spool.append([f"{text}\n".encode() for text in new.values()])
            self._had.extend(new)

    def close(self) -> None:
        """Make a file of what is in the spool; if that fails, it is there for the next run."""
        with self._lock:
            rows = self._spool.rows
            try:
                with self._explained():
                    if self._spool.is_open and rows:
                        self._convert()
            except SinkError as error:
                logger.warning("parquet: %d events wait in the spool for the next run (%s)", rows, error)
            self._spool.close()

    def _is_due(self) -> bool:
        spool = self._spool
        is_old = spool.age >= timedelta(seconds=self.options.every_s)
        return spool.rows >= self.options.file_rows or (spool.rows > 0 and is_old)

    def _convert(self) -> None:
        """Make a file for each day that is in the spool, and remove that."""
        places: dict[str, list[int]] = {}
        for place, event in self._spooled():
            places.setdefault(files.day_of(event), []).append(place)
        for day, mine in places.items():
            files.write(
                self._folder,
                day,
                self._spool.stamp,
                map(self._spool.line, mine),
                group_rows=self.options.group_rows,
                fsync=self.options.fsync,
            )
        self._spool.remove()
        files.trim(
            self._folder,
            keep_days=self.options.keep_days,
            keep_bytes=int(self.options.keep_mb * 1e6),
            today=self._now().date() if self._time_of_day.is_steady() else None,
        )

    def _spooled(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events of the spool as plain values, with the places of their lines."""
        for place, line in self._spool.lines():
            try:
                event = json.loads(line)
                files.row_of(event)
            except (ValueError, KeyError, TypeError):
                logger.error("parquet: a line of the spool at byte %d is no event; it is left out", place)
                continue
            yield place, event

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Some lines may be there, the last of them torn: opening it again finds out.
            self._spool.close()
            reason = error.strerror or str(error)
            raise SinkError(f"cannot write {self._folder}: {reason}; free space there") from error
