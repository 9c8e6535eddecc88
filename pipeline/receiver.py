"""What all that receive from a sightline have in common: one asks, or goes through what comes, for ever."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from functools import partial
from types import TracebackType
from typing import Generic, Self, TypeVar

from pipeline.awaiting import in_thread

_LOOK_S = 0.5
"""How long a thread waits before it looks whether its async iterator is still wanted."""

Item = TypeVar("Item")


class Receiver(ABC, Generic[Item]):
    """An iterator, an async iterator and a context manager around `receive`."""

    @abstractmethod
    def receive(self, timeout_s: float | None = None) -> Item | None:
        """Wait for what comes next; None when `timeout_s` (None: no limit) went by without anything."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect. Safe more than once."""

    def __iter__(self) -> Iterator[Item]:
        """Yield what comes, for ever."""
        while True:
            found = self.receive()
            if found is not None:
                yield found

    async def __aiter__(self) -> AsyncIterator[Item]:
        """Yield what comes, for ever, waiting in a thread of its own."""
        while True:
            found = await in_thread(partial(self.receive, _LOOK_S), self._put_back)
            if found is not None:
                yield found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put_back(self, found: Item | None) -> None:
        """Have come again what was received when its async iterator was cancelled; here it is lost."""
