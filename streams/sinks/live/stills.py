"""The newest annotated picture of a stream as JPEG, for all who watch it. Used by the server's thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from streams.sinks.live.studio import Still


class Stills:
    """Keeps one picture while somebody wants it, none otherwise.

    Args:
        want: called with whether anybody wants pictures, at each change.
    """

    def __init__(self, want: Callable[[bool], None]) -> None:
        self._want = want
        self._wanted = 0
        self._latest: Still | None = None
        self._number = 0
        self._has_ended = False
        self._changed = asyncio.Event()

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Have pictures made for the length of the `with` block."""
        self._wanted += 1
        if self._wanted == 1:
            self._want(True)
        try:
            yield
        finally:
            self._wanted -= 1
            if self._wanted == 0:
                self._want(False)
                self._latest = None

    def show(self, still: Still) -> None:
        """Take the newest picture."""
        if self._wanted:
            self._latest = still
            self._number += 1
            self._wake()

    def end(self, has_ended: bool = True) -> None:
        """Note that no more pictures come, or that they do again."""
        self._has_ended = has_ended
        self._wake()

    async def each(self) -> AsyncIterator[Still]:
        """Yield the newest picture each time there is one; who is slow misses those between.

        Ends with the stream. Within `wanted`.
        """
        had = 0 if self._latest is not None else self._number
        while not self._has_ended:
            if self._latest is not None and self._number > had:
                had = self._number
                yield self._latest
            else:
                await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
