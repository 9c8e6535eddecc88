"""Peers that talk nonsense."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

import msgpack

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01"
"""The signature and version of ZMTP 3.1 (ZeroMQ RFC 37); a mechanism of 20 bytes and 32 more follow."""
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
NULL = GREETING + b"NULL".ljust(20, b"\0") + bytes(32)
CURVE = GREETING + b"CURVE".ljust(20, b"\0") + bytes(32)
MESSAGES: Sequence[list[bytes]] = (
    [b""],
    [b"\x01" + b"x" * 1100],
    [b"\x02event/gate"],
    [b"no subscription"],
    [b"event/gate"],
    [b"event/gate", b"\xc1"],
    [b"event/gate", msgpack.packb({"v": 2, "type": "event"})],
    [b"event/gate", b"h", b"p", b"q"],
    [b"frame/gate", bytes(1 << 20), bytes(2 << 20)],
    [b"packet/" + bytes(1100), b"\x80"],
    [msgpack.packb({"v": 1, "type": "join", "name": ""})],
    [msgpack.packb({"v": 1, "type": "ack", "seq": -1})],
    [b"\xdd\x7f\xff\xff\xff"],
)
"""What no socket of ours takes from a peer that is let in."""


def nonsense(seed: int) -> bytes:
    """Bytes of a peer that does not speak ZeroMQ, or not to its end, or beyond all bounds."""
    rng = random.Random(seed)
    noise = rng.randbytes(rng.randrange(1, 400))
    kinds = [
        noise,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise,
        GREETING[: rng.randrange(1, 12)],
        NULL[: rng.randrange(12, 64)],
        NULL + noise,
        CURVE + noise,
        CURVE + b"\x04\xc8\x05HELLO\x01\x00" + rng.randbytes(192),
        NULL + b"\x06" + struct.pack(">Q", 1 << 62) + noise,
        NULL + READY + b"\x02" + struct.pack(">Q", 1 << 40) + noise,
        NULL + READY + b"\x02" + struct.pack(">Q", 100 << 20) + noise,
        NULL + READY + noise,
        NULL + READY + b"\x01\x03abc" * 500,
    ]
    return kinds[seed % len(kinds)]


def shout(endpoint: str, seed: int) -> socket.socket:
    """Connect, say something, and stay; whoever is called may hang up."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    with suppress(OSError):
        connection.sendall(nonsense(seed))
    return connection
