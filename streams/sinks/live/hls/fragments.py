"""Cuts what a muxer of fragmented MP4 writes into its head and its fragments (ISO/IEC 14496-12)."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from pipeline.errors import SinkError

_HEADER = 8
_MOST_BYTES = 64 << 20
"""A picture's fragment is far smaller; what claims to be larger is damage."""
_FRAGMENT_HAS_DURATION = 0x000008  # tfhd: default-sample-duration-present (8.8.7)
_BEFORE_DURATION = (0x000001, 8), (0x000002, 4)  # base-data-offset, sample-description-index
_RUN_HAS_OFFSET, _RUN_HAS_FLAGS, _RUN_HAS_DURATION = 0x000001, 0x000004, 0x000100  # trun (8.8.8)


class Fragments(io.RawIOBase):
    """A writable file that hands on each complete part of the MP4 written to it.

    Args:
        on_head: called once with the `ftyp` and `moov` boxes.
        on_fragment: called with each `moof` and its `mdat`.
    """

    def __init__(self, on_head: Callable[[bytes], None], on_fragment: Callable[[bytes], None]) -> None:
        self._on_head = on_head
        self._on_fragment = on_fragment
        self._waiting = bytearray()
        self._boxes: list[bytes] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Take bytes of the file, wherever they are cut."""
        self._waiting += data
        while len(self._waiting) >= _HEADER:
            size, kind = int.from_bytes(self._waiting[:4], "big"), bytes(self._waiting[4:8])
            if not _HEADER <= size <= _MOST_BYTES:
                raise SinkError(f"the muxer wrote an MP4 box of {size} bytes")
            if len(self._waiting) < size:
                break
            box = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._take(kind, box)
        return len(data)

    def _take(self, kind: bytes, box: bytes) -> None:
        if kind in (b"ftyp", b"moof"):
            self._boxes = [box]
        elif kind in (b"moov", b"mdat"):
            whole = b"".join([*self._boxes, box])
            self._boxes = []
            (self._on_head if kind == b"moov" else self._on_fragment)(whole)


def duration_of(fragment: bytes) -> int:
    """Return how long the one picture of a fragment is shown, in ticks of its track; 0 if it does not say."""
    run = _find(fragment, b"moof", b"traf", b"trun")
    head = _find(fragment, b"moof", b"traf", b"tfhd")
    if run is not None and _flags(run) & _RUN_HAS_DURATION:
        skipped = sum(4 for bit in (_RUN_HAS_OFFSET, _RUN_HAS_FLAGS) if _flags(run) & bit)
        return int.from_bytes(run[8 + skipped : 12 + skipped], "big")
    if head is not None and _flags(head) & _FRAGMENT_HAS_DURATION:
        skipped = sum(length for bit, length in _BEFORE_DURATION if _flags(head) & bit)
        return int.from_bytes(head[8 + skipped : 12 + skipped], "big")
    return 0


def ticks_per_s(head: bytes) -> int:
    """Return the time scale of the one track of an MP4's head (8.4.2); FFmpeg chooses it.

    Raises:
        SinkError: if there is none.
    """
    box = _find(head, b"moov", b"trak", b"mdia", b"mdhd")
    at = 0 if box is None else 20 if box[0] else 12  # version 1 has longer times before it
    scale = 0 if box is None else int.from_bytes(box[at : at + 4], "big")
    if not scale:
        raise SinkError("the muxer wrote an MP4 without a time scale")
    return scale


def codec_of(head: bytes) -> str:
    """Return what RFC 6381 calls the codec of the one track of an MP4's head, "" for one not known here."""
    entries = _find(head, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    if entries is None:
        return ""
    kind = bytes(entries[12:16]).decode("ascii", "replace")
    # A visual sample entry has 78 bytes of its own before the boxes in it (12.1.3).
    inside = entries[16 + 78 : 8 + int.from_bytes(entries[8:12], "big")]
    if kind in ("avc1", "avc3") and (record := _find(inside, b"avcC")) is not None:
        return f"{kind}.{bytes(record[1:4]).hex()}"
    if kind in ("hvc1", "hev1") and (record := _find(inside, b"hvcC")) is not None:
        return _hevc(kind, bytes(record))
    return ""


def _hevc(kind: str, record: bytes) -> str:
    """ISO/IEC 14496-15, E.3: profile, compatibility (bits turned round), tier and level, constraints."""
    space = ["", "A", "B", "C"][record[1] >> 6]
    compatible = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    tier = "H" if record[1] & 0x20 else "L"
    constraints = [f"{byte:X}" for byte in record[6:12].rstrip(b"\0")]
    profile = f"{space}{record[1] & 0x1F}"
    return ".".join([kind, profile, f"{compatible:X}", f"{tier}{record[12]}", *constraints])


def _find(data: bytes | memoryview, *path: bytes) -> memoryview | None:
    """Return the content of the first box at `path`, None if there is none."""
    view = memoryview(data)
    for name in path:
        at = 0
        while at + _HEADER <= len(view):
            size = int.from_bytes(view[at : at + 4], "big")
            if size < _HEADER:
                return None
            if view[at + 4 : at + 8] == name:
                view = view[at + _HEADER : at + size]
                break
            at += size
        else:
            return None
    return view


def _flags(box: memoryview) -> int:
    return int.from_bytes(box[1:4], "big")
