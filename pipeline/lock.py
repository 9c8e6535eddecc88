"""A file that one process at a time may hold."""

from __future__ import annotations


def try_lock(handle: int) -> bool:
    """Lock an open file, without waiting; False if another holder has it. Closing the file frees it.

    Where nothing can be locked (another system, some network drives) it is True: better unguarded than not
    at all.
    """
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True
