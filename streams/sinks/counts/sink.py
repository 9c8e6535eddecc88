"""The sink `counts` itself: options, and who writes what when."""

from __future__ import annotations

import importlib.util
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipeline.event import Event
from pipeline.file_sink import FileSink
from pipeline.frame import Frame
from pipeline.plugin import NO_EVENTS, SinkContext, SinkOptions, StreamInfo
from streams.sinks.counts.books import Book, LiveBook, RecordingBook
from streams.sinks.counts.calendar import Calendar, checked_length, zone_named
from streams.sinks.counts.days import DayFiles
from streams.sinks.counts.layout import COLUMNS, Row, csv_text, write_parquet
from streams.sinks.counts.reading import counted
from streams.sinks.textfile import FileName, TextFile


def _zone(name: str) -> str:
    zone_named(name)
    return name


def _several(value: object) -> object:
    """Let one length stand for a list of one."""
    return [value] if isinstance(value, (int, float, str)) else value


def _different(lengths: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(lengths)) < len(lengths):
        raise ValueError(f"each length once, got {', '.join(map(str, lengths))}")
    return lengths


_Length = Annotated[int, AfterValidator(checked_length)]


class CountsOptions(SinkOptions):
    """Options of the counts sink.

    Attributes:
        path: file within the output folder, for all recordings; a run begins it anew. A live stream has a
            table for each day instead, in a folder: `counts.csv` becomes `counts/STREAM/2026-03-01.csv`.
        bin_s: length of the intervals in seconds, or several: [60, 300, 900, 3600] has them all in one table.
            What divides an hour, or whole hours that divide a day.
        time_zone: name in the IANA database, such as Europe/Berlin. Intervals are in step with its clock.
        parquet: True to write each table as Parquet as well; needs pyarrow.
        keep_days: a live stream's tables of so many days are kept, the latest.
    """

    path: FileName = "counts.csv"
    bin_s: Annotated[
        tuple[_Length, ...],
        BeforeValidator(_several),
        AfterValidator(_different),
        Field(min_length=1, max_length=8),
    ] = (60,)
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    parquet: bool = False
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 400

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.parquet and importlib.util.find_spec("pyarrow") is None:
            raise ValueError('parquet needs the package pyarrow: pip install "sightline[history]"')
        if not PurePath(self.path).suffix or PurePath(self.path).suffix == ".parquet":
            raise ValueError(f"path '{self.path}' must have the ending of a text file, such as counts.csv")
        return self


class CountsSink(FileSink):
    """Writes a row for each interval, line and direction (or movement of a route), and class.

    An object counts in the interval of its own moment. Where a line saw nothing in one direction there is a
    row with count 0 and an empty class; an interval of which no frame was seen has no rows, because nothing
    is known of it. How much of an interval was observed stands in each of its rows.

    An interval's rows are written, and flushed, once `bins.LATE_S` of media time have passed since its last
    frame, or at the end of the stream. A crossing that becomes known later still gets a row of its own: the
    counts of an interval add up. The rows of one stream come in a fixed order; recordings interleave as their
    intervals become final, so memory does not grow with the length of the run.

    A live stream that is started again goes on with the interval that was open when it stopped. While the
    disk takes nothing it counts on, and its rows wait in memory, four megabytes of them.
    """

    Options = CountsOptions
    emits = NO_EVENTS
    inside_only: ClassVar[str] = (
        "how much of an interval was watched follows from every frame, and the bus does not keep those that "
        "a process has missed; let it run in the daemon, or count what 'sqlite' or 'postgres' have in SQL"
    )
    options: CountsOptions

    def __init__(self, options: CountsOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._file: TextFile | None = None
        self._books: dict[str, Book] = {}
        self._live: dict[str, StreamInfo] = {}
        self._lost: Counter[str] = Counter()

    @classmethod
    def files(cls, options: CountsOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the table of the recordings."""
        table = PurePath(options.path)
        return [options.path, str(table.with_suffix(".parquet"))] if options.parquet else [options.path]

    @classmethod
    def takes_pictures(cls) -> bool:
        """Return False: of frames it needs the time alone."""
        return False

    def open_stream(self, info: StreamInfo) -> None:
        """Begin the table with the first recording; go on with a live stream's."""
        if info.live:
            self._live[info.stream] = info
            self._go_on(info)
            return
        book = RecordingBook(info.stream, self._calendars(), self._write)
        with self._lock:
            if self._file is None:
                self._file = TextFile(self.context.folder / self.options.path)
                self._file.write(csv_text([COLUMNS]))
            self._books[info.stream] = book

    def on_event(self, event: Event) -> None:
        """Count a crossing or a movement; other events are none of ours."""
        what = counted(event)
        book = None if what is None else self._books.get(event.stream)
        if what is not None and book is not None:
            book.bins.add(what, event)

    def on_frame(self, frame: Frame) -> None:
        """Take note of the time and of the lines that are watched, and write the intervals that are final."""
        book = self._books.get(frame.stream)
        if book is not None:  # else its tables cannot be had now
            book.advance(frame)

    def retry(self, stream: str) -> None:
        """Write what waits."""
        book = self._books.get(stream)
        if book is not None:
            book.retry()
        elif stream in self._live:
            self._go_on(self._live[stream])

    def losses(self, stream: str) -> Mapping[str, int]:
        """Return the `rows` that are not in the tables."""
        with self._lock:
            book = self._books.get(stream)
            return {"rows": self._lost[stream] + (book.lost if book else 0)}

    def close_stream(self, stream: str) -> None:
        """Write the stream's open intervals."""
        with self._lock:
            self._live.pop(stream, None)
            book = self._books.pop(stream, None)
        if book is not None:
            try:
                book.close()
            finally:
                with self._lock:
                    self._lost[stream] += book.lost

    def close(self) -> None:
        """Write what is left and close the file."""
        for stream in sorted(self._books):
            self.close_stream(stream)
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()
            if self.options.parquet:
                write_parquet(file.path)

    def _go_on(self, info: StreamInfo) -> None:
        options = self.options
        folder = (self.context.folder / options.path).with_suffix("") / info.stream
        files = DayFiles(folder, keep_days=options.keep_days, parquet=options.parquet)
        book = LiveBook(info.stream, self._calendars(), files)
        with self._lock:
            self._books[info.stream] = book

    def _calendars(self) -> list[Calendar]:
        zone = zone_named(self.options.time_zone)
        return [Calendar(length_s, zone) for length_s in sorted(self.options.bin_s)]

    def _write(self, rows: list[Row]) -> None:
        with self._lock:
            if rows and self._file is not None:
                self._file.write(csv_text(rows))
