"""Reads the time out of a picture of the RTSP server's barcode mount, and writes such pictures."""

from __future__ import annotations

import binascii
from dataclasses import dataclass

import numpy as np

from pipeline.picture import U8Array

_COLUMNS, _ROWS = 32, 3
_THRESHOLD = 126


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a picture says of itself.

    Attributes:
        time_ns: the server's `time.time_ns()` when it was made.
        number: of the picture since the mount's media was set up, modulo 65536.
    """

    time_ns: int
    number: int


def read_barcode(luma: U8Array) -> Stamp | None:
    """Return what the blocks at the top of `luma`, (H, W) uint8, say; None if the check sum is wrong."""
    block = luma.shape[1] // _COLUMNS
    blocks = luma[: _ROWS * block, : _COLUMNS * block].reshape(_ROWS, block, _COLUMNS, block)
    inner = slice(block // 4, block - block // 4)
    bits = blocks[:, inner, :, inner].mean(axis=(1, 3)) > _THRESHOLD
    message = np.packbits(bits.reshape(-1)).tobytes()
    if binascii.crc_hqx(message[:10], 0) != int.from_bytes(message[10:], "big"):
        return None
    return Stamp(int.from_bytes(message[:8], "big"), int.from_bytes(message[8:10], "big"))


def write_barcode(luma: U8Array, stamp: Stamp) -> None:
    """Write what `read_barcode` reads into the top of `luma`, (H, W) uint8, in place."""
    message = stamp.time_ns.to_bytes(8, "big") + (stamp.number & 0xFFFF).to_bytes(2, "big")
    message += binascii.crc_hqx(message, 0).to_bytes(2, "big")
    bits = np.unpackbits(np.frombuffer(message, np.uint8)).reshape(_ROWS, _COLUMNS)
    block = luma.shape[1] // _COLUMNS
    luma[: _ROWS * block, : _COLUMNS * block] = np.where(bits, 235, 16).repeat(block, 0).repeat(block, 1)
