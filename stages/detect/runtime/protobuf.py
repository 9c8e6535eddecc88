"""Walks over protobuf's wire format, as far as reading an ONNX file's head needs it.

Source: "Encoding", Protocol Buffers documentation. Groups, which ONNX does not use, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10

Value = int | memoryview
"""A number, or the bytes of a string, a packed list or a message."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field, in the file's order; nothing is copied.

    Raises:
        ValueError: if it is no such message, or is cut off.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field with number 0")
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of unknown kind {kind}")
        if length > end - position:
            raise ValueError(f"cut off: a field of {length} bytes where {end - position} are left")
        yield number, message[position : position + length]
        position += length


def numbers(value: Value) -> Iterator[int]:
    """Yield the numbers of a repeated field's value, which is one number, or many that are packed."""
    if isinstance(value, int):
        yield value
        return
    position = 0
    while position < len(value):
        number, position = _varint(value, position)
        yield number


def message(value: Value) -> memoryview:
    """Return a value that has to be bytes."""
    if isinstance(value, int):
        raise ValueError("a number in the place of a message")
    return value


def number(value: Value) -> int:
    """Return a value that has to be a number, as signed 64 bit."""
    if not isinstance(value, int):
        raise ValueError("bytes in the place of a number")
    return value - (1 << 64) if value >> 63 else value


def text(value: Value) -> str:
    """Return a value that has to be text; what is no UTF-8 is replaced."""
    return bytes(message(value)).decode("utf-8", "replace")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for count in range(_LONGEST_VARINT):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & (1 << 64) - 1, position
    raise ValueError("cut off, or a number without an end")
