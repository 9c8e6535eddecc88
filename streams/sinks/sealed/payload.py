"""The content of an age file: chunks that are sealed one by one, in order (https://c2sp.org/age, "Payload").

A chunk is on the disk as soon as it is full, so a writer that is killed loses at most what did not fill one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.sinks.copying.target import FileTarget
from streams.sinks.sealed.header import derived, make_header, read_header

CHUNK_BYTES = 64 << 10
_TAG_BYTES = 16
_SEALED_BYTES = CHUNK_BYTES + _TAG_BYTES
_NONCE_BYTES = 16


class SealedTarget:
    """Writes a file that only the holders of the secret keys can read, a `Target` of muxers. It cannot seek.

    Args:
        file: new; closed with this one.
        public_keys: X25519, 32 bytes each.

    Attributes:
        path: of the file.
    """

    def __init__(self, file: FileTarget, public_keys: Sequence[bytes]) -> None:
        self.path = file.path
        self._file = file
        self._number = 0
        self._held = bytearray()
        self._has_failed = False
        self._is_waited_for = False
        header, file_key = make_header(public_keys)
        nonce = os.urandom(_NONCE_BYTES)
        self._cipher = _cipher(file_key, nonce)
        self._put(header + nonce)

    @property
    def size(self) -> int:
        """Bytes of the file, with those that are held back."""
        return self._file.size + len(self._held)

    @property
    def spent_s(self) -> float:
        """Time that writing and waiting took so far, s."""
        return self._file.spent_s

    def write(self, data: Any, /) -> int:
        """Seal what fills chunks, hold the rest back."""
        view = memoryview(data).cast("B")
        self._held += view
        while len(self._held) > CHUNK_BYTES:  # a full one may yet be the last, which is sealed otherwise
            self._seal(bytes(self._held[:CHUNK_BYTES]), is_last=False)
            del self._held[:CHUNK_BYTES]
        return view.nbytes

    def sync(self) -> None:
        """Wait until the disk has the sealed chunks, and when it is closed, for the last one."""
        self._is_waited_for = True
        self._file.sync()

    def is_there(self) -> bool:
        """Whether the file still lies under its name."""
        return self._file.is_there()

    def close(self) -> None:
        """Seal the last chunk, unless writing has failed, and close the file; safe more than once."""
        if self._file.closed:
            return
        try:
            if not self._has_failed:
                self._seal(bytes(self._held), is_last=True)
                self._held.clear()
                if self._is_waited_for:
                    self._file.sync()
        finally:
            self._file.close()

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        self._put(self._cipher.encrypt(_nonce(self._number, is_last), chunk, None))
        self._number += 1

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError:
            self._has_failed = True
            raise


class SealedReader(io.RawIOBase):
    """Reads such a file, at any place; one that was cut off up to its last whole chunk.

    Args:
        path: of the file.
        secret_keys: X25519, 32 bytes each.

    Attributes:
        is_whole: whether its end is there.

    Raises:
        OSError: if it cannot be read.
        NotForUs: if none of the keys fits.
        ValueError: if it is no age file or was changed.
    """

    def __init__(self, path: Path, secret_keys: Sequence[bytes]) -> None:
        super().__init__()
        self._file = path.open("rb")
        try:
            file_key = read_header(self._file, secret_keys)
            nonce = self._file.read(_NONCE_BYTES)
            if len(nonce) < _NONCE_BYTES:
                raise ValueError("it ends within its header")
            self._cipher = _cipher(file_key, nonce)
            self._start = self._file.tell()
            self._chunk: tuple[int, bytes] = (-1, b"")
            self._place = 0
            self._size, self.is_whole = self._measured(os.fstat(self._file.fileno()).st_size - self._start)
        except BaseException:
            self._file.close()
            raise

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place of the plain content."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Return the place in the plain content."""
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        """Read plain content up to the end of a chunk."""
        view = memoryview(buffer).cast("B")
        if self._place >= self._size:
            return 0
        number, within = divmod(self._place, CHUNK_BYTES)
        part = self._opened(number)[within : within + view.nbytes]
        view[: len(part)] = part
        self._place += len(part)
        return len(part)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
            super().close()

    def _opened(self, number: int) -> bytes:
        if self._chunk[0] != number:
            is_last = self.is_whole and (number + 1) * CHUNK_BYTES >= self._size
            plain = self._plain(number, is_last=is_last)
            if plain is None:
                raise ValueError(f"its chunk {number} was changed")
            self._chunk = (number, plain)
        return self._chunk[1]

    def _measured(self, sealed_bytes: int) -> tuple[int, bool]:
        """Return the size of the plain content, and whether its last chunk is there."""
        full, rest = divmod(sealed_bytes, _SEALED_BYTES)
        number, size = (full, rest - _TAG_BYTES) if rest else (full - 1, CHUNK_BYTES)
        if number >= 0 and size >= 0 and self._plain(number, is_last=True) is not None:
            return number * CHUNK_BYTES + size, True
        return full * CHUNK_BYTES, False

    def _plain(self, number: int, *, is_last: bool) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        self._file.seek(self._start + number * _SEALED_BYTES)
        try:
            sealed = self._file.read(_SEALED_BYTES)
            return bytes(self._cipher.decrypt(_nonce(number, is_last), sealed, None))
        except InvalidTag:
            return None


def _cipher(file_key: bytes, nonce: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(derived(file_key, nonce, b"payload"))


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])
