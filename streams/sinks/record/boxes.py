"""What a fragmented MP4 file has, from its boxes alone (ISO/IEC 14496-12); pictures are not read."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

_HEADER = struct.Struct(">I4s")
_LONG = struct.Struct(">Q")
_WORD = struct.Struct(">I")
_MOST_HEAD_BYTES = 16 << 20
"""No `moov` or `moof` of a file of this kind comes near it."""
_MOST_SAMPLES = 1 << 20
_NOT_SYNC = 0x10000  # 8.8.3.1, sample_is_non_sync_sample
# 8.8.7.1, of `tfhd`
_BASE_OFFSET, _DESCRIPTION, _DURATION, _SIZE, _FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
# 8.8.8.1, of `trun`
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_EACH_DURATION, _EACH_SIZE, _EACH_FLAGS, _EACH_OFFSET = 0x100, 0x200, 0x400, 0x800


@dataclass(frozen=True, slots=True)
class Contents:
    """What is whole in a file.

    Attributes:
        fragments: how many.
        packets: pictures in them, and those that are there of a last one that is torn.
        keys: how many of these are key frames.
        seconds: from the first picture's decoding to the end of the last.
        size: bytes up to the end of the last whole box.
        torn: name of the box after that, where the file ends within it.
        is_ended: whether its writer has come to the end: the last box is the table of fragments (8.8.9).
        shown: bytes up to the end of the last whole fragment, 0 without one.
    """

    fragments: int = 0
    packets: int = 0
    keys: int = 0
    seconds: float = 0.0
    size: int = 0
    torn: bytes = b""
    is_ended: bool = False
    shown: int = 0


@dataclass(slots=True)
class _Defaults:
    """What holds for samples that say nothing else."""

    duration: int = 0
    size: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class _Sample:
    ticks: int
    size: int
    is_key: bool


@dataclass(slots=True)
class _Fragment:
    begin: int | None = None
    samples: list[_Sample] = field(default_factory=list)

    def up_to(self, size: int) -> list[_Sample]:
        """Return the samples that lie within so many bytes of data."""
        found = []
        for sample in self.samples:
            size -= sample.size
            if size < 0:
                break
            found.append(sample)
        return found


def contents_of(file: BinaryIO) -> Contents:
    """Return what is whole in a file of one track; what follows a torn or strange place does not count.

    Args:
        file: can be read and sought.
    """
    end = file.seek(0, io.SEEK_END)
    place = whole = shown = fragments = packets = keys = last = 0
    scale, defaults = 0, _Defaults()
    fragment: _Fragment | None = None
    first: int | None = None
    name = torn = b""
    try:
        while (box := _box_at(file, place, end)) is not None:
            name, begin, place = box
            is_torn = place > end
            if name == b"mdat" and fragment is not None:
                samples = fragment.up_to(end - begin)
                fragments += not is_torn
                shown = shown if is_torn else place
                packets += len(samples)
                keys += sum(sample.is_key for sample in samples)
                begun = last if fragment.begin is None else fragment.begin
                first = begun if first is None else first
                last = begun + sum(sample.ticks for sample in samples)
                fragment = None
            if is_torn:
                torn = name
                break
            if name == b"moov":
                scale, defaults = _track(_read(file, begin, place))
            elif name == b"moof" and scale:
                fragment = _fragment(_read(file, begin, place), defaults)
            whole = place
    except (struct.error, ValueError, IndexError):
        name = b""  # strange from here on
    seconds = 0.0 if first is None else (last - first) / scale
    is_ended = name == b"mfra" and whole == end
    return Contents(fragments, packets, keys, seconds, whole, torn, is_ended, shown)


def _box_at(file: BinaryIO, place: int, end: int) -> tuple[bytes, int, int] | None:
    """Return name, begin of the content and end of the box at a place; it may be torn: end after the file."""
    file.seek(place)
    head = file.read(16)
    if len(head) < _HEADER.size:
        return None
    size, name = _HEADER.unpack_from(head)
    begin = place + _HEADER.size
    if size == 1 and len(head) == 16:
        (size,) = _LONG.unpack_from(head, 8)
        begin += _LONG.size
    after = place + size
    return (name, begin, after) if begin <= min(after, end) else None


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    if end - begin > _MOST_HEAD_BYTES:
        raise ValueError("a box is too large")
    file.seek(begin)
    return file.read(end - begin)


def _inner(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, begin and end of the boxes within another."""
    while begin + _HEADER.size <= end:
        size, name = _HEADER.unpack_from(data, begin)
        after = begin + size
        if size < _HEADER.size or after > end:
            raise ValueError("a box does not fit")
        yield name, begin + _HEADER.size, after
        begin = after


def _find(data: bytes, begin: int, end: int, *names: bytes) -> tuple[int, int]:
    for wanted in names:
        for name, inside, after in _inner(data, begin, end):
            if name == wanted:
                begin, end = inside, after
                break
        else:
            raise ValueError(f"a box {wanted!r} is missing")
    return begin, end


def _track(moov: bytes) -> tuple[int, _Defaults]:
    """Read time scale (8.4.2.2) and the fragments' defaults (8.8.3)."""
    begin, _ = _find(moov, 0, len(moov), b"trak", b"mdia", b"mdhd")
    scale = _WORD.unpack_from(moov, begin + (20 if moov[begin] == 1 else 12))[0]
    begin, _ = _find(moov, 0, len(moov), b"mvex", b"trex")
    _, _, _, duration, size, flags = struct.unpack_from(">6I", moov, begin)
    if not scale:
        raise ValueError("no time scale")
    return scale, _Defaults(duration, size, flags)


def _fragment(moof: bytes, defaults: _Defaults) -> _Fragment:
    """Read the runs of the track (8.8.7, 8.8.8, 8.8.12)."""
    begin, end = _find(moof, 0, len(moof), b"traf")
    found = _Fragment()
    for name, inside, _ in _inner(moof, begin, end):
        if name == b"tfhd":
            defaults = _own_defaults(moof, inside, defaults)
        elif name == b"tfdt":
            kind = ">Q" if moof[inside] == 1 else ">I"
            (found.begin,) = struct.unpack_from(kind, moof, inside + 4)
        elif name == b"trun":
            found.samples += _run(moof, inside, defaults)
    return found


def _own_defaults(data: bytes, place: int, defaults: _Defaults) -> _Defaults:
    given = _WORD.unpack_from(data, place)[0]
    place += 8 + 8 * bool(given & _BASE_OFFSET) + 4 * bool(given & _DESCRIPTION)
    values = [defaults.duration, defaults.size, defaults.flags]
    for number, flag in enumerate((_DURATION, _SIZE, _FLAGS)):
        if given & flag:
            (values[number],) = _WORD.unpack_from(data, place)
            place += 4
    return _Defaults(*values)


def _run(data: bytes, place: int, defaults: _Defaults) -> list[_Sample]:
    given, count = struct.unpack_from(">II", data, place)
    place += 8 + 4 * bool(given & _DATA_OFFSET)
    first_flags: int | None = None
    if given & _FIRST_FLAGS:
        (first_flags,) = _WORD.unpack_from(data, place)
        place += 4
    fields = [flag for flag in (_EACH_DURATION, _EACH_SIZE, _EACH_FLAGS, _EACH_OFFSET) if given & flag]
    if count > _MOST_SAMPLES or place + 4 * len(fields) * count > len(data):
        raise ValueError("a run does not fit")
    each = struct.Struct(f">{len(fields)}I")
    samples = []
    for number in range(count):
        values = dict(zip(fields, each.unpack_from(data, place), strict=True))
        place += each.size
        flags = values.get(_EACH_FLAGS, defaults.flags)
        if number == 0 and first_flags is not None:
            flags = first_flags
        samples.append(
            _Sample(
                values.get(_EACH_DURATION, defaults.duration),
                values.get(_EACH_SIZE, defaults.size),
                not flags & _NOT_SYNC,
            )
        )
    return samples
