"""The file below a muxer: whole writes, and a disk that can be waited for."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any, Protocol


class Target(Protocol):
    """What recordings are written into; another one may encrypt on the way.

    One that cannot go back has no `seek`: fragmented MP4 needs none, Matroska then has no table to seek by.

    Attributes:
        path: of the file.
    """

    path: Path

    @property
    def size(self) -> int:
        """Bytes that were written."""

    @property
    def spent_s(self) -> float:
        """Time that writing and waiting took so far, s."""

    def write(self, data: Any, /) -> int:
        """Write all of it; the operating system has it then, so that it survives the end of this process."""

    def sync(self) -> None:
        """Wait until the disk has it, so that it survives a power failure."""

    def is_there(self) -> bool:
        """Whether the file still lies under its name: not removed, its disk not unplugged."""

    def close(self) -> None:
        """Write what is held back and close; safe more than once."""


class FileTarget(io.FileIO):
    """A plain file, unbuffered: FFmpeg's own does not tell when the last write, that of `close`, fails.

    Args:
        path: a new file.

    Raises:
        OSError: also if it exists; each method does when the disk does not take it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x")
        self.path = path
        self.size = 0
        self.spent_s = 0.0
        self._is_named = False
        self._failed: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of `data`; after a failure nothing, as it would stand behind half a part."""
        if self._failed is not None:
            raise OSError(self._failed.errno, self._failed.strerror)
        begun_s = time.monotonic()
        left = memoryview(data)
        length = left.nbytes
        try:
            while left:
                left = left[super().write(left) :]
        except OSError as error:
            self._failed = error
            raise
        finally:
            self.spent_s += time.monotonic() - begun_s
        self.size = max(self.size, self.tell())
        return length

    def sync(self) -> None:
        """Wait for the disk: the first time also until the name is there."""
        begun_s = time.monotonic()
        try:
            os.fdatasync(self.fileno())
            if not self._is_named:
                sync_folder(self.path.parent)
                self._is_named = True
        finally:
            self.spent_s += time.monotonic() - begun_s

    def is_there(self) -> bool:
        """Whether this very file is found under its name."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        held = os.fstat(self.fileno())
        return (found.st_ino, found.st_dev) == (held.st_ino, held.st_dev)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
