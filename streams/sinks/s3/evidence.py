"""Which files an event names, and whether they may leave the box."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pipeline.event import Event

_NEVER = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


class NotOurs(Exception):  # noqa: N818 - no failure
    """A file will never be uploaded; the message says why."""


def named_by(event: Event, roles: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what a file is to the event and its path within the output folder, as the event names it.

    A role's value is the path (`snapshot`), or a map that has it as `path` (`clip`); one without, which only
    says from when to when a clip would be, is passed over.
    """
    for role in roles:
        value = event.evidence.get(role)
        path = value.get("path") if isinstance(value, Mapping) else value
        if isinstance(path, str) and path:
            yield role, path


def opened(folder: Path, name: str, suffixes: Sequence[str]) -> BinaryIO:
    """Open a file of the output folder for reading.

    Links are followed first: what counts is where the file really lies.

    Raises:
        NotOurs: if it lies elsewhere, is no plain file, is of another kind, or is gone.
        OSError: if it cannot be read now.
    """
    if "\0" in name:
        raise NotOurs(f"{name!r} is no name of a file")
    root = folder.resolve(strict=True)
    try:
        path = (root / name).resolve()
    except RuntimeError:  # links in a circle
        raise NotOurs(f"{name!r} is no plain file") from None
    if not path.is_relative_to(root):
        raise NotOurs(f"{name!r} lies outside the output folder")
    if path.suffix.lower() not in suffixes:
        raise NotOurs(f"{name!r} is none of {', '.join(suffixes)}")
    try:
        # Not blocking, as a pipe would; and no link that was laid in between.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise NotOurs(f"{name!r} is gone; it was removed before it could be uploaded") from None
    except OSError as error:
        if error.errno not in _NEVER:
            raise
        raise NotOurs(f"{name!r} is no name of a file") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotOurs(f"{name!r} is no plain file")
    return os.fdopen(handle, "rb")
