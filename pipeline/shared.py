"""What several stages have in common: made for the first of them, closed after the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, Self, TypeVar


class Closeable(Protocol):
    """Something that must be closed."""

    def close(self) -> None:
        """Free everything; safe more than once."""


_Thing = TypeVar("_Thing", bound=Closeable)


class Lease(Generic[_Thing]):
    """One holder's right to a shared thing; close it when done, from any thread, also more than once.

    Attributes:
        value: the thing; not to be used after `close`.
    """

    def __init__(self, value: _Thing, give_back: Callable[[], None]) -> None:
        self.value = value
        self._give_back: Callable[[], None] | None = give_back
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give it back; the last holder closes the thing."""
        with self._lock:
            give_back, self._give_back = self._give_back, None
        if give_back:
            give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Entry:
    """A thing with its holders; its lock is held while it is made, so that others can be made meanwhile."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.thing: Any = None
        self.holders = 0


class Shared:
    """Things by key. One instance lives as long as a run; safe to use from all of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}

    def lease(self, key: Hashable, make: Callable[[], _Thing]) -> Lease[_Thing]:
        """Return a lease of the thing with this key, which `make` makes unless somebody holds it already.

        Whatever `make` raises is raised here; the next one to ask tries again.

        Args:
            key: what distinguishes it, also from things of other kinds: begin it with their class.
            make: makes the thing; another thread that wants the same key waits for it.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.holders += 1
        try:
            with entry.lock:
                if entry.thing is None:
                    entry.thing = make()
                thing: _Thing = entry.thing
        except BaseException:
            self._leave(key, entry)
            raise
        return Lease(thing, lambda: self._leave(key, entry))

    def close(self) -> None:
        """Close what is still held; for the end of a run, when nobody uses it any more."""
        with self._lock:
            left = list(self._entries.values())
            self._entries.clear()
        for entry in left:
            _close(entry)

    def _leave(self, key: Hashable, entry: _Entry) -> None:
        with self._lock:
            entry.holders -= 1
            if entry.holders:
                return
            if self._entries.get(key) is entry:
                del self._entries[key]
        _close(entry)


def _close(entry: _Entry) -> None:
    with entry.lock:
        thing, entry.thing = entry.thing, None
    if thing is not None:
        thing.close()
