"""Brings one stream's packets to one sink: by a bounded queue and a thread, so that none holds up another."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from pipeline.backoff import Backoff, KeeperOptions
from pipeline.blame import one_line
from pipeline.condition import Reason
from pipeline.packet import Packet, PacketFormat
from pipeline.secret import without_credentials

logger = logging.getLogger(__name__)

IDLE_S = 1.0
"""How often a sink is asked what is due."""
_PATIENCE_S = 30.0
"""How long a recording waits for a sink that takes nothing; then its packets are dropped."""
_PAUSES = KeeperOptions(retry_s=1.0, retry_most_s=30.0)
_DETAIL_CHARACTERS = 300


class Taking(Protocol):
    """What a feed needs of a `PacketSink`."""

    @property
    def queue_bytes(self) -> int:
        """How many bytes of packets may wait for it."""

    @property
    def queue_s(self) -> float:
        """How many seconds of media may wait for it."""

    def open_packets(self, form: PacketFormat) -> None:
        """Prepare for packets."""

    def on_packet(self, packet: Packet) -> None:
        """Take one."""

    def on_idle(self, stream: str) -> None:
        """Do what is due."""

    def close_packets(self, stream: str) -> None:
        """Finish."""


Item = PacketFormat | Packet | None
"""What waits in the queue; None: the connection has ended."""


class Feed:
    """Hands one stream's packets to one sink, in a thread of its own.

    A live stream never waits: what does not fit is dropped, and all that follows up to the next key frame.
    A recording waits, unless the sink takes nothing for half a minute.

    Args:
        name: of the sink.
        stream: name of the stream.
        sink: takes the packets.
        tell: told as `tell(data)` when the sink has failed or is behind, and when it works again.
        clock: monotonic seconds.
        draw: random numbers in 0..1 for the pauses after failures.
        patience_s: how long a recording waits for a sink that takes nothing.
    """

    def __init__(
        self,
        name: str,
        stream: str,
        sink: Taking,
        tell: Callable[[Mapping[str, Any]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.name = name
        self._stream = stream
        self._sink = sink
        self._tell = tell
        self._clock = clock
        self._backoff = Backoff(_PAUSES) if draw is None else Backoff(_PAUSES, draw)
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._queue: deque[Item] = deque()
        self._bytes = 0
        self._live = True
        self._skipping = False
        self._closed = False
        self._taken = 0
        self._lost: Counter[str] = Counter()
        self._trouble = ""
        # Of the thread only:
        self._form: PacketFormat | None = None
        self._is_open = False
        self._next: int | None = None
        self._next_try_s = 0.0
        self._known_lost = 0
        self._is_behind = False
        self._thread = threading.Thread(target=self._work, name=f"{stream}-{name}", daemon=True)

    def start(self) -> None:
        """Start handing over."""
        self._thread.start()

    def begin(self, form: PacketFormat) -> None:
        """Announce the format of what follows."""
        with self._changed:
            self._live = form.live
            self._skipping = False
            self._append(form, 0)

    def put(self, packet: Packet) -> None:
        """Queue a packet; drop it where there is no room."""
        size = len(packet.data)
        with self._changed:
            if self._closed or (self._skipping and not packet.is_key):
                self._lost["queue full"] += not self._closed
                return
            has_room = self._has_room(packet) or (not self._live and self._waited_for(packet))
            self._skipping = not has_room
            if has_room:
                self._append(packet, size)
            else:
                self._lost["queue full"] += 1

    def over(self) -> None:
        """Tell that the connection has ended: nothing of its format follows."""
        with self._changed:
            # A connection of which nothing came or fitted: while the sink hangs they must not pile up.
            if self._queue and isinstance(self._queue[-1], PacketFormat):
                self._queue.pop()
            if not self._queue or self._queue[-1] is not None:
                self._append(None, 0)

    def close(self, timeout_s: float) -> bool:
        """Let the sink take what waits, for so long, and end; return whether it has come to its end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        with self._changed:
            self._lost["stopped"] += sum(isinstance(item, Packet) for item in self._queue)
            self._queue.clear()
        return not self._thread.is_alive()

    @property
    def trouble(self) -> str:
        """Why the sink does not work, one line; "" while it does."""
        return self._trouble

    def statistics(self) -> dict[str, Any]:
        """Return `taken`, `lost` by cause, `waiting` packets, `error` (one line or None)."""
        with self._changed:
            return {
                "taken": self._taken,
                "lost": dict(self._lost),
                "waiting": sum(isinstance(item, Packet) for item in self._queue),
                "error": self._trouble or None,
            }

    def _append(self, item: Item, size: int) -> None:
        self._queue.append(item)
        self._bytes += size
        self._changed.notify_all()

    def _has_room(self, packet: Packet) -> bool:
        if not self._bytes:
            return True
        oldest = next(item for item in self._queue if isinstance(item, Packet))
        is_near = packet.moment.pts_s - oldest.moment.pts_s <= self._sink.queue_s
        return is_near and self._bytes + len(packet.data) <= self._sink.queue_bytes

    def _waited_for(self, packet: Packet) -> bool:
        """Wait for room as long as packets are taken; return whether there is some."""
        ends_s, taken = self._clock() + self._patience_s, self._taken
        while not self._has_room(packet) and not self._closed:
            if not self._changed.wait(min(1.0, self._patience_s)) and self._clock() >= ends_s:
                return False
            if self._taken != taken:
                ends_s, taken = self._clock() + self._patience_s, self._taken
        return not self._closed

    def _work(self) -> None:
        due_s = self._clock()
        while (items := self._next_item(due_s)) is not None:
            for item in items:
                self._handle(item)
            if self._clock() >= due_s:
                self._guarded(lambda: self._sink.on_idle(self._stream))
                self._note_losses()
                due_s = self._clock() + IDLE_S
        self._close_sink()

    def _next_item(self, until_s: float) -> list[Item] | None:
        """Return the next item, or none when nothing has come until then; None once all is over."""
        with self._changed:
            if not self._queue and not self._closed:
                self._changed.wait(max(0.0, until_s - self._clock()))
            if not self._queue:
                return None if self._closed else []
            item = self._queue.popleft()
            if isinstance(item, Packet):
                self._bytes -= len(item.data)
                self._changed.notify_all()
            return [item]

    def _handle(self, item: Item) -> None:
        if isinstance(item, Packet):
            self._hand_over(item)
            return
        self._close_sink()
        self._form = item
        self._next = None

    def _hand_over(self, packet: Packet) -> None:
        form = self._form
        if form is None or packet.run != form.run:
            return
        if not self._is_open:
            if not packet.is_key:
                return
            if self._clock() < self._next_try_s:
                self._lose("failed")
                return
            if not self._guarded(lambda: self._open(form)):
                self._lose("failed")
                return
        if self._next is not None and packet.sequence != self._next and not packet.is_key:
            return  # what a loss has left up to the next key frame
        if not self._guarded(lambda: self._sink.on_packet(packet)):
            self._lose("failed")
            return
        self._next = packet.sequence + 1
        with self._changed:
            self._taken += 1
        if self._trouble and self._clock() >= self._next_try_s:
            self._recovered()

    def _open(self, form: PacketFormat) -> None:
        self._next = None
        self._is_open = True  # what has half opened is closed, too
        self._sink.open_packets(form)

    def _lose(self, cause: str) -> None:
        with self._changed:
            self._lost[cause] += 1

    def _guarded(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:  # whatever a sink raises, its stream goes on
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        detail = without_credentials(one_line(error))[:_DETAIL_CHARACTERS]
        self._close_sink()
        self._next_try_s = self._clock() + self._backoff.after(Reason.FAILED)
        logger.debug("sink '%s' of stream '%s' failed", self.name, self._stream, exc_info=error)
        if detail != self._trouble:
            logger.error(
                "stream '%s': sink '%s' failed and is tried again: %s", self._stream, self.name, detail
            )
            self._trouble = detail
            self._say("failed", detail)

    def _recovered(self) -> None:
        self._backoff.succeeded()
        self._trouble = ""
        logger.warning("stream '%s': sink '%s' works again", self._stream, self.name)
        self._say("working", "")

    def _note_losses(self) -> None:
        """Tell when packets begin to find the queue full, and when they no longer do."""
        with self._changed:
            lost = self._lost["queue full"]
        new, self._known_lost = lost - self._known_lost, lost
        if self._trouble or (new > 0) == self._is_behind:
            return
        self._is_behind = new > 0
        if self._is_behind:
            detail = f"too slow: its queue is full, {new} packets were dropped in a second"
            logger.error("stream '%s': sink '%s' is %s", self._stream, self.name, detail)
            self._say("behind", detail)
        else:
            logger.warning("stream '%s': sink '%s' keeps up again", self._stream, self.name)
            self._say("working", "")

    def _say(self, state: str, detail: str) -> None:
        with self._changed:
            lost = sum(self._lost.values())
        self._tell({"sink": self.name, "state": state, "detail": detail, "lost_packets": lost})

    def _close_sink(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        with suppress(Exception):
            self._sink.close_packets(self._stream)
