"""What a fragmented MP4 file has, from its boxes alone (ISO/IEC 14496-12); pictures are not read."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_HEADER = struct.Struct(">I4s")
_LONG = struct.Struct(">Q")
_WORD = struct.Struct(">I")
_MOST_HEAD_BYTES = 16 << 20
"""No `moov` or `moof` of a file of this kind comes near it."""
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
        packets: pictures in them.
        keys: how many of these are key frames.
        seconds: from the first picture's decoding to the end of the last.
        size: bytes up to the end of the last whole box.
        is_ended: whether its writer has come to the end: the last box is the table of fragments (8.8.9).
    """

    fragments: int = 0
    packets: int = 0
    keys: int = 0
    seconds: float = 0.0
    size: int = 0
    is_ended: bool = False


@dataclass(slots=True)
class _Track:
    scale: int = 1
    duration: int = 0
    flags: int = 0


@dataclass(slots=True)
class _Fragment:
    begin: int | None = None
    packets: int = 0
    keys: int = 0
    ticks: int = 0


def contents_of(file: BinaryIO) -> Contents:
    """Return what is whole in a file of one track; what follows a torn or strange place does not count.

    Args:
        file: can be read and sought.
    """
    end = file.seek(0, io.SEEK_END)
    place, whole = 0, 0
    track: _Track | None = None
    open_fragment: _Fragment | None = None
    fragments = packets = keys = 0
    first: int | None = None
    last = 0
    name = b""
    while (box := _box_at(file, place, end)) is not None:
        name, begin, place = box
        try:
            if name == b"moov":
                track = _track(_read(file, begin, place))
            elif name == b"moof" and track is not None:
                open_fragment = _fragment(_read(file, begin, place), track)
            elif name == b"mdat" and open_fragment is not None:
                fragments += 1
                packets += open_fragment.packets
                keys += open_fragment.keys
                begun = last if open_fragment.begin is None else open_fragment.begin
                first = begun if first is None else first
                last = begun + open_fragment.ticks
                open_fragment = None
        except (struct.error, ValueError):
            break
        whole = place
    seconds = 0.0 if track is None or first is None else (last - first) / track.scale
    return Contents(fragments, packets, keys, seconds, whole, is_ended=name == b"mfra" and whole == end)


def _box_at(file: BinaryIO, place: int, end: int) -> tuple[bytes, int, int] | None:
    """Return name, begin of the content and end of the box at a place; None where none is whole."""
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
    return (name, begin, after) if begin <= after <= end else None


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


def _track(moov: bytes) -> _Track:
    """Read time scale (8.4.2.2) and the fragments' defaults (8.8.3)."""
    begin, _ = _find(moov, 0, len(moov), b"trak", b"mdia", b"mdhd")
    scale = _WORD.unpack_from(moov, begin + (20 if moov[begin] == 1 else 12))[0]
    begin, _ = _find(moov, 0, len(moov), b"mvex", b"trex")
    _, _, _, duration, _, flags = struct.unpack_from(">6I", moov, begin)
    if not scale:
        raise ValueError("no time scale")
    return _Track(scale, duration, flags)


def _fragment(moof: bytes, track: _Track) -> _Fragment:
    """Add up the runs of the track (8.8.7, 8.8.8, 8.8.12)."""
    begin, end = _find(moof, 0, len(moof), b"traf")
    found = _Fragment()
    duration, flags = track.duration, track.flags
    for name, inside, _ in _inner(moof, begin, end):
        if name == b"tfhd":
            duration, flags = _defaults(moof, inside, duration, flags)
        elif name == b"tfdt":
            kind = ">Q" if moof[inside] == 1 else ">I"
            (found.begin,) = struct.unpack_from(kind, moof, inside + 4)
        elif name == b"trun":
            _add_run(moof, inside, found, duration, flags)
    return found


def _defaults(data: bytes, place: int, duration: int, flags: int) -> tuple[int, int]:
    given = _WORD.unpack_from(data, place)[0]
    place += 8
    place += 8 * bool(given & _BASE_OFFSET) + 4 * bool(given & _DESCRIPTION)
    if given & _DURATION:
        (duration,) = _WORD.unpack_from(data, place)
        place += 4
    place += 4 * bool(given & _SIZE)
    if given & _FLAGS:
        (flags,) = _WORD.unpack_from(data, place)
    return duration, flags


def _add_run(data: bytes, place: int, fragment: _Fragment, duration: int, flags: int) -> None:
    given, count = struct.unpack_from(">II", data, place)
    place += 8 + 4 * bool(given & _DATA_OFFSET)
    first_flags: int | None = None
    if given & _FIRST_FLAGS:
        (first_flags,) = _WORD.unpack_from(data, place)
        place += 4
    each = [_EACH_DURATION, _EACH_SIZE, _EACH_FLAGS, _EACH_OFFSET]
    fields = [field for field in each if given & field]
    if place + 4 * len(fields) * count > len(data):
        raise ValueError("a run does not fit")
    for number in range(count if fields else 0):
        values = dict(zip(fields, struct.unpack_from(f">{len(fields)}I", data, place), strict=True))
        place += 4 * len(fields)
        fragment.ticks += values.get(_EACH_DURATION, duration)
        own = values.get(_EACH_FLAGS, flags)
        if number == 0 and first_flags is not None:
            own = first_flags
        fragment.keys += not own & _NOT_SYNC
    if not fields:
        fragment.ticks += duration * count
        firsts = 1 if first_flags is not None and count else 0
        fragment.keys += firsts * (not (first_flags or 0) & _NOT_SYNC)
        fragment.keys += (count - firsts) * (not flags & _NOT_SYNC)
    fragment.packets += count
