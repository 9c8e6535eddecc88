"""Tells from H.264's own numbers whether a reference picture is missing.

A picture that is lost as a whole leaves no trace in the bytes: FFmpeg's decoder builds on a copy of the one
before and calls nothing damaged. But reference pictures are numbered (ITU-T H.264, 7.4.3, frame_num).
"""

from __future__ import annotations

from collections.abc import Iterator

HEAD_BYTES = 4096
"""As much of a picture as has to be seen."""
_START = b"\0\0\1"
_SLICE, _IDR, _SPS = 1, 5, 7
_HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


class FrameNumbers:
    """Follows the numbers of one stream's pictures in the order of coding; used by one thread.

    Args:
        extradata: parameter sets beside the stream, as FFmpeg has them; None when there are none.
    """

    def __init__(self, extradata: bytes | None) -> None:
        # ISO/IEC 14496-15, 5.3.3.1: with such a record, units have lengths before them, else start codes.
        self._length_bytes = 0
        self._bits = 0
        self._has_colour_planes = False
        self._may_skip = False
        self._last: int | None = None
        if extradata and extradata[0] == 1 and len(extradata) > 8:
            self._length_bytes = (extradata[4] & 3) + 1
            size = int.from_bytes(extradata[6:8], "big")
            self._take_parameters(extradata[8 : 8 + size])
        elif extradata:
            for unit in _by_start_codes(extradata):
                if unit[0] & 31 == _SPS:
                    self._take_parameters(unit)

    def is_after_loss(self, data: bytes) -> bool:
        """Take the next coded picture (or its first `HEAD_BYTES`); tell whether one before it is missing."""
        head = data[:HEAD_BYTES]
        units = _by_lengths(head, self._length_bytes) if self._length_bytes else _by_start_codes(head)
        for unit in units:
            kind = unit[0] & 31
            if kind == _SPS:
                self._take_parameters(unit)
            elif kind == _IDR:
                self._last = 0
                return False
            elif kind == _SLICE and self._bits:
                return self._is_gap(unit)
        return False

    def _is_gap(self, unit: bytes) -> bool:
        bits = _Bits(unit[1:64])
        try:
            bits.golomb()  # first_mb_in_slice
            bits.golomb()  # slice_type
            bits.golomb()  # pic_parameter_set_id
            if self._has_colour_planes:
                bits.take(2)
            number = bits.take(self._bits)
        except IndexError:
            return False
        last = self._last
        if unit[0] >> 5 & 3:
            self._last = number
        if last is None or self._may_skip:
            return False
        return number not in (last, (last + 1) % (1 << self._bits))

    def _take_parameters(self, unit: bytes) -> None:
        bits = _Bits(unit[1:])
        try:
            profile = bits.take(8)
            bits.take(16)
            bits.golomb()  # seq_parameter_set_id
            chroma = 1
            planes = 0
            if profile in _HIGH_PROFILES:
                chroma = bits.golomb()
                if chroma == 3:
                    planes = bits.take(1)
                bits.golomb()  # bit_depth_luma_minus8
                bits.golomb()  # bit_depth_chroma_minus8
                bits.take(1)
                if bits.take(1):
                    for index in range(12 if chroma == 3 else 8):
                        _skip_scaling_list(bits, 16 if index < 6 else 64)
            number_bits = bits.golomb() + 4
            order = bits.golomb()
            if order == 0:
                bits.golomb()
            elif order == 1:
                bits.take(1)
                for _ in range(2):
                    bits.golomb()
                for _ in range(min(bits.golomb(), 255)):
                    bits.golomb()
            bits.golomb()  # max_num_ref_frames
            may_skip = bits.take(1)
        except IndexError:
            return
        if number_bits <= 16:
            self._bits, self._has_colour_planes, self._may_skip = number_bits, bool(planes), bool(may_skip)


class _Bits:
    """Bits of a unit without its emulation prevention bytes (7.4.1.1); IndexError past the end."""

    def __init__(self, unit: bytes) -> None:
        data = unit.replace(b"\0\0\3", b"\0\0")
        self._text = "".join(f"{byte:08b}" for byte in data[:512])
        self._at = 0

    def take(self, count: int) -> int:
        end = self._at + count
        if end > len(self._text):
            raise IndexError
        value = int(self._text[self._at : end], 2) if count else 0
        self._at = end
        return value

    def golomb(self) -> int:
        """Read an Exp-Golomb number (9.1), of at most 32 bits."""
        one = self._text.find("1", self._at)
        zeros = one - self._at
        if one < 0 or zeros > 32:
            raise IndexError
        self._at = one
        return self.take(zeros + 1) - 1


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    if not bits.take(1):
        return
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2)) + 256) % 256
        last = following or last


def _by_start_codes(data: bytes) -> Iterator[bytes]:
    at = data.find(_START)
    while at >= 0:
        following = data.find(_START, at + 3)
        unit = data[at + 3 : following] if following >= 0 else data[at + 3 :]
        if unit:
            yield unit
        at = following


def _by_lengths(data: bytes, length_bytes: int) -> Iterator[bytes]:
    at = 0
    while at + length_bytes < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        unit = data[at + length_bytes : at + length_bytes + size]
        if unit:
            yield unit
        at += length_bytes + max(size, 1)
