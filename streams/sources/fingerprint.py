"""A short digest of what files contain, whatever they are called: the run id of stored media."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path


def fingerprint(
    paths: Sequence[Path], *, names: bool = False, samples: int = 16, sample_bytes: int = 65536
) -> str:
    """Return 16 hex digits (blake2b) over the sizes and evenly spaced samples of the files' bytes.

    Reads at most `samples * sample_bytes` of each file: head and tail always, and everything of a file
    that is not longer than that.

    Args:
        paths: files, in the order that matters.
        names: whether the files' names (without folder) belong to the content.
        samples: places to read in each file, at least 2.
        sample_bytes: bytes to read at each place.

    Raises:
        OSError: if a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in paths:
        if names:
            digest.update(os.fsencode(path.name) + b"\0")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(size.to_bytes(8, "big"))
            if size <= samples * sample_bytes:
                digest.update(file.read(samples * sample_bytes))
                continue
            for k in range(samples):
                file.seek((size - sample_bytes) * k // (samples - 1))
                digest.update(file.read(sample_bytes))
    return digest.hexdigest()
