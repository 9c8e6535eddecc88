"""A text file of a run that grows by whole lines and says in one line what went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Annotated, TextIO

from pydantic import AfterValidator

from pipeline.errors import SinkError


def _within_folder(name: str) -> str:
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in name:
        raise ValueError(f"{name!r} must be the name of a file within the output folder")
    return name


FileName = Annotated[str, AfterValidator(_within_folder)]
"""A file's path relative to the output folder, which it cannot leave."""


class TextFile:
    """A UTF-8 file that is begun anew; what `write` returned from survives a crash of the program.

    Not thread-safe: its sink holds a lock.

    Args:
        path: the file; its folder is made if missing.
        fsync: True to survive a crash of the machine as well, at some milliseconds a write.

    Raises:
        SinkError: if the file cannot be made.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self.path = path
        self._fsync = fsync
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open("w", encoding="utf-8", newline="")

    def write(self, text: str) -> None:
        """Append whole lines. Raises SinkError when they cannot be stored."""
        with writing(self.path):
            self._file.write(text)
            self._file.flush()
            if self._fsync:
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; safe more than once. Raises SinkError when lines are still unwritten."""
        with writing(self.path):
            self._file.close()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError within the block into a SinkError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise SinkError(
            f"cannot write {path}: {reason}; free space there or choose another output folder"
        ) from error
