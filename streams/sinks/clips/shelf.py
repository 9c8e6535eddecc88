"""The folder of clips: how much is in it, what has to go, and what a crash has left."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import av

from pipeline.errors import SinkError
from pipeline.steady import SteadyClock, up_s
from streams.sinks.clips.clip import PART, note_path, read_note
from streams.sinks.record.disk import Trouble, advice_for, free_bytes
from streams.sinks.record.segment import KEEP
from streams.sinks.sealed.files import is_sealed

logger = logging.getLogger(__name__)

_DAY_S = 86_400.0
_AGED_EVERY_S = 3600.0
_MOST_LATEST = 16
_FILES = (".mp4", ".mp4.age", ".mkv", ".mkv.age")


class Shelf:
    """Clips of all streams, ROOT/STREAM/DAY/NAME, within bounds. Methods may be called from any thread.

    A clip with a file of its name and the suffix `.keep` beside it stays whatever the bounds are; it counts.

    Args:
        root: belongs to it alone; made when it is opened.
        keep_days: what was stored longer ago goes.
        most_bytes: of all clips.
        free_bytes: of the disk.
        free: bytes that are free in a folder.
        now_s: seconds since 1970.
        clock_s: monotonic, also while the box sleeps.

    Attributes:
        made: the latest clips that were there when it was opened, by the ids of the events that they show.
    """

    def __init__(
        self,
        root: Path,
        *,
        keep_days: float,
        most_bytes: int,
        free_bytes: int,
        free: Callable[[Path], int] = free_bytes,
        now_s: Callable[[], float] = time.time,
        clock_s: Callable[[], float] = up_s,
    ) -> None:
        self.root = root
        self._keep_s = keep_days * _DAY_S
        self._most_bytes = most_bytes
        self._free_bytes = free_bytes
        self._free = free
        self._now_s = now_s
        self._clock_s = clock_s
        self._time_of_day = SteadyClock(lambda: round(now_s() * 1e9), clock_s)
        self._lock = threading.RLock()
        self._is_open = False
        self.made: dict[str, str] = {}
        self._aged_s = float("-inf")
        self._days: dict[str, int] = defaultdict(int)
        """Bytes by day."""

    @property
    def size(self) -> int:
        """Bytes of all clips."""
        with self._lock:
            return sum(self._days.values())

    def open(self) -> list[dict[str, Any]]:
        """Look what is there, once; return what is known of clips that were interrupted and are finished now.

        Raises:
            OSError: if the folder cannot be had.
        """
        with self._lock:
            if self._is_open:
                return []
            self.root.mkdir(parents=True, exist_ok=True)
            found = []
            for path in sorted(self._all()):
                if path.name.endswith(PART):
                    note = _finished(path)
                    if note is not None:
                        path = path.with_name(path.name.removesuffix(PART))
                        found.append({**note, "path": path.relative_to(self.root).as_posix()})
                self._count(path, +1)
            self.made = dict(self._latest())
            self._is_open = True
            return found

    def leaving(self, path: str) -> None:
        """Take note that a clip, if it is there, is about to be replaced."""
        with self._lock:
            self._count(self.root / path, -1)

    def added(self, path: str) -> None:
        """Count a new clip."""
        with self._lock:
            self._count(self.root / path, +1)

    def make_room(self, coming_bytes: int = 0, spared: str = "") -> None:
        """Remove what is too old, and the oldest until the bounds are kept.

        Args:
            coming_bytes: of clips that are being written.
            spared: path of a clip that stays.

        Raises:
            SinkError: if there is no room, and nothing that may go.
            OSError: if the disk fails.
        """
        with self._lock:
            self._remove_aged()
            while (trouble := self._excess(coming_bytes)) is not None:
                if not self._remove_oldest(spared):
                    raise SinkError(trouble)

    def _excess(self, coming_bytes: int) -> str | None:
        used = self.size + coming_bytes
        if used > self._most_bytes:
            return (
                f"{self.root}: {used / 1e9:.3f} GB are more than `keep_gb`, and the others are kept "
                f"(*{KEEP}); remove some or raise it"
            )
        free = self._free(self.root)
        if free < self._free_bytes:
            return (
                f"{self.root}: {Trouble.FULL}: {free / 1e9:.4f} GB are free, {self._free_bytes / 1e9:.4f} "
                f"must stay so (`free_gb`), and no clip may go; {advice_for(Trouble.FULL)}"
            )
        return None

    def _remove_aged(self) -> None:
        """Remove what was stored too long ago; each file is looked at once an hour."""
        is_steady, clock_s = self._time_of_day.is_steady(), self._clock_s()
        if not is_steady or clock_s - self._aged_s < _AGED_EVERY_S:
            return
        self._aged_s, now_s = clock_s, self._now_s()
        for day in sorted(self._days):
            for path in self._of_day(day):
                with suppress(OSError):
                    if path.stat().st_mtime < now_s - self._keep_s:
                        self._remove(path)

    def _remove_oldest(self, spared: str) -> bool:
        # What is of the future is so by a clock that was wrong then, before all that came since.
        tomorrow = datetime.fromtimestamp(self._now_s() + _DAY_S, UTC).date().isoformat()
        for day in sorted(self._days, key=lambda day: (day <= tomorrow, day)):
            for path in sorted(self._of_day(day), key=_time_in):
                if path != self.root / spared and self._remove(path):
                    return True
        return False

    def _of_day(self, day: str) -> list[Path]:
        return [path for folder in self.root.glob(f"*/{day}") for path in folder.iterdir() if _is_clip(path)]

    def _remove(self, path: Path) -> bool:
        """Remove a clip, unless it is to be kept."""
        if path.with_name(path.name + KEEP).exists():
            return False
        self._count(path, -1)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            note_path(path).unlink(missing_ok=True)
            path.parent.rmdir()  # once it is empty
        return True

    def _count(self, path: Path, sign: int) -> None:
        if not _is_clip(path):
            return
        day = path.parent.name
        try:
            size = path.stat().st_size
        except OSError:
            return
        self._days[day] += sign * size
        if self._days[day] <= 0:
            del self._days[day]

    def _latest(self) -> Iterator[tuple[str, str]]:
        """Yield the events that the latest clips of each stream show, with the clips."""
        for stream in (path for path in self.root.iterdir() if path.is_dir()):
            days = sorted((day for day in stream.glob("*") if day.is_dir()), reverse=True)
            clips = (path for day in days for path in sorted(day.iterdir(), reverse=True) if _is_clip(path))
            for path in islice(clips, _MOST_LATEST):
                events = read_note(path).get("events")
                for event in events if isinstance(events, list) else ():
                    yield str(event), path.relative_to(self.root).as_posix()

    def _all(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.root):
            for name in names:
                yield Path(folder) / name


def _is_clip(path: Path) -> bool:
    return path.name.endswith(_FILES)


def _time_in(path: Path) -> str:
    """Return the time in a clip's name, whatever its stream."""
    parts = path.name.split("_")
    return next((part for part in reversed(parts[:-2]) if part.endswith("Z")), path.name)


def _finished(part: Path) -> dict[str, Any] | None:
    """Give a clip its name whose writer was interrupted; None if nothing of it can be shown."""
    final = part.with_name(part.name.removesuffix(PART))
    if not _is_clip(final):  # a note, or a second try
        part.unlink(missing_ok=True)
        return None
    note = read_note(final)
    packets = 0
    try:
        if is_sealed(final):
            packets = int(part.stat().st_size > 0)  # only its owner can look
        else:
            with av.open(str(part), "r") as container:
                packets = sum(1 for packet in container.demux(video=0) if packet.size)
    except (OSError, av.FFmpegError):
        logger.debug("%s cannot be read", part, exc_info=True)
    if not packets:
        for path in (part, note_path(final)):
            path.unlink(missing_ok=True)
        return None
    part.replace(final)
    return note
