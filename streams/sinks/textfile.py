"""A text file of a run that grows by whole lines, and goes on when a disk that was full has room again."""

from __future__ import annotations

import errno
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Annotated

from pydantic import AfterValidator

from pipeline.errors import SinkError, Unwritable

MOST_WAITING_BYTES = 1 << 20
"""Of lines that wait in memory while the disk takes none; about two thousand events."""
_CHUNK = 1 << 16
_CLOSED = -1
_PASSING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.ENOENT,
    errno.ENODEV,
    errno.ENXIO,
    errno.ESTALE,
    errno.ENOTCONN,
}
"""Errors that may pass: room is made, another file begun, the disk mounted writable or plugged in again."""


def _within_folder(name: str) -> str:
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in name:
        raise ValueError(f"{name!r} must be the name of a file within the output folder")
    return name


FileName = Annotated[str, AfterValidator(_within_folder)]
"""A file's path relative to the output folder, which it cannot leave."""


class TextFile:
    """A UTF-8 file that is begun anew; what `write` returned from survives a crash of the program.

    After a failure it is whole up to the last line that was written. Lines that the disk did not take wait,
    the newest of them, and come first when it takes some again; where another disk lies there then, or the
    file was removed meanwhile, in a file of the same name.

    Not thread-safe: its sink holds a lock.

    Args:
        path: the file; its folder is made if missing.
        fsync: True to survive a crash of the machine as well, at some milliseconds a write.
        most_waiting: bytes of lines that may wait.
    """

    def __init__(self, path: Path, *, fsync: bool = False, most_waiting: int = MOST_WAITING_BYTES) -> None:
        self.path = path
        self._fsync = fsync
        self._most_waiting = most_waiting
        self._handle = _CLOSED
        self._is_begun = False
        self._size = 0
        self._is_torn = False
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._lost: Counter[str] = Counter()

    def open(self) -> None:
        """Begin the file, if that was not done. Raises SinkError, or Unwritable, if it cannot be had."""
        if self._handle == _CLOSED:
            with writing(self.path):
                self._open()

    def write(self, text: str, owner: str = "") -> None:
        """Append whole lines.

        Args:
            text: the lines, with their ends.
            owner: whose they are, for `lost`.

        Raises:
            SinkError: if they cannot be stored; if it is `Unwritable` they wait.
        """
        data = text.encode()
        self._waiting.append((owner, data))
        self._waiting_bytes += len(data)
        self.flush()

    def flush(self) -> None:
        """Write what waits. Raises SinkError, or Unwritable, if the disk does not take it."""
        if not self._waiting:
            return
        try:
            with writing(self.path):
                self._make_ready()
                while self._waiting:
                    self._append(self._waiting[0][1])
                    self._waiting_bytes -= len(self._waiting.popleft()[1])
        except SinkError:
            self._is_torn = True
            while self._waiting_bytes > self._most_waiting:
                self._lose()
            raise

    def lost(self) -> Mapping[str, int]:
        """Return how many writes were left out, by their owner."""
        return dict(self._lost)

    def close(self) -> None:
        """Close the file; safe more than once. Raises SinkError when lines could not be written at all."""
        try:
            self.flush()
        finally:
            while self._waiting:
                self._lose()
            handle, self._handle = self._handle, _CLOSED
            if handle != _CLOSED:
                with writing(self.path):
                    os.close(handle)

    def _lose(self) -> None:
        owner, data = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        self._lost[owner] += 1

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        anew = 0 if self._is_begun else os.O_TRUNC
        self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | anew, 0o666)
        self._size = whole_lines(self._handle) if self._is_begun else 0
        self._is_torn = self._is_begun
        self._is_begun = True

    def _make_ready(self) -> None:
        """Open the file; after a failure see whether it still lies there, and cut off half a line."""
        if self._handle != _CLOSED and self._is_torn and not self._lies_there():
            handle, self._handle = self._handle, _CLOSED
            with suppress(OSError):  # of a disk that is gone
                os.close(handle)
        if self._handle == _CLOSED:
            self._open()
        if self._is_torn:
            if os.fstat(self._handle).st_size > self._size:
                os.ftruncate(self._handle, self._size)
            self._is_torn = False

    def _lies_there(self) -> bool:
        try:
            found, held = self.path.stat(), os.fstat(self._handle)
        except OSError:
            return False
        return (found.st_ino, found.st_dev) == (held.st_ino, held.st_dev)

    def _append(self, data: bytes) -> None:
        """Write all of it, or leave the file as it was."""
        begin, left = self._size, memoryview(data)
        try:
            while left:
                left = left[os.write(self._handle, left) :]
            if self._fsync:
                os.fsync(self._handle)
        except OSError:
            with suppress(OSError):  # else it is cut off before the next line
                os.ftruncate(self._handle, begin)
            raise
        self._size = begin + len(data)


def whole_lines(handle: int) -> int:
    """Return the bytes of an open file up to its last end of line."""
    end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - _CHUNK)
        place = os.pread(handle, end - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError within the block into a SinkError that names `path`, an Unwritable if it may pass."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        kind = Unwritable if error.errno in _PASSING else SinkError
        raise kind(
            f"cannot write {path}: {reason}; free space there or choose another output folder"
        ) from error
