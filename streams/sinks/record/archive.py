"""The folder of recordings with its index: who may write, what there is, what goes."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from heapq import nsmallest
from pathlib import Path
from typing import TypeVar

from pipeline.errors import ConfigError, SinkError
from pipeline.lock import try_lock
from streams.sinks.record.disk import Trouble, free_bytes, network_file_system
from streams.sinks.record.index import FILE, Index
from streams.sinks.record.keep import Keep as Keep
from streams.sinks.record.keep import NoRoom as NoRoom
from streams.sinks.record.pending import Pending, code_of
from streams.sinks.record.segment import KEEP, Segment, named, numbered, path_of

logger = logging.getLogger(__name__)

_CLOSED = -1
_AT_ONCE = 32
"""Recordings that are asked for at once when some have to go."""
_MOST_NAMES = 1000
_DAY_NS = 86_400 * 1_000_000_000
_INDEX_BYTES = 1_000_000
"""What an index needs to be opened and written a little."""

T = TypeVar("T")


class Archive:
    """Recordings of all streams in one folder. Methods may be called from any thread.

    The folder is opened when it is first needed, and again after `let_go`: disks come and go.

    Attributes:
        opened: how often the folder was opened: each time the index is to be compared with it.
        complaint: why the index could not be written, one line; taken away by whoever has set it right.

    Args:
        root: the folder.
        index: of the index file; None for the one in the folder.
        keep: the bounds.
        make: whether the folder is made where it is missing.
        now_ns: UTC of this box.
        free: bytes that are free in a folder.

    Raises:
        ConfigError: if the index would lie on a network file system.
    """

    def __init__(
        self,
        root: Path,
        keep: Keep,
        *,
        index: Path | None = None,
        make: bool = True,
        now_ns: Callable[[], int] = time.time_ns,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.root = root
        self.keep = keep
        self.now_ns = now_ns
        self._index_path = index or root / FILE
        self._make = make
        self._free = free
        self._lock = threading.RLock()
        self._index: Index | None = None
        self._handle = _CLOSED
        self._device: int | None = None
        self._bytes = 0
        self._open: dict[str, int] = {}
        self._pending = Pending()
        self._begun_ns = now_ns()
        self.opened = 0
        self.complaint = ""
        network = network_file_system(self._index_path)
        if network is not None:
            raise ConfigError(
                f"{self._index_path}: the index of recordings would lie on a network file system ({network}),"
                " where SQLite files come to harm; name a local file by the sink's option `index`"
            )

    def is_open(self) -> bool:
        """Whether the folder is held."""
        return self._index is not None

    def open(self) -> Index:
        """Hold the folder and its index; nothing is done where they are held.

        Raises:
            SinkError: if the folder is missing, not ours, or another process records there.
            OSError: if it cannot be had.
        """
        with self._lock:
            if self._index is not None:
                if self._index_path.exists():
                    return self._index
                self.let_go()  # somebody removed it: what is written there would be lost
            if self._make:
                self.root.mkdir(parents=True, exist_ok=True)
            self._check_folder()
            handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if not try_lock(handle):
                    raise SinkError(f"{self.root}: another process records there; give one another `folder`")
                self._remove_without_index()
                index = Index.writing(self._index_path)
                try:
                    with self._explained():
                        self._bytes = index.total_bytes()
                    self._check_contents()
                except BaseException:
                    index.close()
                    raise
            except BaseException:
                os.close(handle)
                raise
            self._handle, self._index = handle, index
            self.opened += 1
            return index

    def let_go(self, wait_s: float = -1) -> None:
        """Close the index and free the folder; safe more than once.

        Args:
            wait_s: how long to wait for a thread that waits for the disk; then all is left to the end of the
                process. Negative: for ever.
        """
        if not self._lock.acquire(timeout=wait_s):
            return
        try:
            index, self._index = self._index, None
            handle, self._handle = self._handle, _CLOSED
            if index is not None:
                with suppress(sqlite3.Error):
                    self._pending.settle(index)
                with suppress(sqlite3.Error):
                    index.close()
            if handle != _CLOSED:
                os.close(handle)
        finally:
            self._lock.release()

    @contextmanager
    def indexed(self) -> Iterator[Index]:
        """Give the index, for one thread.

        Raises:
            SinkError: what it says, if it fails.
        """
        with self._lock:
            index = self.open()
            with self._explained():
                yield index

    def begin(self, stream: str, start_ns: int, suffix: str, make: Callable[[Path], T]) -> tuple[str, T]:
        """Make the file of a new segment; return its path relative to the root, and what `make` made of it.

        Args:
            stream: name of the stream.
            start_ns: UTC of the first picture.
            suffix: of the file.
            make: makes a file; raises FileExistsError if it exists, OSError if it cannot be had.
        """
        path = first = path_of(stream, start_ns, suffix)
        with self._lock:  # no other thread removes the folder in between
            (self.root / stream).mkdir(exist_ok=True)  # not the root: a disk that is gone is not made up for
            (self.root / path).parent.mkdir(exist_ok=True)
            for number in range(2, _MOST_NAMES):
                with suppress(FileExistsError):
                    made = make(self.root / path)
                    self._open[path] = 0
                    return path, made
                path = numbered(first, number)
        raise SinkError(f"{self.root / first}: there are {_MOST_NAMES} recordings of this moment already")

    def abandon(self, path: str) -> None:
        """Forget a file that was begun."""
        with self._lock:
            self._open.pop(path, None)

    def grown(self, path: str, size: int) -> None:
        """Note how large an open segment is, and make room if need be.

        Raises:
            NoRoom: if there is none.
        """
        with self._lock:
            self._open[path] = size
            self.make_room()

    def note(self, segment: Segment) -> None:
        """Write a segment into the index; a failure is a `complaint`, and a later one makes up for it."""
        with self._lock:
            self._pending.put(segment)
            self._settle()

    def end(self, segment: Segment) -> None:
        """Write a finished segment into the index: it is no longer open, whatever the index says."""
        with self._lock:
            self.abandon(segment.path)
            self._bytes += segment.size
            self.note(segment)
            with suppress(SinkError, OSError):  # whoever begins the next one hears of it
                self.make_room()

    def forget(self, path: str) -> None:
        """Take a segment out of the index whose file is gone."""
        with self._lock:
            self.abandon(path)
            self._pending.remove(path)
            self._settle()

    def is_growing(self, path: str) -> bool:
        """Whether this process writes it."""
        return path in self._open

    def make_room(self) -> None:
        """Remove the oldest recordings until the bounds are kept.

        Raises:
            NoRoom: if there is nothing that may go.
        """
        with self._lock:
            while (trouble := self._excess()) is not None:
                if not self._remove_oldest():
                    raise NoRoom(trouble)

    def give_way(self) -> None:
        """Remove the oldest recording that may go: the disk took no more, whatever it says is free."""
        with self._lock, suppress(SinkError, OSError):
            self._remove_oldest()

    def remove_aged(self) -> int:
        """Remove what was stored too long ago; return how many recordings that were."""
        before_ns = self.now_ns() - int(self.keep.days * _DAY_NS)
        removed = 0
        while True:
            with self.indexed() as index:
                aged = self._pending.without(index.oldest(_AT_ONCE + len(self._pending), before_ns))
                removed += self._remove(aged)
            if not aged or not self._pending.is_due:
                return removed

    def clock_was_set(self, by_ns: int) -> None:
        """Count the age of what was stored since the start by the new time of day, which has leapt so far.

        What was stored before the clock of a box was set right at all would be the first or the last to go.
        """
        until_ns = self.now_ns() - by_ns
        with self._lock:
            self._pending.move_stored(by_ns)
            with self._without_index(), self.indexed() as index:
                index.move_stored(self._begun_ns, until_ns, by_ns)
            self._begun_ns += by_ns

    def counted_anew(self) -> None:
        """Add up the bytes anew, after the index was set right."""
        with self.indexed() as index:
            self._bytes = index.total_bytes() - sum(
                segment.size for path in self._open if (segment := index.get(path)) is not None
            )

    def _excess(self) -> str | None:
        used = self._bytes + sum(self._open.values())
        if used > self.keep.most_bytes:
            return (
                f"{self.root}: {used / 1e9:.3f} GB are more than `keep_gb`, and the others are protected; "
                "unprotect some (sightline recordings unprotect) or raise it"
            )
        free = self._free(self.root)
        if free < self.keep.free_bytes:
            return (
                f"{self.root}: {Trouble.FULL}: {free / 1e9:.3f} GB are free, "
                f"{self.keep.free_bytes / 1e9:.3f} must stay so (`free_gb`), and no recording may go; "
                "free space there"
            )
        return None

    def _remove_oldest(self) -> bool:
        """Remove the oldest that may go; False if there is none."""
        with self.indexed() as index:
            return self._removed_one(index) or (self._noted_unprotected(index) and self._removed_one(index))

    def _removed_one(self, index: Index) -> bool:
        while segments := self._oldest(index):  # those that were marked meanwhile are none of the next
            for segment in segments:
                if self._remove([segment]):
                    return True
            if not self._pending.is_due:
                break
        return False

    def _oldest(self, index: Index) -> list[Segment]:
        # What was stored in the future was so by a clock that was wrong then, before all that came since.
        most, tomorrow_ns = _AT_ONCE + len(self._pending), self.now_ns() + _DAY_NS
        ahead = self._pending.without(index.oldest(most, after_ns=tomorrow_ns))
        return ahead or self._pending.without(index.oldest(most))

    def _noted_unprotected(self, index: Index) -> bool:
        """Note whose marks are gone; whoever was told to unprotect some must not wait for a day."""
        protected = self._pending.without(index.protected())
        freed = [segment for segment in protected if not self._is_marked(self.root / segment.path)]
        for segment in freed:
            self._pending.put(replace(segment, protected=False))
        self._settle()
        return bool(freed)

    @staticmethod
    def _is_marked(path: Path) -> bool:
        return path.with_name(path.name + KEEP).exists()

    def _remove(self, segments: list[Segment]) -> int:
        """Remove files, then rows: what is missed in between is set right at the next start."""
        gone: list[Segment] = []
        try:
            for segment in segments:
                path = self.root / segment.path
                if self._is_marked(path):
                    self._pending.put(replace(segment, protected=True))
                    continue
                path.unlink(missing_ok=True)
                gone.append(segment)
                with suppress(OSError):  # others are in it, mostly
                    path.parent.rmdir()
        finally:
            self._bytes -= sum(segment.size for segment in gone)
            for segment in gone:
                self._pending.remove(segment.path)
            self._settle()
        return len(gone)

    def _settle(self) -> None:
        if self._pending.is_due:
            with self._without_index(), self.indexed() as index:
                self._pending.settle(index)

    def _remove_without_index(self) -> None:
        """Remove oldest files of a disk that is full to the brim, where not even an index can be opened."""
        wanted = min(self.keep.free_bytes, _INDEX_BYTES)
        if self._free(self.root) >= wanted:
            return
        files = (path for path in self.root.glob("*/*/*") if named(path) is not None)
        for path in nsmallest(_AT_ONCE, files, key=lambda path: path.stat().st_mtime_ns):
            if not self._is_marked(path):
                path.unlink(missing_ok=True)
                if self._free(self.root) >= wanted:
                    return

    def _check_folder(self) -> None:
        """Notice a disk that is read-only, or not mounted any more: its mount point is on another disk."""
        if os.statvfs(self.root).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self.root))
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(self.root))
        device = self.root.stat().st_dev
        if self._device is None:
            self._device = device
        elif device != self._device and device == self.root.parent.stat().st_dev:
            raise SinkError(f"{self.root}: {Trouble.GONE}: its disk is not mounted any more; mount it")
        self._device = device

    def _check_contents(self) -> None:
        """Notice a mount point without its disk by an index that lies elsewhere and knows recordings."""
        is_elsewhere = self._index_path.parent != self.root
        if is_elsewhere and self._bytes and not any(path.is_dir() for path in self.root.iterdir()):
            raise SinkError(
                f"{self.root}: {Trouble.GONE}: it is empty, and {self._index_path} knows "
                f"{self._bytes / 1e9:.3f} GB of recordings; mount its disk, or remove that index"
            )

    @contextmanager
    def _without_index(self) -> Iterator[None]:
        """Go on recording without the index; whoever sees the complaint sets it right.

        That their disk is full the recordings tell themselves; the index is written once some are gone.
        """
        try:
            yield
        except (SinkError, OSError) as error:
            if code_of(error.__cause__) != sqlite3.SQLITE_FULL or self._index_path.parent != self.root:
                self.complaint = str(error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SinkError(f"{self._index_path}: the index of recordings: {error}") from error
