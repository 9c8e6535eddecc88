"""Where the streams of one run meet: takes what each hands in, in an order that no thread decides.

Recordings run as fast as the box allows, one ahead of the other. For equal results at each run, everything is
decided in the order of UTC: a recording that is ahead waits, in `advance`, until the others have come as far.
None of them waits for one that is ahead, so they cannot wait for each other in a circle. Cameras never wait.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.identify.book import Book
from stages.identify.options import IdentifyOptions
from stages.identify.records import Match, Outcome, Record

_END_NS = 1 << 62
_PATIENCE_S = 30.0
"""For so long a recording waits for another one that does not move, e.g. while its network is loaded."""
_MOST_WAITING = 100_000


@dataclass(slots=True, eq=False)
class _Seat:
    """One stream: how far it has come, and what was decided for it."""

    holders: int = 0
    live: bool = False
    given_up: bool = False  # until it moves again
    upto_ns: int = -_END_NS
    outbox: list[Outcome] = field(default_factory=list)


class Exchange:
    """Shared by the stages of one run that have the same options; safe to use from all threads.

    Args:
        options: of the stages.
        clock: monotonic seconds.
        patience_s: how long a recording waits for another one that does not move.
    """

    def __init__(
        self,
        options: IdentifyOptions,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._book = Book(options)
        self._clock = clock
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._seats: dict[str, _Seat] = {}
        self._queue: list[tuple[tuple[int, str, int], Record]] = []
        self._given_up = 0
        self._dropped = 0

    def join(self, stream: str) -> None:
        """Announce a stream, before any of them runs: the others wait for it from then on."""
        with self._changed:
            self._seats.setdefault(stream, _Seat()).holders += 1

    def streams(self) -> list[str]:
        """Return all streams that have been here."""
        with self._changed:
            return list(self._seats)

    def begin(self, stream: str, *, live: bool) -> None:
        """Say whether a stream sets its own pace."""
        with self._changed:
            self._seats[stream].live = live
            self._changed.notify_all()

    def leave(self, stream: str) -> None:
        """Say that a stream has ended; nobody waits for it any more."""
        with self._changed:
            seat = self._seats[stream]
            seat.holders -= 1
            if seat.holders <= 0:
                seat.upto_ns = _END_NS
            self._changed.notify_all()

    def advance(self, stream: str, upto_ns: int, records: Sequence[Record]) -> list[Outcome]:
        """Hand in what a stream knows up to a moment; return what was decided for it up to then.

        Args:
            stream: whose.
            upto_ns: UTC; everything of this stream that is ready by then has been handed in.
            records: new ones.
        """
        with self._changed:
            seat = self._seats[stream]
            for record in records:
                heapq.heappush(self._queue, (record.key, record))
            while len(self._queue) > _MOST_WAITING:
                heapq.heappop(self._queue)
                self._dropped += 1
            seat.upto_ns, seat.given_up = max(seat.upto_ns, upto_ns), False
            self._changed.notify_all()
            if not seat.live:
                self._wait(upto_ns)
            self._decide(upto_ns)
            outcomes, seat.outbox = seat.outbox, []
            return outcomes

    def finish(self, stream: str, records: Sequence[Record]) -> list[Outcome]:
        """Hand in the last of a stream, and return what is decided for it; it may come again."""
        last_ns = max((record.ready_ns for record in records), default=-_END_NS)
        with self._changed:
            last_ns = max(last_ns, self._seats[stream].upto_ns)
        return self.advance(stream, last_ns, records)

    def statistics(self) -> dict[str, Any]:
        """Return what was matched and learned, as plain values."""
        with self._changed:
            said = self._book.statistics()
            if self._given_up:
                said["not_waited_for"] = self._given_up  # results may differ from run to run
            if self._dropped:
                said["records_dropped"] = self._dropped
            return said

    def close(self) -> None:
        """Forget everybody; what was remembered of them is in no file."""
        with self._changed:
            self._queue.clear()
            self._seats.clear()
            self._book.forget()
            self._changed.notify_all()

    def _behind(self, upto_ns: int) -> list[_Seat]:
        """Return the recordings that are waited for, as they have not come so far."""
        return [
            seat
            for seat in self._seats.values()
            if seat.upto_ns < upto_ns and not seat.live and not seat.given_up
        ]

    def _wait(self, upto_ns: int) -> None:
        """Wait until the other recordings have come as far; those that do not move at all are given up."""
        before, since_s = -1, self._clock()
        while behind := self._behind(upto_ns):
            slowest = min(seat.upto_ns for seat in behind)
            if slowest != before:
                before, since_s = slowest, self._clock()
            elif self._clock() - since_s > self._patience_s:
                self._given_up += len(behind)
                for seat in behind:
                    seat.given_up = True
                return
            self._changed.wait(0.05)

    def _decide(self, upto_ns: int) -> None:
        """Decide on everything that is ready, in order, and put it where its stream finds it."""
        while self._queue and self._queue[0][0][0] <= upto_ns:
            _, record = heapq.heappop(self._queue)
            for outcome in self._book.take(record):
                who = outcome.came.who if isinstance(outcome, Match) else outcome.alert.who
                seat = self._seats.get(who[0])
                if seat is not None and len(seat.outbox) < _MOST_WAITING:
                    seat.outbox.append(outcome)
