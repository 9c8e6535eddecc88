"""Where recordings and clips are written to and read from, sealed or plain: file objects for PyAV."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.errors import SourceError
from streams.sinks.copying.target import FileTarget, Target
from streams.sinks.sealed.header import NotForUs
from streams.sinks.sealed.payload import SealedReader, SealedTarget

SUFFIX = ".age"
"""Of the name of a sealed file, after that of its content."""


class Unreadable(SourceError):  # noqa: N818 - as its base
    """A file that is gone or damaged: others beside it may be well."""


def create(path: Path, public_keys: Sequence[bytes] = ()) -> Target:
    """Begin a new file; with keys a sealed one, which cannot seek.

    Raises:
        OSError: also if it exists.
    """
    file = FileTarget(path)
    if not public_keys:
        return file
    try:
        return SealedTarget(file, public_keys)
    except BaseException:
        file.close()
        raise


def is_sealed(path: Path) -> bool:
    """Whether the file's name says that it is sealed."""
    return SUFFIX in path.suffixes


def open_to_read(path: Path, secret_keys: Sequence[bytes] = ()) -> BinaryIO:
    """Open a file, sealed or plain, at any place of which can be read.

    Raises:
        Unreadable: if it cannot be read.
        SourceError: if it needs a key, or none of the keys fits.
    """
    try:
        if not is_sealed(path):
            return path.open("rb")
        if not secret_keys:
            raise SourceError(f"{path} is sealed; give its owner's secret key with --key")
        return cast("BinaryIO", io.BufferedReader(SealedReader(path, secret_keys)))
    except NotForUs:
        raise SourceError(f"{path} was sealed for another key than the one given") from None
    except ValueError as error:
        raise Unreadable(f"{path} cannot be opened: {error}") from error
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
