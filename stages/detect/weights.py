"""Weights files: which one it is, and clear words when it is missing or none."""

from __future__ import annotations

from pathlib import Path

from stages.detect.models.kinds import check_weights
from stages.detect.models.store import sha256_of


def weights_hash(path: Path) -> str:
    """Return the first 16 hex digits of the file's SHA-256; `models.resolve` gives it with the file itself.

    Raises:
        ModelError: if the file is missing, empty, cut off, no weights, or cannot be read.
    """
    check_weights(path)
    return sha256_of(path)[:16]
