"""Something that one thread uses and any thread may give up."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Lease:
    """Frees a thing exactly once: at once if nobody is using it, else when its user has done.

    Args:
        free: frees it; called by the thread that is the last.
    """

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._is_used = False
        self._is_over = False

    def begin(self) -> bool:
        """Begin to use it; False if it has been given up."""
        with self._lock:
            self._is_used = not self._is_over
            return self._is_used

    def end(self) -> None:
        """Have done with it, for good."""
        with self._lock:
            self._is_used = False
        self.give_up()

    def give_up(self) -> None:
        """Free it now, or leave that to its user; safe more than once."""
        with self._lock:
            if self._is_used or self._is_over:
                return
            self._is_over = True
        self._free()
