"""The folder for what can be had again: downloaded weights, exported networks, measurements of this box."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import FetchError, ModelError
from pipeline.lock import try_lock

VARIABLE = "SIGHTLINE_CACHE"
_POLL_S = 0.2
_LONGEST_WAIT_S = 3600.0


def cache_folder() -> Path:
    """Return where the cache is: $SIGHTLINE_CACHE, else $XDG_CACHE_HOME/sightline, else ~/.cache/sightline.

    It need not exist. As the XDG specification has it, a relative $XDG_CACHE_HOME is ignored.

    Raises:
        ModelError: if there is no home folder to put it in.
    """
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared and Path(shared).is_absolute():
        return Path(shared) / "sightline"
    try:
        return Path.home() / ".cache" / "sightline"
    except RuntimeError as error:
        raise ModelError(f"there is no home folder for the cache; set {VARIABLE} to a folder") from error


def made(folder: Path) -> Path:
    """Return the folder, made when it was missing.

    Raises:
        ModelError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def unwritable(path: Path, error: OSError) -> FetchError:
    """Return what to say when nothing can be written there."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FetchError(f"{path}: the disk is full; free some space, or set {VARIABLE} to another folder")
    reason = error.strerror or str(error)
    return FetchError(f"{path}: cannot be written ({reason}); set {VARIABLE} to a writable folder")


@contextmanager
def locked(
    path: Path,
    waiting: Callable[[], None] = lambda: None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    longest_s: float = _LONGEST_WAIT_S,
) -> Iterator[None]:
    """Hold the lock file `path`, so that of several processes and threads one does the work and others wait.

    Args:
        path: the lock file; stays behind, empty.
        waiting: called once if somebody else holds it.
        sleep: waits for so many seconds.
        longest_s: how long to wait at most.

    Raises:
        ModelError: if the file cannot be made, or the other holds it for too long.
    """
    made(path.parent)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        waited_s = 0.0
        while not try_lock(handle):
            if waited_s == 0:
                waiting()
            if waited_s >= longest_s:
                raise FetchError(
                    f"{path}: another process has been at work there for {longest_s / 60:.0f} minutes; end it"
                )
            sleep(_POLL_S)
            waited_s += _POLL_S
        yield
    finally:
        os.close(handle)
