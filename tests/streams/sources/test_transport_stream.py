from __future__ import annotations

import random

import pytest

from streams.sources.transport_stream import TAIL_BYTES, ends_inside_packet

PACKETS = {
    "plain": b"\x47" + bytes(187),
    "with time stamps": bytes(4) + b"\x47" + bytes(187),
    "with parity": b"\x47" + bytes(203),
}


@pytest.mark.parametrize("kind", PACKETS)
@pytest.mark.parametrize("missing", [0, 1, 100, 180])
@pytest.mark.parametrize("junk", [0, 1, 50])
def test_the_end_of_the_last_packet(kind: str, missing: int, junk: int) -> None:
    stream = b"\xff" * junk + PACKETS[kind] * 40
    tail = stream[: len(stream) - missing][-TAIL_BYTES:]
    assert ends_inside_packet(tail) == (missing > 0)


@pytest.mark.parametrize("content", [b"", b"\x47", random.Random(0).randbytes(TAIL_BYTES), bytes(TAIL_BYTES)])
def test_no_rhythm_no_verdict(content: bytes) -> None:
    assert not ends_inside_packet(content)
