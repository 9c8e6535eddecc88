"""A bounded hand-over between two threads, with a spelled policy for the moment it is full."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")
Policy = Literal["every", "latest"]

_HICCUP_TAKES = 5
"""A consumer that finds more than it takes so many times may still be catching up."""


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What a channel has seen so far; `waiting` and `bytes` are of this instant."""

    put: int
    taken: int
    dropped: int
    waiting: int
    bytes: int
    most_waiting: int


class Channel(Generic[Item]):
    """A queue from one producer to one consumer, bounded in items and in bytes.

    Policy "every" makes the producer wait (files: lose nothing). Policy "latest" drops the oldest waiting
    item (live: the newest wins); a consumer that is behind all the time, so that items are left over at take
    after take, gets the newest only, until it comes back before the next item is there. A single item larger
    than `capacity_bytes` passes when nothing else waits.

    Attributes:
        policy: what happens when the channel is full; may be changed while nothing waits.
        capacity_items: how many items may wait; likewise.

    Args:
        policy: the first one.
        capacity_items: the first bound.
        capacity_bytes: how many bytes may wait.
        weigh: bytes of an item.
        on_drop: called as `on_drop(dropped, following)` for each item that "latest" drops, before the
            consumer gets the item that follows it.

    Raises:
        ValueError: if a capacity is below 1.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        capacity_items: int,
        capacity_bytes: int,
        weigh: Callable[[Item], int],
        on_drop: Callable[[Item, Item], None],
    ) -> None:
        if capacity_items < 1 or capacity_bytes < 1:
            raise ValueError(f"a channel needs room, got {capacity_items} items, {capacity_bytes} bytes")
        self.policy: Policy = policy
        self.capacity_items = capacity_items
        self._capacity_bytes = capacity_bytes
        self._weigh = weigh
        self._on_drop = on_drop
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._producer_waits = False
        self._wanted = 1
        self._behind = 0
        self._put = self._taken = self._dropped = self._most_waiting = 0
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Hand over an item; waits for room under policy "every". False: the channel is closed."""
        return self.put_all((item,)) == 1

    def put_all(self, items: Sequence[Item]) -> int:
        """Hand over several items one after the other, as `put` does, but wake the consumer once.

        Returns how many were taken: all, or fewer when the channel was closed.
        """
        with self._changed:
            for place, item in enumerate(items):
                size = self._weigh(item)
                while not self._closed and not self._has_room(size):
                    if self.policy == "latest":
                        self._drop_oldest(item)
                    else:
                        self._producer_waits = True
                        self._changed.notify_all()
                        self._changed.wait()
                self._producer_waits = False
                if self._closed:
                    return place
                self._append(item, size)
            self._tell()
            return len(items)

    def put_beyond(self, item: Item, most: int) -> bool:
        """Hand over an item without waiting and without regard to the capacity, if fewer than `most` wait.

        For news that must neither hold up its producer nor drive out what waits. False: not taken.
        """
        size = self._weigh(item)
        with self._changed:
            if self._closed or len(self._items) >= most:
                return False
            self._append(item, size)
            self._tell()
            return True

    def take(
        self, most: int = 1, *, fill: bool = False, patience_s: float | None = None, whole: int = 1
    ) -> list[Item]:
        """Wait for items and take up to `most` of them, oldest first; [] once closed and empty.

        Args:
            most: the largest number of items to take.
            fill: wait until `most` items are there (or no more can come), so that batches of a file do not
                depend on timing. The wait also ends when the channel is full.
            patience_s: with `fill`, when nothing has come for so long, go on with what is there.
            whole: but then with a multiple of this.
        """
        with self._changed:
            if not self._items:
                self._behind = 0  # the consumer is back before the next item: it has caught up
            self._wanted = most if fill else 1
            while not self._closed and not self._producer_waits and len(self._items) < self._wanted:
                if not self._changed.wait(patience_s) and len(self._items) >= whole:
                    most = len(self._items) // whole * whole
                    break
            self._catch_up(most)
            batch = [self._pop() for _ in range(min(most, len(self._items)))]
            self._producer_waits = False
            self._taken += len(batch)
            self._changed.notify_all()
            return batch

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is accepted."""
        return self._closed

    def close(self) -> None:
        """Accept nothing more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> list[Item]:
        """Close, and return what was waiting so that it can be accounted for."""
        with self._changed:
            self._closed = True
            left = [self._pop() for _ in range(len(self._items))]
            self._dropped += len(left)
            self._changed.notify_all()
            return left

    def statistics(self) -> ChannelStatistics:
        """Return counters since the start and the present filling."""
        with self._changed:
            return ChannelStatistics(
                self._put, self._taken, self._dropped, len(self._items), self._bytes, self._most_waiting
            )

    def _append(self, item: Item, size: int) -> None:
        self._items.append((item, size))
        self._bytes += size
        self._put += 1
        self._most_waiting = max(self._most_waiting, len(self._items))

    def _tell(self) -> None:
        if len(self._items) >= self._wanted:  # to wake a thread costs more than most of what it does
            self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        if not self._items:
            return True
        return len(self._items) < self.capacity_items and self._bytes + size <= self._capacity_bytes

    def _catch_up(self, most: int) -> None:
        """Under "latest", drop all but the newest for a consumer that has been behind for a while."""
        left_over = len(self._items) - most
        if left_over > 0:
            self._behind += 1
        if self.policy == "latest" and self._behind > _HICCUP_TAKES and not self._closed:
            for _ in range(left_over):
                self._drop_oldest(self._items[-1][0])

    def _drop_oldest(self, newer: Item) -> None:
        dropped = self._pop()
        self._dropped += 1
        following = self._items[0][0] if self._items else newer
        self._on_drop(dropped, following)

    def _pop(self) -> Item:
        item, size = self._items.popleft()
        self._bytes -= size
        return item
