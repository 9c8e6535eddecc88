"""The receiving side of reliable events: every one, in order, over restarts of either side."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgpack
import zmq
from zmq.utils.monitor import recv_monitor_message

from pipeline.address import check_address
from pipeline.curve import Credentials
from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.place import HANDSHAKE_MS, HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
from pipeline.receiver import Receiver
from pipeline.reliable import VERSION
from pipeline.wire import printable

logger = logging.getLogger(__name__)

_PING_S = 2.0
_GIVEN_UP_S = 10.0
"""ZeroMQ gives up for ever what does not speak as it does; after so long without the box we connect anew."""
_MOST_MESSAGE_BYTES = 64 << 20
_REFUSED_KEY = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_REFUSED_KEY |= zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


class Numbered(NamedTuple):
    """An event and its number on the box that it comes from."""

    seq: int
    event: Event


class ReliableListener(Receiver[Numbered]):
    """Receives what is in a box's journal under a name; for one thread.

    It may start before the box does and outlives its restarts. An event is acknowledged when the next one is
    asked for (or by `acknowledge`), so one that was being worked on when this program died comes again.

    Args:
        endpoint: the box's `bus.reliable` address.
        name: by which the box knows this consumer; one program at a time may use it.
        kinds: prefixes of the kinds that are wanted ("line."), all when empty.
        from_start: if the box does not know the name yet: all that it still has, not only what is new.
        credentials: for an encrypted bus.

    Attributes:
        box: identity of the box's journal, "" before it has answered; numbers belong to a journal.
        connected: whether the box is there, as far as is known.
        handshakes_failed: how often its encryption, or ours, refused the other.
        refused: messages that broke the protocol; they were ignored.
        doubts: what the box doubts of our `kinds`, a line each: those that nothing in its run emits. Also
            logged as warnings.

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
        self.box = ""
        self.connected = False
        self.handshakes_failed = self.refused = 0
        self.doubts: tuple[str, ...] = ()
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
        self._socket.handshake_ivl = HANDSHAKE_MS
        self._socket.reconnect_ivl = 100
        self._socket.reconnect_ivl_max = 2_000
        if credentials is not None:
            credentials.show(self._socket)
        self._there_s = time.monotonic()
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _REFUSED_KEY
        )
        try:
            self._endpoint = check_address(endpoint)
            self._socket.connect(self._endpoint)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def receive(self, timeout_s: float | None = None) -> Numbered | None:
        """Acknowledge the event before and wait for the next; None when `timeout_s` went by without one.

        Raises:
            SinkError: if another program took this name, or the box refused it.
        """
        self.acknowledge()
        found = self.take(1, timeout_s)
        return found[0] if found else None

    def take(self, most: int, timeout_s: float | None = None) -> list[Numbered]:
        """Wait for events and hand out up to `most`, oldest first; none when `timeout_s` went by.

        Nothing is acknowledged: `acknowledge` does it once they are done with.

        Raises:
            SinkError: if another program took this name, or the box refused it.
        """
        ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if self._waiting:
                found = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
                self._given = found[-1].seq
                return found
            now_s = time.monotonic()
            self._keep_in_touch(now_s)
            left_s = _PING_S if ends_s is None else min(_PING_S, max(0.0, ends_s - now_s))
            if self._socket.poll(math.ceil(left_s * 1e3)):
                self._take(self._socket.recv_multipart())
            elif ends_s is not None and time.monotonic() >= ends_s:
                return []

    def attend(self) -> None:
        """Show the box that we are here, and take in what it sends, without handing anything out.

        To be called now and then by who works for long on what it has: without it a box that was started
        again does not know who is here.

        Raises:
            SinkError: as `take`.
        """
        self._keep_in_touch(time.monotonic())
        while self._socket.poll(0):
            self._take(self._socket.recv_multipart())
        self._keep_in_touch(time.monotonic())  # where it was asked to join again

    def acknowledge(self, upto: int | None = None) -> None:
        """Say that events are done with, so that the box need not keep them.

        Args:
            upto: number of the last of them, whatever else is still being worked on. None: all that were
                handed out; the box then learns of it once nothing more waits here.
        """
        done = self._given if upto is None else upto
        if done is None:
            return
        self._seen = max(self._seen, done)
        if self._given is not None and done >= self._given:
            self._given = None
        if not self._waiting and self._given is None:
            self._seen = max(self._seen, self._upto)
        elif upto is None:
            return
        self._send(self._last_said())

    def close(self) -> None:
        """Disconnect; what was received last and not acknowledged comes again. Safe more than once."""
        if not self._socket.closed and self._seen:
            self._send(self._last_said())
        self._context.destroy(linger=200)

    def _put_back(self, found: Numbered | None) -> None:
        """Have what was handed out to nobody come again."""
        if found is not None:
            self._waiting.appendleft(found)
            self._given = None

    def _keep_in_touch(self, now_s: float) -> None:
        """Join, or show that we are there; a box that was started anew asks us to join again."""
        while self._monitor.poll(0):
            happened = int(recv_monitor_message(self._monitor)["event"])
            self.handshakes_failed += bool(happened & _REFUSED_KEY)
            self.connected = happened == zmq.EVENT_HANDSHAKE_SUCCEEDED
        if now_s - self._asked_s >= _PING_S:
            self._asked_s = now_s
            if self.connected:
                self._there_s = now_s
            elif now_s - self._there_s >= _GIVEN_UP_S:
                self._there_s = now_s
                with suppress(zmq.ZMQError):
                    self._socket.disconnect(self._endpoint)
                self._socket.connect(self._endpoint)
            self._send(self._last_said() if self._joined else self._hello)

    def _last_said(self) -> dict[str, Any]:
        """Return what is acknowledged; again as a sign of life, as it may have found no room before.

        It names the box, as it may arrive when another journal is served there already.
        """
        return {"type": "ack", "seq": self._seen, "box": self.box} if self._seen else {"type": "ping"}

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.send(msgpack.packb({"v": VERSION, **message}), zmq.NOBLOCK)
        except zmq.Again:  # nobody is there; it is said again
            self._asked_s = -_PING_S

    def _take(self, parts: Sequence[bytes]) -> None:
        try:
            message = msgpack.unpackb(parts[0])
            kind = message["type"] if message["v"] == VERSION else ""
            if kind == "unknown":
                self._joined, self._asked_s = False, -_PING_S
            elif kind == "joined":
                self._take_joined(message["box"], int(message["acknowledged"]))
                self._take_doubts(message.get("doubts", []))
            elif kind == "events" and message["box"] == self.box:
                self._take_events(message, parts[1:])
            elif kind not in ("events", "replaced", "refused"):
                self.refused += 1
        except Exception:  # whatever a stranger sends
            self.refused += 1
            return
        if kind == "replaced":
            raise SinkError(f"another program took the name '{self._hello['name']}'; use one name a program")
        if kind == "refused":
            why = printable(str(message.get("why")))
            raise SinkError(f"the box refused '{self._hello['name']}': {why}")

    def _take_joined(self, box: str, acknowledged: int) -> None:
        if box != self.box:  # another journal: its numbers begin anew
            self.box, self._seen, self._given = box, acknowledged, None
            self._waiting.clear()
        self._joined = True
        # A box that does not know the name then has lost its journal: all that the new one has is new to us.
        self._hello["from"] = "start"
        self._upto = max(self._seen, acknowledged)

    def _take_doubts(self, doubts: Sequence[str]) -> None:
        before, self.doubts = self.doubts, tuple(printable(doubt, 200) for doubt in doubts[:64])
        for doubt in self.doubts:
            if doubt not in before:  # a box that was started again says the same
                logger.warning("%s: %s", self._endpoint, doubt)

    def _take_events(self, message: dict[str, Any], bodies: Sequence[bytes]) -> None:
        newest = max(self._seen, self._waiting[-1].seq if self._waiting else 0, self._given or 0)
        upto = int(message["upto"])
        for seq, body in zip(message["seqs"], bodies, strict=True):
            if seq > newest:  # after a restart of the box some come twice
                self._take_event(seq, body)
        self._upto = max(self._upto, upto)
        if not self._waiting and self._given is None:
            self._seen = max(self._seen, self._upto)
            self._send(self._last_said())

    def _take_event(self, seq: int, body: bytes) -> None:
        try:
            self._waiting.append(Numbered(seq, Event.from_dict(msgpack.unpackb(body))))
        except Exception:  # of another version: those that came with it are not lost by it
            self.refused += 1
