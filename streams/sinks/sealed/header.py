"""The head of an age file: its random key, wrapped for each of those who may read it (https://c2sp.org/age)."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Sequence
from typing import BinaryIO

_VERSION = b"age-encryption.org/v1"
_X25519 = b"age-encryption.org/v1/X25519"
_FILE_KEY_BYTES = 16
_WRAPPED_BYTES = 32
_COLUMNS = 64
_MOST_BYTES = 64 << 10
_NO_NONCE = bytes(12)
"""Each wrapping key is used once."""


class NotForUs(Exception):  # noqa: N818 - the file is well, the key is another
    """None of the keys fits."""


def make_header(public_keys: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return a new header, and the file key that only the owners' secret keys find in it.

    Args:
        public_keys: X25519, 32 bytes each.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    file_key = os.urandom(_FILE_KEY_BYTES)
    lines = [_VERSION]
    for key in public_keys:
        passing = X25519PrivateKey.generate()
        share = passing.public_key().public_bytes_raw()
        secret = passing.exchange(X25519PublicKey.from_public_bytes(key))
        wrapping = derived(secret, share + key, _X25519)
        wrapped = _base64(ChaCha20Poly1305(wrapping).encrypt(_NO_NONCE, file_key, None))
        lines.append(b"-> X25519 " + _base64(share))
        # A body ends with a line that is not full; that of 32 bytes has one.
        lines += [wrapped[start : start + _COLUMNS] for start in range(0, len(wrapped), _COLUMNS)]
    head = b"\n".join([*lines, b"---"])
    return head + b" " + _base64(_mac(file_key, head)) + b"\n", file_key


def read_header(file: BinaryIO, secret_keys: Sequence[bytes]) -> bytes:
    """Read a header to its end and return the file key.

    Args:
        file: at its beginning.
        secret_keys: X25519, 32 bytes each.

    Raises:
        NotForUs: if none of the keys fits.
        ValueError: if it is no header, or was changed.
    """
    lines = _lines(file)
    head, mac = b"\n".join([*lines[:-1], b"---"]), lines[-1].removeprefix(b"--- ")
    for place, line in enumerate(lines[1:-1], 1):
        words = line.split(b" ")
        if words[:2] != [b"->", b"X25519"] or len(words) != 3:
            continue
        share, body = _plain(words[2]), _plain(lines[place + 1])
        if len(body) != _WRAPPED_BYTES:
            raise ValueError("its header was changed")
        for key in secret_keys:
            file_key = _unwrapped(key, share, body)
            if file_key is None:
                continue
            if not hmac.compare_digest(_mac(file_key, head), _plain(mac)):
                raise ValueError("its header was changed")
            return file_key
    raise NotForUs


def derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes by HKDF-SHA-256 (RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, info).derive(secret)


def _unwrapped(key: bytes, share: bytes, body: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    own = X25519PrivateKey.from_private_bytes(key)
    secret = own.exchange(X25519PublicKey.from_public_bytes(share))
    wrapping = derived(secret, share + own.public_key().public_bytes_raw(), _X25519)
    try:
        return ChaCha20Poly1305(wrapping).decrypt(_NO_NONCE, body, None)
    except InvalidTag:
        return None


def _lines(file: BinaryIO) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    while not lines or not lines[-1].startswith(b"--- "):
        line = file.readline(_MOST_BYTES)
        size += len(line)
        if not line.endswith(b"\n") or size > _MOST_BYTES or (not lines and line[:-1] != _VERSION):
            raise ValueError("it is no age file")
        lines.append(line[:-1])
    return lines


def _mac(file_key: bytes, head: bytes) -> bytes:
    return hmac.digest(derived(file_key, b"", b"header"), head, "sha256")


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _plain(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
