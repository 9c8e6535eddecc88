"""The intervals of one stream and their way into a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

from pipeline.errors import SinkError
from pipeline.frame import Frame
from streams.sinks.counts.bins import Bin, StreamBins
from streams.sinks.counts.calendar import Calendar
from streams.sinks.counts.days import DayFiles
from streams.sinks.counts.layout import Row, rows_of, utc_text
from streams.sinks.counts.memory import Memory

REMEMBER_S = 10.0
"""Media time between two notes of the open intervals of a live stream; a crash loses what came since."""
OPEN = "open.json"


class Book(ABC):
    """Keeps the intervals of one stream and writes those that are final.

    Attributes:
        bins: the open intervals.

    Args:
        stream: its name.
        calendars: one for each length.
    """

    def __init__(self, stream: str, calendars: Sequence[Calendar]) -> None:
        self._stream = stream
        self._calendar = calendars[0]  # of whatever length: for local times
        self.bins = StreamBins(calendars)

    @abstractmethod
    def advance(self, frame: Frame) -> None:
        """Take note of a frame, and write the intervals that are final. Raises SinkError if that fails."""

    @abstractmethod
    def close(self) -> None:
        """Write the open intervals. Raises SinkError if that fails."""

    def retry(self) -> None:
        """Write what the disk refused. Raises SinkError if that fails again."""

    @property
    def lost(self) -> int:
        """Rows that were left out, as the disk took none."""
        return 0

    def _rows(self, bins: Iterable[Bin]) -> list[Row]:
        return [row for one in bins for row in rows_of(self._stream, self._calendar, one)]


class RecordingBook(Book):
    """Of a recording: every run begins anew, and ends with what it has.

    Args:
        stream: its name.
        calendars: one for each length.
        write: appends rows to the table of all recordings.
    """

    def __init__(
        self, stream: str, calendars: Sequence[Calendar], write: Callable[[list[Row]], None]
    ) -> None:
        super().__init__(stream, calendars)
        self._write = write

    def advance(self, frame: Frame) -> None:
        """Take note of a frame, and write the intervals that are final."""
        self.bins.add_frame(frame)
        final = self.bins.take_final(frame.moment.pts_s)
        if final:
            self._write(self._rows(final))

    def close(self) -> None:
        """Write the open intervals."""
        self._write(self._rows(self.bins.take_all()))


class LiveBook(Book):
    """Of a live stream: goes on where the last process stopped.

    A file beside the tables remembers the open intervals and how long the tables were without them. At the
    end the rows of open intervals are written all the same, for who wants to know now; a restart takes them
    back and goes on. In the same way nothing is written twice when sightline is killed between the tables and
    the memory: what the memory still has open is taken back.

    Args:
        stream: its name.
        calendars: one for each length.
        files: its tables.
    """

    def __init__(self, stream: str, calendars: Sequence[Calendar], files: DayFiles) -> None:
        super().__init__(stream, calendars)
        self._files = files
        self._path = files.folder / OPEN
        self._remembered_s: float | None = None
        memory = Memory.read(self._path)
        restored = memory.restored()
        open_ones = {(one.length_s, utc_text(one.interval.start_s)) for one in restored}
        files.take_back(memory.sizes, lambda length_s, start: (length_s, start) in open_ones)
        self.bins.restore(restored, memory.watched)

    def advance(self, frame: Frame) -> None:
        """Take note of a frame, write the intervals that are final, and remember the others now and then."""
        pts_s = frame.moment.pts_s
        self.bins.add_frame(frame)
        final = self.bins.take_final(pts_s)
        since_s = None if self._remembered_s is None else abs(pts_s - self._remembered_s)
        if final or since_s is None or since_s >= REMEMBER_S:
            self._remembered_s = pts_s
            self._files.append(self._rows(final))
            self._remember()
        if final:
            self._files.settle(before=min(self._days(), default=None))

    def retry(self) -> None:
        """Write what waits, and remember the open intervals."""
        self._files.flush()
        self._remember()
        self._files.settle(before=min(self._days(), default=None))

    @property
    def lost(self) -> int:
        """Rows that the disk did not take."""
        return self._files.lost

    def close(self) -> None:
        """Write the open intervals as far as they are, in rows that a restart takes back."""
        try:
            self._files.flush()
            self._remember()
            self._files.append(self._rows(self.bins.take_all()))
            self._files.settle(before=None)
        except SinkError:
            self._files.give_up(self._rows(self.bins.take_all()))
            raise

    def _remember(self) -> None:
        Memory.of(self.bins, self._files.sizes(self._days())).write(self._path)

    def _days(self) -> set[str]:
        """Return the local dates on which the open intervals begin."""
        starts = {one.interval.start_s for one in self.bins.open}
        return {self._calendar.local(second).date().isoformat() for second in starts}
