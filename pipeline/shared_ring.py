"""A ring of pictures in POSIX shared memory: one writer, any number of readers, nobody waits for anybody.

A picture is written into the next slot, whoever still reads there. Each slot has a generation that is odd
while it is written and even when it is whole (a sequence lock): a reader that knows the generation of its
picture sees afterwards whether it was overtaken. docs/protocol.md has the layout, for programs in C.

The slot after the newest is odd already before its pixels change, so that between the two lies the sending
of an announcement: on processors that reorder writes, too, no reader takes half a picture for a whole one.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import SinkError
from pipeline.lock import try_lock
from pipeline.picture import U8Array

FOLDER = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory
PREFIX = "sightline-ring-"
MAGIC = b"SLRING\0\1"
VERSION = 1
HEADER_BYTES = 4096
SLOT_HEADER_BYTES = 64
PAGE = 4096

_HEADER = struct.Struct("=8sIIQQ")  # magic, version, slots, bytes from slot to slot, place of the first slot
_MOST_SLOTS = 1024


@dataclass(frozen=True, slots=True)
class RingPlace:
    """Where a picture lies.

    Attributes:
        segment: name of the shared memory, without "/".
        offset: of the slot, in bytes from its beginning; the pixels are `SLOT_HEADER_BYTES` further on.
        generation: of the slot while it holds this picture.
        size: of the pixels, bytes.
    """

    segment: str
    offset: int
    generation: int
    size: int


def segment_bytes(slots: int, picture_bytes: int) -> int:
    """Return what a ring takes for pictures of at most `picture_bytes`."""
    return HEADER_BYTES + slots * _stride(picture_bytes)


class RingWriter:
    """Makes a segment and writes into it; for one thread. The segment goes when it is closed.

    A writer that is killed leaves its segment behind; `remove_stale` takes those away.

    Args:
        slots: pictures that it holds, at least 3. A reader has the time of `slots - 2` more pictures.
        picture_bytes: most bytes of a picture.

    Attributes:
        name: of the segment: `shm_open("/" + name)`.
        nbytes: of the segment.

    Raises:
        SinkError: if there is no shared memory, or not enough.
    """

    def __init__(self, slots: int, picture_bytes: int) -> None:
        if not 3 <= slots <= _MOST_SLOTS or picture_bytes < 1:
            raise ValueError(f"a ring has 3 to {_MOST_SLOTS} slots of 1 byte or more")
        self.nbytes = segment_bytes(slots, picture_bytes)
        self.picture_bytes = picture_bytes
        self._slots = slots
        self._written = 0
        self._handle, self.name = _new_segment()
        try:
            # Without its pages at hand a write into a full /dev/shm would end the process (SIGBUS).
            os.posix_fallocate(self._handle, 0, self.nbytes)
            self._map = mmap.mmap(self._handle, self.nbytes)
        except OSError as error:
            self._unlink()
            raise SinkError(
                f"{FOLDER} has no room for {self.nbytes / 1e6:.0f} MB of pictures ({error.strerror}): "
                "free space there (docker run --shm-size=...), or ask for fewer `slots`"
            ) from error
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._generations = np.frombuffer(self._map, np.uint64)
        self._map[: _HEADER.size] = _HEADER.pack(MAGIC, VERSION, slots, _stride(picture_bytes), HEADER_BYTES)
        self._reserve()

    def write(self, planes: Sequence[U8Array]) -> RingPlace:
        """Copy a picture into the next slot, its planes one behind the other, and return where it lies.

        Args:
            planes: uint8 arrays of any shape, together at most `picture_bytes`; rows may have a stride.
        """
        size = sum(plane.size for plane in planes)
        if size > self.picture_bytes:
            raise ValueError(f"a picture of {size} bytes does not fit into {self.picture_bytes}")
        offset = self._offset()
        start = offset + SLOT_HEADER_BYTES
        for plane in planes:
            end = start + plane.size
            np.copyto(self._bytes[start:end].reshape(plane.shape), plane)
            start = end
        generation = 2 * (self._written // self._slots + 1)
        self._generations[offset // 8] = generation
        self._written += 1
        self._reserve()
        return RingPlace(self.name, offset, generation, size)

    def close(self) -> None:
        """Remove the segment; readers keep what they have open. Safe more than once."""
        if self._handle >= 0:
            del self._bytes, self._generations
            self._map.close()
            self._unlink()

    def _offset(self) -> int:
        return HEADER_BYTES + (self._written % self._slots) * _stride(self.picture_bytes)

    def _reserve(self) -> None:
        """Mark the next slot as being written, long before it is."""
        self._generations[self._offset() // 8] = 2 * (self._written // self._slots + 1) - 1

    def _unlink(self) -> None:
        with suppress(OSError):
            (FOLDER / self.name).unlink()
        os.close(self._handle)
        self._handle = -1


class RingReader:
    """Looks into a segment of another process; for one thread.

    Raises:
        SinkError: if it is gone, or no ring of this version.
    """

    def __init__(self, name: str) -> None:
        if not name.startswith(PREFIX) or "/" in name or len(name) > 64:
            raise SinkError(f"{name[:64]!r} is no ring of pictures")
        try:
            handle = os.open(FOLDER / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise SinkError(f"the ring {name} cannot be opened: {error.strerror}") from error
        try:
            self._map = mmap.mmap(handle, 0, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise SinkError(f"the ring {name} cannot be read: {error}") from error
        finally:
            os.close(handle)
        self.name = name
        self._fence = threading.Lock()
        if len(self._map) < HEADER_BYTES:
            raise SinkError(f"{name} is no ring of pictures")
        magic, version, slots, stride, first = _HEADER.unpack_from(self._map)
        fits = magic == MAGIC and version == VERSION and stride % 8 == 0 and first % 8 == 0
        if not fits or stride <= SLOT_HEADER_BYTES or first + slots * stride > len(self._map):
            raise SinkError(f"{name} is no ring of pictures of version {VERSION}")
        self._slots, self._stride, self._first = slots, stride, first
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._generations = np.frombuffer(self._map, np.uint64)

    def view(self, place: RingPlace) -> U8Array | None:
        """Return the picture's bytes where they lie, (size,) uint8, read-only; None if it is there no more.

        They change when the writer comes round: `holds` tells afterwards whether they did.
        """
        number, rest = divmod(place.offset - self._first, self._stride)
        if rest or not 0 <= number < self._slots or not 0 < place.size <= self._stride - SLOT_HEADER_BYTES:
            return None
        is_whole = place.generation > 0 and place.generation % 2 == 0
        if not is_whole or not self.holds(place):
            return None
        start = place.offset + SLOT_HEADER_BYTES
        return self._bytes[start : start + place.size]

    def copy(self, place: RingPlace) -> U8Array | None:
        """Return a copy of the picture's bytes, (size,) uint8; None if the writer overtook it."""
        view = self.view(place)
        if view is None:
            return None
        taken = view.copy()
        return taken if self.holds(place) else None

    def holds(self, place: RingPlace) -> bool:
        """Return whether the slot still holds this picture, and did so for all that was read before."""
        for _ in range(2):  # two turns of a lock keep reads before from moving behind this one
            with self._fence:
                pass
        return int(self._generations[place.offset // 8]) == place.generation


def remove_stale() -> int:
    """Remove the segments of writers that were killed; return how many there were.

    A writer holds a lock on its segment, which the kernel takes from it when it ends, however that happens.
    """
    removed = 0
    for path in FOLDER.glob(f"{PREFIX}*") if FOLDER.is_dir() else ():
        with suppress(OSError):  # another user's, or gone meanwhile
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if try_lock(handle):
                    path.unlink()
                    removed += 1
            finally:
                os.close(handle)
    return removed


def _stride(picture_bytes: int) -> int:
    return -(-(SLOT_HEADER_BYTES + picture_bytes) // PAGE) * PAGE


def _new_segment() -> tuple[int, str]:
    """Return an open, locked, empty segment and its name."""
    for _ in range(100):
        name = f"{PREFIX}{secrets.token_hex(8)}"
        try:
            handle = os.open(FOLDER / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise SinkError(
                f"raw pictures need shared memory in {FOLDER}, which cannot be had: {error.strerror}"
            ) from error
        # Who clears up may have taken it for stale before it was locked.
        if try_lock(handle) and os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)
    raise SinkError(f"{FOLDER}: no segment for raw pictures could be made")
