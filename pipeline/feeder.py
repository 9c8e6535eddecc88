"""Brings the journal's events to one consumer, in order, until it has them: whatever it takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pipeline.backoff import Backoff, KeeperOptions
from pipeline.blame import one_line
from pipeline.condition import Reason
from pipeline.errors import EventsRefused
from pipeline.event import Event
from pipeline.journal import Entry

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How long to wait for events before looking whether to stop."""
_DETAIL_CHARACTERS = 300


class Outbox(Protocol):
    """What a feeder needs of the journal."""

    def read(self, after: int, most: int) -> list[Entry]:
        """Return up to `most` entries above `after`."""

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait for entries above `after`."""

    def wake(self) -> None:
        """End all waiting."""

    def join(self, name: str, *, from_start: bool = False) -> int:
        """Make a consumer known; return what it has."""

    def acknowledge(self, name: str, seq: int) -> None:
        """Note what a consumer has."""


@dataclass(frozen=True, slots=True)
class FeederStatus:
    """Where a consumer stands.

    Attributes:
        acknowledged: it has everything up to this number.
        delivered: events that it took in this run.
        refused: events that it will never take, left out.
        failures: failed tries since the last that went well.
        detail: why the last try failed, one line; "" when it went well.
        next_try_s: seconds that were drawn for the pause before the next try.
    """

    acknowledged: int
    delivered: int = 0
    refused: int = 0
    failures: int = 0
    detail: str = ""
    next_try_s: float = 0.0


class Feeder:
    """Reads, delivers, acknowledges; tries again for ever. One thread.

    What was delivered but not acknowledged before the process ended is delivered again: at least once, in
    order, with ids that let the other end drop doubles.

    Args:
        name: of the consumer in the journal.
        outbox: the journal.
        deliver: hands over events and returns when the other end has them. Whatever it raises means: later,
            but for `EventsRefused`.
        wants: which events it takes; the others count as delivered.
        batch: most events at once.
        from_start: a consumer that is not known yet gets all that is kept.
        options: the pauses between tries.
        draw: random numbers in 0..1 for them.
    """

    def __init__(
        self,
        name: str,
        outbox: Outbox,
        deliver: Callable[[Sequence[Event]], None],
        *,
        wants: Callable[[Event], bool] = lambda _: True,
        batch: int = 500,
        from_start: bool = False,
        options: KeeperOptions | None = None,
        draw: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self._outbox = outbox
        self._deliver = deliver
        self._wants = wants
        self._batch = batch
        pauses = options or KeeperOptions()
        self._backoff = Backoff(pauses) if draw is None else Backoff(pauses, draw)
        self._draining = threading.Event()
        self._stopped = threading.Event()
        self._until = 0
        self.status = FeederStatus(outbox.join(name, from_start=from_start))
        self._thread = threading.Thread(target=self._work, name=f"feed-{name}", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def stop(self, until: int, timeout_s: float) -> bool:
        """Deliver what the journal has up to `until`, for at most so long, then end.

        Returns:
            Whether all of it was delivered; the rest stays in the journal for the next run.
        """
        self._until = until
        self._draining.set()
        self._outbox.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
            self._stopped.set()
            self._thread.join(_LOOK_S)
        return self.status.acknowledged >= until

    def _work(self) -> None:
        while not self._is_over():
            after = self.status.acknowledged
            if not self._outbox.wait(after, _LOOK_S):
                continue
            try:
                entries = self._outbox.read(after, self._batch)
                if entries:
                    self._hand_over(entries)
            except Exception as error:  # whatever a sink raises, its events are not lost
                self._pause(error)

    def _is_over(self) -> bool:
        if self._stopped.is_set():
            return True
        return self._draining.is_set() and self.status.acknowledged >= self._until

    def _hand_over(self, entries: list[Entry]) -> None:
        events = [event for event in (entry.event() for entry in entries) if self._wants(event)]
        refused = 0
        while events:
            try:
                self._deliver(events)
                break
            except EventsRefused as refusal:
                left = [event for place, event in enumerate(events) if place not in refusal.reasons]
                if len(left) == len(events):  # who refuses none of them would be asked without a pause
                    raise
                for place, why in refusal.reasons.items():
                    logger.error(
                        "sink '%s' will never take event %s (%s): %s; it is left out",
                        self.name,
                        events[place].id,
                        events[place].kind,
                        why,
                    )
                refused += len(refusal.reasons)
                events = left
        if self.status.detail:
            logger.warning("sink '%s' takes events again", self.name)
        self._backoff.succeeded()
        last = entries[-1].seq
        self.status = FeederStatus(last, self.status.delivered + len(events), self.status.refused + refused)
        self._outbox.acknowledge(self.name, last)

    def _pause(self, error: Exception) -> None:
        if self._stopped.is_set() and self.status.detail:  # cut short: the reason is what it was before
            return
        detail = one_line(error)[:_DETAIL_CHARACTERS]
        pause_s = self._backoff.after(Reason.FAILED)
        if self.status.detail != detail:
            logger.warning("sink '%s' takes no events (%s); they are kept and tried again", self.name, detail)
        self.status = replace(
            self.status, failures=self.status.failures + 1, detail=detail, next_try_s=pause_s
        )
        self._stopped.wait(pause_s)
