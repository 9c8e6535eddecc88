"""Sink `counts`: how many objects crossed each line, in bins of wall-clock time, as CSV."""

from __future__ import annotations

import csv
import io
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import Moment, iso_utc
from pipeline.plugin import Sink, SinkContext, SinkOptions, StreamInfo
from streams.sinks.textfile import FileName, TextFile

COLUMNS = ("stream", "line", "direction", "label", "start", "end", "start_s", "count")
LATE_S = 30.0
"""How long after its last frame a bin stays open, since a crossing is certain only some time later."""


class CountsOptions(SinkOptions):
    """Options of the counts sink.

    Attributes:
        path: file within the output folder, for all streams. A run begins it anew.
        bin_s: length of a bin in seconds. Bins begin at multiples of it since 1970-01-01 UTC: 900 gives
            quarters of an hour, 3600 hours.
    """

    path: FileName = "counts.csv"
    bin_s: int = Field(default=60, ge=1, le=86400)


class CountsSink(Sink):
    """Writes a row for each stream, bin, line, direction and label.

    A crossing counts in the bin of its own moment. Where a line saw nothing in one direction there is one
    row with count 0 and an empty label; a bin in which no frame was seen has no rows, because nothing is
    known of it. `start` and `end` are the bin's edges, also where the stream covers only a part of it;
    `start_s` is the media time of its start.

    A bin's rows are written, and flushed, once `LATE_S` of media time have passed since its last frame, or
    at the end of the stream. A crossing that becomes known later still gets a row of its own: counts of the
    same bin add up. The rows of one stream come in a fixed order; streams interleave as their bins become
    final, so memory does not grow with the length of the run.
    """

    Options = CountsOptions
    options: CountsOptions

    def __init__(self, options: CountsOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._file: TextFile | None = None
        self._streams: dict[str, StreamBins] = {}

    @classmethod
    def files(cls, options: CountsOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the one file for all streams."""
        return [options.path]

    def open_stream(self, info: StreamInfo) -> None:
        """Begin the file with the first stream."""
        with self._lock:
            if self._file is None:
                self._file = TextFile(self.context.folder / self.options.path)
                self._file.write(_csv([COLUMNS]))
            self._streams[info.stream] = StreamBins(info.stream, self.options.bin_s)

    def on_event(self, event: Event) -> None:
        """Count a crossing; other events are none of ours."""
        if event.kind == "line.crossing":
            with self._lock:
                self._streams[event.stream].add_crossing(event)

    def on_frame(self, frame: Frame) -> None:
        """Take note of the lines that are watched, and write the bins that are final."""
        with self._lock:
            bins = self._streams[frame.stream]
            bins.add_frame(frame)
            self._write(bins.take_final(frame.moment.pts_s))

    def close_stream(self, stream: str) -> None:
        """Write the stream's open bins."""
        with self._lock:
            bins = self._streams.pop(stream, None)
            if bins is not None:
                self._write(bins.take_all())

    def close(self) -> None:
        """Write what is left and close the file."""
        for stream in sorted(self._streams):
            self.close_stream(stream)
        with self._lock:
            if self._file is not None:
                self._file.close()

    def _write(self, rows: list[Row]) -> None:
        if rows and self._file is not None:
            self._file.write(_csv(rows))


Row = tuple[str | int, ...]


@dataclass(slots=True)
class _Bin:
    """What happened within one bin: (line, direction) -> label -> objects."""

    start_s: float
    touched_s: float
    crossings: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)


class StreamBins:
    """The open bins of one stream."""

    def __init__(self, stream: str, bin_s: int) -> None:
        self._stream = stream
        self._bin_ns = bin_s * 1_000_000_000
        self._bins: dict[int, _Bin] = {}

    def add_frame(self, frame: Frame) -> None:
        """Open the frame's bin with the lines that are watched."""
        now = self._bin(frame.moment)
        now.touched_s = frame.moment.pts_s
        for line, directions in (frame.counts or {}).items():
            for direction in directions:
                now.crossings.setdefault((line, direction), Counter())

    def add_crossing(self, event: Event) -> None:
        """Count a `line.crossing` in the bin of its moment.

        Raises:
            SinkError: if it does not say which line was crossed in which direction.
        """
        try:
            key = (str(event.data["line"]), str(event.data["direction"]))
        except KeyError as error:
            what = f"event '{event.kind}' {event.id} of stream '{self._stream}'"
            raise SinkError(f"{what} cannot be counted: its data has no {error}") from error
        labels = self._bin(event.moment).crossings.setdefault(key, Counter())
        labels[event.label or ""] += 1

    def take_final(self, pts_s: float) -> list[Row]:
        """Return the rows of the bins whose last frame is `LATE_S` away, and forget them.

        Away in either direction: a new run may start its media clock anew.
        """
        return self._take([n for n, one in self._bins.items() if abs(pts_s - one.touched_s) > LATE_S])

    def take_all(self) -> list[Row]:
        """Return the rows of all open bins, and forget them."""
        return self._take(list(self._bins))

    def _bin(self, moment: Moment) -> _Bin:
        number = moment.time_ns // self._bin_ns
        found = self._bins.get(number)
        if found is None:
            start_s = moment.pts_s - (moment.time_ns - number * self._bin_ns) / 1e9
            found = self._bins[number] = _Bin(start_s, moment.pts_s)
        return found

    def _take(self, numbers: list[int]) -> list[Row]:
        rows: list[Row] = []
        for number in sorted(numbers):
            rows += self._rows(number, self._bins.pop(number))
        return rows

    def _rows(self, number: int, counted: _Bin) -> Iterator[Row]:
        start, end = iso_utc(number * self._bin_ns), iso_utc((number + 1) * self._bin_ns)
        for (line, direction), labels in sorted(counted.crossings.items()):
            for label, count in sorted(labels.items()) or [("", 0)]:
                yield self._stream, line, direction, label, start, end, f"{counted.start_s:.3f}", count


def _csv(rows: list[Row]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
