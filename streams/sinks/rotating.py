"""A row of files that grows by whole lines, is taken up again after any end, and never fills the disk."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipeline.errors import SinkError
from pipeline.lock import try_lock
from pipeline.steady import SteadyClock
from streams.sinks.copying.target import sync_folder
from streams.sinks.textfile import whole_lines

logger = logging.getLogger(__name__)

_CHUNK = 1 << 16
_CLOSED = -1


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a new file begins, and which old ones go.

    Attributes:
        file_bytes: a file that has so many is full; a batch is never split over more files than it fills.
        keep_files: most files, the current one among them.
        keep_days: files of an older day (UTC) go.
        keep_bytes: most bytes of all files; the current one always stays.
    """

    file_bytes: int
    keep_files: int
    keep_days: float
    keep_bytes: int


class RotatingFile:
    """Files `STEM-DAY.NUMBER.SUFFIX` beside each other; numbers ascend, the last is the current one.

    A file never changes its name, and a new one begins when it is full or the day (UTC) ends. Not
    thread-safe, and one process at a time: the current file is locked.

    Args:
        path: the folder, stem and suffix of their names.
        bounds: of their number and size.
        fsync: True to wait for the disk at each `append`.
        header: first line of each file, with its end; a last file that begins otherwise is not gone on with.
        today: the day in UTC.
        time_of_day: tells whether that day can be believed, before files go that are too old by it.
    """

    def __init__(
        self,
        path: Path,
        bounds: Bounds,
        *,
        fsync: bool,
        header: bytes = b"",
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        time_of_day: SteadyClock | None = None,
    ) -> None:
        self._path = path
        self._bounds = bounds
        self._fsync = fsync
        self._header = header
        self._today = today
        self._time_of_day = time_of_day or SteadyClock()
        self._name = re.compile(
            rf"{re.escape(path.stem)}-(\d{{4}}-\d\d-\d\d)\.(\d{{6,}}){re.escape(path.suffix)}"
        )
        self._handle = _CLOSED
        self._current = path
        self._size = 0

    @property
    def is_open(self) -> bool:
        """Whether the current file is open, and still the one that lies there."""
        if self._handle == _CLOSED:
            return False
        try:
            found = self._current.stat()
        except FileNotFoundError:
            return False
        held = os.fstat(self._handle)
        return (found.st_ino, found.st_dev) == (held.st_ino, held.st_dev)

    def open(self) -> None:
        """Take up the last file, after its torn last line was mended, or begin the first.

        Raises:
            SinkError: if another process writes it.
            OSError: if it cannot be had.
        """
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        files = self.files()
        if files:
            self._time_of_day.vouch(files[-1].stat().st_mtime_ns)
            self._begin(files[-1])
            self._mend()
            if os.pread(self._handle, len(self._header), 0) != self._header:
                if self._size:
                    self._rotate()
                self._head()
        else:
            self._begin(self._named(1))
            self._head()

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines, each with its end.

        Raises:
            OSError: if they cannot be stored, or not all; then the file must be opened again, which mends
                a torn line.
        """
        waiting: list[bytes] = []
        size = self._size if self._size > len(self._header) else 0
        for line in lines:
            if (size and size + len(line) > self._bounds.file_bytes) or self._is_of_another_day():
                self._write(b"".join(waiting))
                self._rotate()
                waiting, size = [], 0
            waiting.append(line)
            size += len(line)
        self._write(b"".join(waiting))

    def files(self) -> list[Path]:
        """Return the files, oldest first."""
        found = (path for path in self._path.parent.iterdir() if self._name.fullmatch(path.name))
        # Not by day: the clock may have been set back.
        return sorted(found, key=lambda path: self._order(path)[::-1])

    def last_lines(self, most: int) -> list[bytes]:
        """Return up to so many of the latest whole lines, oldest first, over the ends of files."""
        lines: list[bytes] = []
        for path in reversed(self.files()):
            lines = _last_lines(path, most - len(lines)) + lines
            if len(lines) >= most:
                break
        return lines

    def trim(self) -> None:
        """Remove the files that are too old or too many."""
        files = self.files()
        oldest = self._today() - timedelta(days=self._bounds.keep_days)
        is_steady = self._time_of_day.is_steady()
        used, going = 0, False
        for kept, path in enumerate(reversed(files)):
            used += path.stat().st_size
            going = kept > 0 and (
                going
                or kept >= self._bounds.keep_files
                or used > self._bounds.keep_bytes
                or (is_steady and date.fromisoformat(self._order(path)[0]) < oldest)
            )
            if going:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the current file; safe more than once."""
        handle, self._handle = self._handle, _CLOSED
        if handle != _CLOSED:
            os.close(handle)

    def _write(self, data: bytes) -> None:
        if not data:
            return
        view = memoryview(data)
        while view:
            written = os.write(self._handle, view)
            self._size += written
            view = view[written:]
        if self._fsync:
            os.fsync(self._handle)

    def _rotate(self) -> None:
        number = int(self._order(self._current)[1]) + 1
        self.close()
        self._begin(self._named(number))
        self._head()
        self.trim()

    def _head(self) -> None:
        """Write the first line; torn by a crash, it is mended away and written again."""
        if self._size == 0:
            self._write(self._header)

    def _begin(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._current = path
        self._size = os.fstat(self._handle).st_size
        if not try_lock(self._handle):
            self.close()
            raise SinkError(f"{path} is written by another process; give one of them another `path`")
        if self._fsync:
            sync_folder(path.parent)

    def _mend(self) -> None:
        """Remove what stands behind the last end of line: its event was never taken, it comes again."""
        end = whole_lines(self._handle)
        if end < self._size:
            logger.warning("%s: a torn last line of %d bytes is removed", self._current, self._size - end)
            os.ftruncate(self._handle, end)
            self._size = end

    def _is_of_another_day(self) -> bool:
        return self._order(self._current)[0] != self._today().isoformat()

    def _named(self, number: int) -> Path:
        day = self._today().isoformat()
        return self._path.with_name(f"{self._path.stem}-{day}.{number:06d}{self._path.suffix}")

    def _order(self, path: Path) -> tuple[str, int]:
        matched = self._name.fullmatch(path.name)
        if matched is None:
            raise ValueError(f"{path} is none of {self._path}")
        return matched[1], int(matched[2])


def _last_lines(path: Path, most: int) -> list[bytes]:
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        found = b""
        while start > 0 and found.count(b"\n") <= most:
            length = min(_CHUNK, start)
            start -= length
            file.seek(start)
            found = file.read(length) + found
    lines = found.split(b"\n")[:-1]  # behind the last end of line stands nothing, or half a line
    return lines[-most:] if start == 0 else lines[1:][-most:]
