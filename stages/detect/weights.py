"""Weights files: which one it is, and clear words when it is missing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.errors import ModelError

_CHUNK = 1 << 20


def weights_hash(path: Path) -> str:
    """Return the first 16 hex digits of the file's SHA-256.

    Raises:
        ModelError: if the file is missing, empty or cannot be read.
    """
    if not path.is_file():
        raise ModelError(f"no weights at '{path}'; set 'model' to the path of an existing weights file")
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(
            f"cannot read the weights '{path}': {error.strerror}; check its permissions"
        ) from error
    if path.stat().st_size == 0:
        raise ModelError(f"the weights '{path}' are an empty file; download them again")
    return digest.hexdigest()[:16]
