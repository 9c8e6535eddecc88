"""The receiving side of reliable events: every one, in order, over restarts of either side."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgpack
import zmq

from pipeline.address import check_address
from pipeline.curve import Credentials
from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.reliable import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS, VERSION

_PING_S = 2.0
_MOST_MESSAGE_BYTES = 64 << 20


class Numbered(NamedTuple):
    """An event and its number on the box that it comes from."""

    seq: int
    event: Event


class ReliableListener:
    """Receives what is in a box's journal under a name; for one thread.

    It may start before the box does and outlives its restarts. An event is acknowledged when the next one is
    asked for (or by `acknowledge`), so one that was being worked on when this program died comes again.

    Args:
        endpoint: the box's `bus.reliable` address.
        name: by which the box knows this consumer; one program at a time may use it.
        kinds: prefixes of the kinds that are wanted ("line."), all when empty.
        from_start: if the box does not know the name yet: all that it still has, not only what is new.
        credentials: for an encrypted bus.

    Raises:
        ConfigError: if the endpoint is no address.
    """

    def __init__(
        self,
        endpoint: str,
        name: str,
        *,
        kinds: Sequence[str] = (),
        from_start: bool = False,
        credentials: Credentials | None = None,
    ) -> None:
        self._hello = {
            "type": "join",
            "name": name,
            "kinds": list(kinds),
            "from": "start" if from_start else "resume",
        }
        self._box = ""
        self._seen = 0  # everything up to this number was handed out, or is not wanted
        self._given: int | None = None
        self._waiting: deque[Numbered] = deque()
        self._upto = 0
        self._joined = False
        self._asked_s = -_PING_S
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 200
        self._socket.rcvhwm = 16
        self._socket.sndhwm = 16
        self._socket.maxmsgsize = _MOST_MESSAGE_BYTES
        self._socket.heartbeat_ivl = HEARTBEAT_MS
        self._socket.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
        self._socket.reconnect_ivl = 100
        self._socket.reconnect_ivl_max = 2_000
        if credentials is not None:
            credentials.show(self._socket)
        try:
            self._socket.connect(check_address(endpoint))
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def receive(self, timeout_s: float | None = None) -> Numbered | None:
        """Acknowledge the event before and wait for the next; None when `timeout_s` went by without one.

        Raises:
            SinkError: if another program took this name, or the box refused it.
        """
        self.acknowledge()
        ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if self._waiting:
                found = self._waiting.popleft()
                self._given = found.seq
                return found
            now_s = time.monotonic()
            if ends_s is not None and now_s >= ends_s:
                return None
            self._keep_in_touch(now_s)
            left_s = _PING_S if ends_s is None else min(_PING_S, ends_s - now_s)
            if self._socket.poll(max(1, int(left_s * 1e3))):
                self._take(self._socket.recv_multipart())

    def acknowledge(self) -> None:
        """Say that the event that was received last is done with; the box need not keep it."""
        if self._given is not None:
            self._seen = max(self._seen, self._given)
            self._given = None
            if not self._waiting:
                self._seen = max(self._seen, self._upto)
                self._send({"type": "ack", "seq": self._seen})

    def __iter__(self) -> Iterator[Numbered]:
        """Yield events for ever."""
        while True:
            found = self.receive()
            if found is not None:
                yield found

    async def __aiter__(self) -> AsyncIterator[Numbered]:
        """Yield events for ever, waiting in a thread of its own."""
        while True:
            found = await asyncio.to_thread(self.receive, 0.5)
            if found is not None:
                yield found

    def close(self) -> None:
        """Disconnect; what was received last and not acknowledged comes again. Safe more than once."""
        if not self._socket.closed and self._seen:
            self._send({"type": "ack", "seq": self._seen})
        self._context.destroy(linger=200)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep_in_touch(self, now_s: float) -> None:
        """Join, or show that we are there; a box that was started anew asks us to join again."""
        if now_s - self._asked_s >= _PING_S:
            self._asked_s = now_s
            self._send({"type": "ping"} if self._joined else self._hello)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.send(msgpack.packb({"v": VERSION, **message}), zmq.NOBLOCK)
        except zmq.Again:  # nobody is there; it is said again
            self._asked_s = -_PING_S

    def _take(self, parts: Sequence[bytes]) -> None:
        try:
            message = msgpack.unpackb(parts[0])
            kind = message["type"] if message["v"] == VERSION else ""
        except Exception:  # whatever a stranger sends
            return
        if kind == "unknown":
            self._joined, self._asked_s = False, -_PING_S
        elif kind == "joined":
            if message["box"] != self._box:  # another journal: its numbers begin anew
                self._box, self._seen = message["box"], message["acknowledged"]
                self._waiting.clear()
            self._joined = True
            self._upto = max(self._seen, message["acknowledged"])
        elif kind == "events" and message["box"] == self._box:
            self._take_events(message, parts[1:])
        elif kind == "replaced":
            raise SinkError(f"another program took the name '{self._hello['name']}'; use one name a program")
        elif kind == "refused":
            raise SinkError(f"the box refused '{self._hello['name']}': {message.get('why')}")

    def _take_events(self, message: dict[str, Any], bodies: Sequence[bytes]) -> None:
        newest = max(self._seen, self._waiting[-1].seq if self._waiting else 0, self._given or 0)
        for seq, body in zip(message["seqs"], bodies, strict=True):
            if seq > newest:  # after a restart of the box some come twice
                self._waiting.append(Numbered(seq, Event.from_dict(msgpack.unpackb(body))))
        self._upto = max(self._upto, message["upto"])
        if not self._waiting and self._given is None:
            self._seen = max(self._seen, self._upto)
            self._send({"type": "ack", "seq": self._seen})
