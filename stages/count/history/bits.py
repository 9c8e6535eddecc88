"""Whole numbers in few bits: Rice codes, each column of numbers with its own parameter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stages.count.history.path import I64Array

ESCAPE = 24
"""Quotients from here on are written as `ESCAPE` ones, no zero, and the number in `WIDE` bits."""

WIDE = 40
PARAMETERS = 32


def zigzag(numbers: I64Array) -> I64Array:
    """Return 0, 1, 2, 3, ... for 0, -1, 1, -2, ...: small numbers of either sign become small."""
    return (numbers << 1) ^ (numbers >> 63)


def unzigzag(numbers: I64Array) -> I64Array:
    """Undo `zigzag`."""
    return (numbers >> 1) ^ -(numbers & 1)


def best_parameter(numbers: I64Array) -> int:
    """Return the parameter with which these numbers, none below 0, take the fewest bits.

    Source: R. F. Rice, "Some Practical Universal Noiseless Coding Techniques", JPL 79-22, 1979.
    """
    if not len(numbers):
        return 0
    return min(range(PARAMETERS), key=lambda parameter: _bits(numbers, parameter))


def _bits(numbers: I64Array, parameter: int) -> int:
    quotients = numbers >> parameter
    escaped = quotients >= ESCAPE
    return int(np.where(escaped, ESCAPE + WIDE, quotients + 1 + parameter).sum())


def rice_bits(number: int, parameter: int) -> str:
    """Return a number's code as characters 0 and 1: the quotient in ones, a zero, the rest."""
    quotient = number >> parameter
    if quotient >= ESCAPE:
        return "1" * ESCAPE + format(number, f"0{WIDE}b")
    rest = format(number & ((1 << parameter) - 1), f"0{parameter}b") if parameter else ""
    return "1" * quotient + "0" + rest


class BitReader:
    """Reads bits from bytes, the highest of each byte first.

    Raises:
        ValueError: where there are no more.
    """

    def __init__(self, data: bytes) -> None:
        bits: npt.NDArray[np.uint8] = np.unpackbits(np.frombuffer(data, np.uint8))
        self._bits = bits.tobytes()
        self._at = 0

    def take(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        end = self._at + count
        if end > len(self._bits):
            raise ValueError("the bits end too soon")
        value = 0
        for bit in self._bits[self._at : end]:
            value = value << 1 | bit
        self._at = end
        return value

    def rice(self, parameter: int) -> int:
        """Return the next number that `rice_bits` wrote."""
        zero = self._bits.find(b"\0", self._at, self._at + ESCAPE)
        if zero < 0:
            self.take(ESCAPE)
            return self.take(WIDE)
        quotient = zero - self._at
        self._at = zero + 1
        return quotient << parameter | self.take(parameter)


def packed(bits: str) -> bytes:
    """Return characters 0 and 1 as bytes, filled up with zeros."""
    missing = -len(bits) % 8
    return int(bits + "0" * missing or "0", 2).to_bytes((len(bits) + missing) // 8, "big")
