"""Bech32 (BIP 173), the way in which age writes keys; without its limit of 90 characters."""

from __future__ import annotations

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LETTERS = 6


def encode(prefix: str, data: bytes) -> str:
    """Return `data` behind a lower-case prefix, with a checksum."""
    values = _regrouped(data, 8, 5, pad=True)
    state = _polymod([*_expanded(prefix), *values, *[0] * _CHECKSUM_LETTERS]) ^ 1
    checksum = [state >> 5 * (_CHECKSUM_LETTERS - 1 - place) & 31 for place in range(_CHECKSUM_LETTERS)]
    return prefix + "1" + "".join(_LETTERS[value] for value in [*values, *checksum])


def decode(text: str) -> tuple[str, bytes]:
    """Return the prefix, in lower case, and the data.

    Raises:
        ValueError: if it is no such text, or was mistyped.
    """
    if text not in (text.lower(), text.upper()):
        raise ValueError("it mixes upper and lower case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(rest) < _CHECKSUM_LETTERS:
        raise ValueError("it is too short")
    if any(letter not in _LETTERS for letter in rest):
        raise ValueError("it has a character that keys do not have")
    values = [_LETTERS.index(letter) for letter in rest]
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise ValueError("its checksum is wrong; was it copied whole?")
    return prefix, bytes(_regrouped(values[:-_CHECKSUM_LETTERS], 5, 8, pad=False))


def _expanded(prefix: str) -> list[int]:
    return [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]


def _polymod(values: list[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                state ^= generator
    return state


def _regrouped(values: bytes | list[int], old: int, new: int, *, pad: bool) -> list[int]:
    """Return the same bits in groups of another size."""
    held = bits = 0
    groups = []
    for value in values:
        held, bits = held << old | value, bits + old
        while bits >= new:
            bits -= new
            groups.append(held >> bits & (1 << new) - 1)
        held &= (1 << bits) - 1
    if pad and bits:
        groups.append(held << new - bits & (1 << new) - 1)
    elif not pad and (bits >= old or held):
        raise ValueError("its length is wrong")
    return groups
