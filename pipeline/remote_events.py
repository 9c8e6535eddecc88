"""Events of a box for a sink that takes them one by one and runs in a process of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

from pipeline.blame import one_line
from pipeline.event import Event
from pipeline.plugin import Sink, SinkOptions
from pipeline.unfinished import Unfinished

logger = logging.getLogger(__name__)

_MOST_KNOWN = 20_000
"""Events by whose ids doubles are told; the box sends at most a thousand ahead."""


class EventCalls:
    """Calls `Sink.on_event` with each event, once in this process's life; a `Feeder` brings them.

    An event counts as delivered when the sink has returned and, if it is not done with it (`Sink.held`), it
    is noted on the disk: so a process that was killed is followed by one that goes on with it.

    Args:
        sink: implements `on_event`.
        turn: held during each call, so that no other one comes at that time.
        unfinished: the notes; None for a sink that never holds anything.
        expect: told the stream of each event, before the sink gets it.
    """

    def __init__(
        self,
        sink: Sink,
        turn: threading.Lock,
        unfinished: Unfinished | None = None,
        expect: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._sink = sink
        self._turn = turn
        self._unfinished = unfinished
        self._expect = expect
        self._known: set[UUID] = set()
        self._order: deque[UUID] = deque()

    def takes(self, event: Event) -> bool:
        """Whether the sink serves the event's stream; what concerns none is for sinks of the journal."""
        options = self._sink.options
        return bool(event.stream) and (not isinstance(options, SinkOptions) or options.serve(event.stream))

    def resume(self) -> int:
        """Hand over again what an earlier process was not done with; return how many events that were."""
        left = [] if self._unfinished is None else self._unfinished.left()
        for event in left:
            try:
                self._call(event)
            except Exception as error:  # whatever it raises, the others have their turn
                logger.error(
                    "event %s (%s), left unfinished, is given up: %s", event.id, event.kind, one_line(error)
                )
        return len(left)

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand events over, oldest first. Whatever it raises means: later; who was taken is not again."""
        for event in events:
            self._call(event)
        if self._unfinished is not None:
            self._unfinished.keep(events)

    def settle(self) -> None:
        """Look what the sink is done with by now."""
        if self._unfinished is not None:
            self._unfinished.settle()

    def _call(self, event: Event) -> None:
        if event.id in self._known:
            return
        self._expect(event.stream)
        with self._turn:
            self._sink.on_event(event)
        self._known.add(event.id)
        self._order.append(event.id)
        if len(self._order) > _MOST_KNOWN:
            self._known.discard(self._order.popleft())
