"""What a process holds: threads, descriptors, memory; to see that nothing is left over."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

_M_ARENA_MAX = -8


@dataclass(frozen=True)
class Footprint:
    """Threads and open descriptors of this process at one moment.

    Attributes:
        threads: names, sorted.
        descriptors: number -> what it is, as the kernel says.
    """

    threads: tuple[str, ...]
    descriptors: dict[int, str]

    @classmethod
    def now(cls) -> Self:
        """Take it."""
        descriptors: dict[int, str] = {}
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # the listing's own
                descriptors[int(entry.name)] = str(entry.readlink())
        return cls(tuple(sorted(thread.name for thread in threading.enumerate())), descriptors)

    def more_than(self, before: Self) -> list[str]:
        """Say what is there beyond `before`; sockets and threads are counted, not compared by number."""
        more = []
        if len(self.threads) > len(before.threads):
            more.append(f"threads {sorted(set(self.threads) - set(before.threads)) or self.threads}")
        if len(self.descriptors) > len(before.descriptors):
            held = before.descriptors.items()
            more.append(f"descriptors {dict(self.descriptors.items() - held)}")
        return more

    def assert_same_again(self, seconds: float) -> float:
        """Wait until no more is held than at this moment; return how long that took."""
        return until(lambda: not self._grown(), seconds, lambda: f"all is given back; {self._grown()}")

    def _grown(self) -> list[str]:
        return Footprint.now().more_than(self)


def bound_arenas() -> None:
    """Have glibc serve the threads to come from two heaps.

    By default each gets one of 8 per core, and each heap keeps its own peak: memory that grows for an hour
    before it is flat, and hides what leaks.
    """
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, 2)


def resident_mib() -> float:
    """Return the resident memory of this process, without garbage and what its heaps hold in reserve."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def until(condition: Callable[[], object], seconds: float, what: Callable[[], object] | str) -> float:
    """Wait until `condition` holds and return the seconds it took; fail with `what` after `seconds`."""
    start_s = time.monotonic()
    while not condition():
        if time.monotonic() - start_s > seconds:
            pytest.fail(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.004)
    return time.monotonic() - start_s
