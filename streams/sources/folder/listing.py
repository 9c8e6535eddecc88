"""Looks into a folder, or at what a pattern matches, without keeping what it sees."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import SourceError
from streams.sources.image_file import SUFFIXES


class Entry(NamedTuple):
    """An image file as it was when it was looked at.

    Attributes:
        path: of the file.
        size: bytes.
        written_ns: when its content was last written, ns; uploaders may set it to anything.
        changed_ns: when anything of it changed, renaming included, ns; nobody can set it.
    """

    path: Path
    size: int
    written_ns: int
    changed_ns: int

    @property
    def version(self) -> tuple[int, int]:
        """What is another when the content is another."""
        return self.size, self.written_ns


class Listing:
    """What a folder or pattern holds.

    Hidden files and files without the suffix of an image are left alone: uploads are given such names until
    they are complete.

    Args:
        pattern: path of a folder, or a pattern with `*`, `?`, `[...]` or `**`.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._is_pattern = glob.has_magic(pattern) and not Path(pattern).is_dir()

    def entries(self, since_ns: int = 0) -> Iterator[Entry]:
        """Yield the images that are there and changed since then, in no order.

        Raises:
            SourceError: if there is no such folder, or it cannot be read.
        """
        try:
            if self._is_pattern:
                for name in glob.iglob(self.pattern, recursive=True):  # noqa: PTH207 - may be absolute
                    if _is_image(os.path.basename(name)):  # noqa: PTH119 - a Path costs more than the look
                        yield from _looked_at(name, partial(os.stat, name), since_ns)
                return
            with os.scandir(self.pattern) as found:
                for item in found:
                    if _is_image(item.name):
                        yield from _looked_at(item.path, item.stat, since_ns)
        except OSError as error:
            raise SourceError(
                f"{self.pattern}: the folder cannot be read ({error.strerror}); is it there, and mounted?"
            ) from None

    def entry(self, path: Path) -> Iterator[Entry]:
        """Yield the file as it is now, or nothing if it is no image's, or gone."""
        if _is_image(path.name):
            yield from _looked_at(str(path), path.stat, 0)

    def changed_ns(self) -> int | None:
        """Return when the folder last got, lost or renamed a file; None where that cannot be told."""
        if self._is_pattern:
            return None
        try:
            return Path(self.pattern).stat().st_mtime_ns
        except OSError:
            return None


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _looked_at(name: str, look: Callable[[], os.stat_result], since_ns: int) -> Iterator[Entry]:
    with contextlib.suppress(FileNotFoundError):
        found = look()
        if found.st_ctime_ns >= since_ns and stat.S_ISREG(found.st_mode):
            yield Entry(Path(name), found.st_size, found.st_mtime_ns, found.st_ctime_ns)
