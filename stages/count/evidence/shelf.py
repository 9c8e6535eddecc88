"""A folder that never grows beyond a bound: files lie in hours, and the oldest hours go first."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)

_SPARE = 0.9
"""When the latest hour alone is too much, its oldest files go until this share of the bound is left."""


def hour_of(time_ns: int) -> str:
    """Return the name of a moment's hour, UTC: `2026-03-01T08`."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H")


class Shelf:
    """Keeps files by hour, ROOT/HOUR/NAME, and no more bytes than it may.

    What cannot be written is counted, and told in the log when it begins and ends; counting goes on without.

    Args:
        root: belongs to the shelf alone; made when the first file comes.
        max_bytes: most bytes of all files.
        anew: remove what is there; otherwise it is kept and counts.

    Attributes:
        kept_bytes: bytes of the files now on it.
        failed: files that could not be written.
        removed: hours and files that had to go.
    """

    def __init__(self, root: Path, max_bytes: int, *, anew: bool) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._hours: dict[str, int] = {}
        self.failed = 0
        self.removed = 0
        self._failing = False
        with suppress(OSError):
            if anew:
                shutil.rmtree(root, ignore_errors=True)
            elif root.is_dir():
                self._hours = {folder.name: _size(folder) for folder in root.iterdir() if folder.is_dir()}
        self.kept_bytes = sum(self._hours.values())

    def put(self, hour: str, name: str, content: bytes) -> bool:
        """Write a file whole or not at all; return whether it is there."""
        path = self._root / hour / name
        part = path.with_name(name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.stat().st_size if path.exists() else 0
            part.write_bytes(content)
            os.replace(part, path)  # noqa: PTH105 - Path.replace is the same call, but this name says "atomic"
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self.failed += 1
            if not self._failing:
                self._failing = True
                logger.warning(
                    "evidence cannot be written to %s: %s; counts go on without it",
                    path.parent,
                    error.strerror or error,
                )
            return False
        if self._failing:
            self._failing = False
            logger.warning(
                "evidence is written to %s again; %d files are lacking so far", path.parent, self.failed
            )
        self._hours[hour] = self._hours.get(hour, 0) + len(content) - before
        self.kept_bytes += len(content) - before
        self._make_room()
        return path.exists()

    def _make_room(self) -> None:
        while self.kept_bytes > self._max_bytes and len(self._hours) > 1:
            oldest = min(self._hours)
            shutil.rmtree(self._root / oldest, ignore_errors=True)
            self.kept_bytes -= self._hours.pop(oldest)
            self.removed += 1
        if self.kept_bytes > self._max_bytes:
            self._thin_out(next(iter(self._hours)))

    def _thin_out(self, hour: str) -> None:
        """Remove the oldest files of the only hour that is left."""
        found = []
        for path in (self._root / hour).iterdir():
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime_ns, path.name, status.st_size))
        left = sum(size for _, _, size in found)
        for _, name, size in sorted(found):
            if left <= self._max_bytes * _SPARE:
                break
            with suppress(OSError):
                (self._root / hour / name).unlink()
                left -= size
                self.removed += 1
        self._hours[hour] = self.kept_bytes = left


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
