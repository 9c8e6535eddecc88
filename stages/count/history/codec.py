"""The bytes of one path, as they stand in the column `path` (docs/recount.md has the layout for others).

form        1 byte: 0..7, coordinates in units / 2**form; or 255, every position as it was
form 0..7:  varint (points << 1 | something vanished); of the first box left, bottom, width and height as
zigzag varints; then bits, the highest of a byte first: 5 Rice parameters of 5 bits, and for
each further point the ticks since the one before less 1, and the zigzag differences of left,
bottom, width and height, each in its own Rice code; if something vanished, one more bit.
form 255:   zlib of: uint32 points, float64 times, float32 boxes xyxy in px, 1 byte vanished each; all
little-endian.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from stages.count.history.bits import (
    BitReader,
    best_parameter,
    packed,
    rice_bits,
    unzigzag,
    zigzag,
)
from stages.count.history.path import BoolArray, I64Array, Path

FULL = 255
MAX_FORM = 7
_PARAMETER_BITS = 5
_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Scale:
    """What the whole numbers of a path mean.

    Attributes:
        start_us: media time of the first point, microseconds.
        tick_us: microseconds of one tick.
        unit_px: pixels of one unit of the stored resolution.
    """

    start_us: int
    tick_us: int
    unit_px: float


def encode(ticks: I64Array, points: I64Array, vanished: BoolArray, form: int) -> bytes:
    """Return a path of K points as bytes.

    Args:
        ticks: (K,) int64, strictly increasing.
        points: (K, 4) int64 xyxy, in units / 2**form.
        vanished: (K,) bool, see `Path`.
        form: 0..7.
    """
    marked = bool(vanished.any())
    rows = _to_columns(points)
    head = bytes([form]) + _varint(len(ticks) << 1 | marked)
    head += b"".join(_varint(number) for number in zigzag(rows[0]).tolist())
    if len(ticks) == 1:
        return head + (packed(str(int(vanished[0]))) if marked else b"")
    steps = np.column_stack([np.diff(ticks) - 1, zigzag(np.diff(rows, axis=0))])
    parameters = [best_parameter(column) for column in steps.T]
    bits = [format(parameter, f"0{_PARAMETER_BITS}b") for parameter in parameters]
    if marked:
        bits.append(str(int(vanished[0])))
    marks = vanished[1:].tolist()
    for step, mark in zip(steps.tolist(), marks, strict=True):
        bits += [rice_bits(number, parameter) for number, parameter in zip(step, parameters, strict=True)]
        if marked:
            bits.append("1" if mark else "0")
    return head + packed("".join(bits))


def encode_full(path: Path) -> bytes:
    """Return a path of float32 boxes as bytes that `decode` gives back exactly."""
    parts = (
        np.uint32(len(path)).astype("<u4"),
        path.times_s.astype("<f8"),
        path.xyxy.astype("<f4"),
        path.vanished.astype(np.uint8),
    )
    return bytes([FULL]) + zlib.compress(b"".join(part.tobytes() for part in parts), 6)


def decode(data: bytes, scale: Scale) -> Path:
    """Return the path that these bytes hold.

    Raises:
        ValueError: if they are no path.
    """
    if not data:
        raise ValueError("a path of no bytes")
    if data[0] == FULL:
        return _decode_full(data)
    if data[0] > MAX_FORM:
        raise ValueError(f"a path of the unknown form {data[0]}; a newer version of sightline may know it")
    form = data[0]
    at, head = _read_varint(data, 1)
    count, marked = head >> 1, bool(head & 1)
    first = []
    for _ in range(4):
        at, number = _read_varint(data, at)
        first.append(number)
    if not 1 <= count <= 8 * len(data):
        raise ValueError(f"a path of {count} points in {len(data)} bytes")
    reader = BitReader(data[at:])
    vanished = np.zeros(count, bool)
    steps = np.zeros((count, _COLUMNS), np.int64)
    parameters = [reader.take(_PARAMETER_BITS) for _ in range(_COLUMNS)] if count > 1 else []
    if marked:
        vanished[0] = reader.take(1)
    for row in range(1, count):
        steps[row] = [reader.rice(parameter) for parameter in parameters]
        if marked:
            vanished[row] = reader.take(1)
    ticks = np.cumsum(steps[:, 0] + np.minimum(np.arange(count), 1))
    columns = np.cumsum(np.vstack([unzigzag(np.array([first])), unzigzag(steps[1:, 1:])]), axis=0)
    times_s = (scale.start_us + ticks * scale.tick_us) / 1e6
    return Path(times_s, _from_columns(columns) * (scale.unit_px / 2**form), vanished)


def _decode_full(data: bytes) -> Path:
    try:
        raw = zlib.decompress(data[1:])
        count = int(np.frombuffer(raw, "<u4", 1)[0])
        times_s = np.frombuffer(raw, "<f8", count, 4).astype(np.float64)
        xyxy = np.frombuffer(raw, "<f4", 4 * count, 4 + 8 * count).astype(np.float64).reshape(count, 4)
        vanished = np.frombuffer(raw, np.uint8, count, 4 + 24 * count).astype(bool)
    except (zlib.error, ValueError) as error:
        raise ValueError(f"a damaged path: {error}") from None
    return Path(times_s, xyxy, vanished)


def _to_columns(points: I64Array) -> I64Array:
    left, top, right, bottom = points.T
    return np.column_stack([left, bottom, right - left, bottom - top])


def _from_columns(columns: I64Array) -> I64Array:
    left, bottom, width, height = columns.T
    return np.column_stack([left, bottom - height, left + width, bottom])


def _varint(number: int) -> bytes:
    """Return 7 bits a byte, the lowest first, the highest bit set where more follow."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return where to go on, and the number."""
    number = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        number |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return at, number
        shift += 7
    raise ValueError("a damaged path: its first numbers have no end")
