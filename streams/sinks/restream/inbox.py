"""What waits to be sent: bounded, and what does not fit is lost from key frame to key frame, oldest first."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Item]):
    """An item in an inbox.

    Attributes:
        item: a packet or a picture.
        pts_s: its media time.
        nbytes: what it holds.
        can_start: whether it needs none before it.
    """

    item: Item
    pts_s: float
    nbytes: int
    can_start: bool


class Inbox(Generic[Item]):
    """Hands items from the thread that has them to the one that sends them. Safe for both.

    Args:
        most_items: how many may wait.
        most_bytes: and how much they may hold.
        most_s: and how much media time they may span.
    """

    def __init__(self, *, most_items: int, most_bytes: int, most_s: float) -> None:
        self._most = (most_items, most_bytes, most_s)
        self._items: deque[Waiting[Item]] = deque()
        self._bytes = 0
        self._is_cut = False  # the next that is taken must be able to start
        self._is_over = False
        self._is_flowing = True
        self._dropped = 0
        self._changed = threading.Condition()

    @property
    def dropped(self) -> int:
        """How many items were lost because they did not fit."""
        return self._dropped

    @property
    def is_over(self) -> bool:
        """Whether it was finished and is empty."""
        return self._is_over and not self._items

    def flow(self, is_flowing: bool) -> None:
        """Tell whether what is put here is sent; nobody waits for room in a line that is down."""
        with self._changed:
            self._is_flowing = is_flowing
            self._changed.notify_all()

    def put(self, waiting: Waiting[Item], *, wait: bool = False) -> None:
        """Lay down an item; with `wait`, once there is room or nothing is sent any more."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._fits(waiting) or self._is_over or not self._is_flowing)
            if self._is_over:
                return
            if self._is_cut and not self._items and not waiting.can_start:
                self._dropped += 1
                return
            self._is_cut = False
            self._items.append(waiting)
            self._bytes += waiting.nbytes
            while self._is_too_much():
                self._drop_oldest()
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Waiting[Item] | None:
        """Return the oldest item, None if there is none within the time or ever again."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_over, timeout_s)
            if not self._items:
                return None
            waiting = self._items.popleft()
            self._bytes -= waiting.nbytes
            self._changed.notify_all()
            return waiting

    def finish(self, *, empty: bool = False) -> None:
        """Take nothing more; with `empty`, forget what waits."""
        with self._changed:
            self._is_over = True
            if empty:
                self._dropped += len(self._items)
                self._items.clear()
                self._bytes = 0
            self._changed.notify_all()

    def _fits(self, waiting: Waiting[Item]) -> bool:
        items, nbytes, seconds = self._most
        if not self._items:
            return True
        span_s = abs(waiting.pts_s - self._items[0].pts_s)
        return len(self._items) < items and self._bytes + waiting.nbytes <= nbytes and span_s <= seconds

    def _is_too_much(self) -> bool:
        items, nbytes, seconds = self._most
        if len(self._items) < 2:
            return False
        span_s = abs(self._items[-1].pts_s - self._items[0].pts_s)
        return len(self._items) > items or self._bytes > nbytes or span_s > seconds

    def _drop_oldest(self) -> None:
        """Drop the oldest item and those that need it."""
        while self._items:
            gone = self._items.popleft()
            self._bytes -= gone.nbytes
            self._dropped += 1
            if self._items and self._items[0].can_start:
                return
        self._is_cut = True
