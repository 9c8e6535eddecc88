"""Where events wait, safe on the disk, until there are enough of them for a file of Parquet."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.errors import SinkError
from pipeline.lock import try_lock
from streams.sinks.copying.target import sync_folder

logger = logging.getLogger(__name__)

_CLOSED = -1
_CHUNK = 1 << 16
_NAME = re.compile(r"_incoming-(\d{8}T\d{12}Z)\.jsonl")
STAMP = "%Y%m%dT%H%M%S%fZ"
_LOCK = "_lock"


class Spool:
    """A file of whole lines, `_incoming-STAMP.jsonl`, that a crash can tear only at its end.

    Its stamp, the UTC time at which it was begun, names what becomes of it, so that a conversion which a
    crash cut short gives the same files when it is done again. Names that begin with "_" are passed over by
    readers of Parquet folders. Not thread-safe, and one process at a time.

    Args:
        folder: where it lies; made when it is opened.
        fsync: True to wait for the disk at each `append`.
        now: in UTC.
        clock_s: monotonic.

    Attributes:
        rows: lines in it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._fsync = fsync
        self._now = now
        self._clock_s = clock_s
        self._begun_s = 0.0
        self._lock = _CLOSED
        self._handle = _CLOSED
        self._path: Path | None = None
        self._latest = ""
        self.rows = 0

    @property
    def is_open(self) -> bool:
        """Whether it is open, and what it has still lies there."""
        if self._lock == _CLOSED:
            return False
        there = [path for path in (self._folder / _LOCK, self._path) if path is not None]
        return all(path.exists() for path in there)

    @property
    def stamp(self) -> str:
        """Of the file; "" while there is none."""
        found = _NAME.fullmatch(self._path.name) if self._path else None
        return found[1] if found else ""

    @property
    def age(self) -> timedelta:
        """How long the file has been there; of this run at least, where its stamp is of the future."""
        if not self.stamp:
            return timedelta()
        here = timedelta(seconds=self._clock_s() - self._begun_s)
        return max(here, self._now() - datetime.strptime(self.stamp, STAMP).replace(tzinfo=UTC))

    def open(self, latest: str = "") -> None:
        """Take up what a run before has left, after its torn last line was mended.

        Args:
            latest: greatest stamp that was ever used, "" for none.

        Raises:
            SinkError: if another process uses the folder.
            OSError: if it cannot be had.
        """
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not try_lock(self._lock):
            self.close()
            raise SinkError(f"{self._folder} is written by another process; give one another `folder`")
        self._latest = max(self._latest, latest)
        left = sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        if left:
            self._begin(left[0])
            self._mend()

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines, each with its end.

        Raises:
            OSError: if they cannot be stored, or not all; then it must be opened again, which mends it.
        """
        if not lines:
            return
        if self._handle == _CLOSED:
            # A clock that was set back gives no stamp again: the file of that name would be replaced.
            stamp = max(self._now().strftime(STAMP), _after(self._latest))
            self._begin(self._folder / f"_incoming-{stamp}.jsonl")
            if self._fsync:
                sync_folder(self._folder)
        view = memoryview(b"".join(lines))
        while view:
            view = view[os.write(self._handle, view) :]
        if self._fsync:
            os.fsync(self._handle)
        self.rows += len(lines)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield all lines, oldest first, with their place for `line`."""
        if self._path is not None:
            place = 0
            with self._path.open("rb") as file:
                for line in file:
                    yield place, line
                    place += len(line)

    def line(self, place: int) -> bytes:
        """Return the line at a place."""
        found = b""
        while b"\n" not in found:
            more = os.pread(self._handle, _CHUNK, place + len(found))
            if not more:
                break
            found += more
        return found.partition(b"\n")[0]

    def remove(self) -> None:
        """Remove the file, as all of it is somewhere else; the next `append` begins another."""
        path, self._path = self._path, None
        self._let_go()
        if path is not None:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close it; what is in it stays. Safe more than once."""
        self._let_go()
        self._path = None
        lock, self._lock = self._lock, _CLOSED
        if lock != _CLOSED:
            os.close(lock)

    def _begin(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._path = path
        self._begun_s = self._clock_s()
        self._latest = max(self._latest, self.stamp)
        self.rows = 0

    def _mend(self) -> None:
        """Remove what stands behind the last end of line: its event was never taken, it comes again."""
        end = 0
        for place, line in self.lines():
            if line.endswith(b"\n"):
                end = place + len(line)
                self.rows += 1
        size = os.fstat(self._handle).st_size
        if end < size:
            logger.warning("%s: a torn last line of %d bytes is removed", self._path, size - end)
            os.ftruncate(self._handle, end)

    def _let_go(self) -> None:
        handle, self._handle = self._handle, _CLOSED
        self.rows = 0
        if handle != _CLOSED:
            os.close(handle)


def _after(stamp: str) -> str:
    if not stamp:
        return ""
    return (datetime.strptime(stamp, STAMP) + timedelta(microseconds=1)).strftime(STAMP)
