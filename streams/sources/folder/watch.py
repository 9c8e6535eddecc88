"""Finds the files that are new in a folder and complete; remembers only the latest of them."""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.sources.box_clock import BoxClock
from streams.sources.folder.listing import Entry, Listing

_BATCH = 1024
_REMEMBERED = 4096
_MARGIN_NS = 2 * 10**9  # the coarsest clock of a file system
_RELIST_S = 10.0


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    changed_s: float
    first_s: float
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A file to be read.

    Attributes:
        entry: the file.
        last_chance: True when it has been waited for long enough: it is read now, or lost.
    """

    entry: Entry
    last_chance: bool


class FolderWatch:
    """Finds new files by looking again and again.

    New is what changed (was written, moved there, or renamed) since the last look, by the file system's own
    clock. What was handed over and changes again is new again. Complete is what has not changed for
    `settle_s` and is not refused by whoever reads it.

    Args:
        listing: of the folder.
        clock: of this box.
        order: sorts files that are new at the same time.
        settle_s: how long a file must stay as it is, seconds.
        patience_s: how long a file that cannot be read yet is waited for, seconds.
    """

    def __init__(
        self,
        listing: Listing,
        clock: BoxClock,
        order: Callable[[Entry], Any],
        *,
        settle_s: float,
        patience_s: float,
    ) -> None:
        self._listing = listing
        self._clock = clock
        self._order = order
        self._settle_s = settle_s
        self._patience_s = patience_s
        self._since_ns = 0
        self._floor_ns = 0
        self._done: OrderedDict[Path, Entry] = OrderedDict()
        self._waiting: dict[Path, _Waiting] = {}
        self._existing: deque[Entry] = deque()
        self._folder_ns: int | None = None
        self._listed_s = -_RELIST_S

    def start(self, *, read_existing: bool) -> None:
        """Take note of what is there; it is handed over first, or never.

        Raises:
            SourceError: see `Listing.entries`.
        """
        if not read_existing:
            latest = heapq.nlargest(_REMEMBERED, self._listing.entries(), key=_changed_ns)
        else:
            fresh_ns = self._clock.utc_ns() - round(self._patience_s * 1e9)
            old = [entry for entry in self._listing.entries() if entry.changed_ns < fresh_ns]
            latest = heapq.nlargest(_REMEMBERED, old, key=_changed_ns)
            self._existing = deque(sorted(old, key=self._order))
        for entry in reversed(latest):
            self._done[entry.path] = entry
        if len(latest) == _REMEMBERED:  # there are more than can be told apart by name
            self._floor_ns = latest[-1].changed_ns
        self._forget(latest[0].changed_ns if latest else 0)

    @property
    def waiting_for(self) -> Path | None:
        """A file that cannot be read yet, None when there is none."""
        return next((path for path, waiting in self._waiting.items() if waiting.refused), None)

    def ready(self) -> list[Ready]:
        """Look, and return what can be read now, in order; what is not complete yet holds up what follows it.

        Each is to be answered with `done` or `refuse`.

        Raises:
            SourceError: see `Listing.entries`.
        """
        if self._existing:
            return [Ready(self._existing.popleft(), last_chance=True)]
        now_s = self._clock.monotonic_s()
        self._look(now_s)
        found = []
        for waiting in sorted(self._waiting.values(), key=lambda one: self._order(one.entry)):
            last_chance = now_s - waiting.first_s >= self._patience_s
            settled = now_s - waiting.changed_s >= self._settle_s and not waiting.refused
            if not settled and not last_chance:
                break
            found.append(Ready(waiting.entry, last_chance))
        return found

    def done(self, entry: Entry) -> None:
        """Note that a file was read, or given up."""
        self._waiting.pop(entry.path, None)
        if entry.changed_ns < self._oldest_new_ns:  # can never be new again as it is
            return
        self._done[entry.path] = entry
        self._done.move_to_end(entry.path)
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    def refuse(self, entry: Entry) -> None:
        """Note that a file cannot be read yet; it is handed over again when it has changed, or at the end."""
        if entry.path in self._waiting:
            self._waiting[entry.path].refused = True

    @property
    def _oldest_new_ns(self) -> int:
        return max(self._since_ns - _MARGIN_NS, self._floor_ns)

    def _look(self, now_s: float) -> None:
        for entry in self._changed(now_s):
            waiting = self._waiting.get(entry.path)
            if waiting is None:
                self._waiting[entry.path] = _Waiting(entry, now_s, now_s)
            elif waiting.entry != entry:
                waiting.entry, waiting.changed_s, waiting.refused = entry, now_s, False

    def _changed(self, now_s: float) -> list[Entry]:
        """Return what is new or waits, as it is now; drop what waits no more."""
        folder_ns = self._listing.changed_ns()
        # Listing a folder of 100,000 files takes a tenth of a second; it changes when its list does.
        same = folder_ns is not None and folder_ns == self._folder_ns
        self._folder_ns = folder_ns
        if same and now_s - self._listed_s < _RELIST_S:
            present = [entry for path in self._waiting for entry in self._listing.entry(path)]
        else:
            present = self._listed()
            if (
                not same
            ):  # once more after a change: a file may come within the same tick of the folder's clock
                self._listed_s = -_RELIST_S
            else:
                self._listed_s = now_s
        there = {entry.path for entry in present}
        self._waiting = {path: one for path, one in self._waiting.items() if path in there}
        return present

    def _listed(self) -> list[Entry]:
        newest_ns = self._since_ns

        def is_new(entry: Entry) -> bool:
            nonlocal newest_ns
            newest_ns = max(newest_ns, entry.changed_ns)
            done = self._done.get(entry.path)
            is_done = done is not None and done.version == entry.version
            return not is_done

        entries = self._listing.entries(self._oldest_new_ns)
        new = heapq.nsmallest(_BATCH, filter(is_new, entries), key=_changed_ns)
        self._forget(new[0].changed_ns if new else newest_ns)
        return new

    def _forget(self, since_ns: int) -> None:
        self._since_ns = max(self._since_ns, since_ns)
        for path in [p for p, entry in self._done.items() if entry.changed_ns < self._oldest_new_ns]:
            del self._done[path]


def _changed_ns(entry: Entry) -> int:
    return entry.changed_ns
