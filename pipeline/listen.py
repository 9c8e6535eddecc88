"""The receiving side of the bus: messages checked, gaps counted, stale pictures skipped."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import zmq

from pipeline.curve import Credentials
from pipeline.errors import ConfigError
from pipeline.peers import Peers
from pipeline.place import HANDSHAKE_MS, HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS, connectable
from pipeline.receiver import Receiver
from pipeline.wire import (
    EVENT_TOPIC,
    FRAME_TOPIC,
    MAX_PAYLOAD_BYTES,
    PACKET_TOPIC,
    RAW_TOPIC,
    STATUS_TOPIC,
    Message,
    WireError,
    decode,
)

FAMILIES = (EVENT_TOPIC, STATUS_TOPIC, FRAME_TOPIC, RAW_TOPIC, PACKET_TOPIC)
"""What topics begin with."""
_EVENTS_QUEUED = 100_000
_FRAMES_QUEUED = 2
_PACKETS_QUEUED = 512
_ALL_FRAMES_QUEUED = 64
_FRAMES_BUFFER_BYTES = 64 << 10
_RECONNECT_MS = 100
_RECONNECT_MAX_MS = 5_000
_LOOK_S = 0.5
_IN_A_ROW = 32  # events handed out while a frame waits: they come first, but must not keep it back for ever
_MOST_TOPICS = 1024  # with a frame that waits here; a publisher that invents topics must not fill the memory
_DRAINED = 256  # frames looked at before one is handed out, so that a flood cannot hold the listener
_AWAY_S = 0.01
"""A reader that worked for longer may find older frames first: newer ones wait in the kernel behind them."""
_MORE_MS = 2
"""How long ZeroMQ's thread takes to bring more of them, where there are more."""


class Received(NamedTuple):
    """A message, and how many of its topic were lost on the way right before it."""

    message: Message
    lost: int


class Listener(Receiver[Received]):
    """Subscribes to one or more buses and hands out their messages; for one thread.

    It may start before the bus does and outlives its restarts: ZeroMQ connects again by itself. Events,
    states and packets come all and in order. Of frames that pile up behind a slow reader only each stream's
    newest is handed out, so that it is never far behind; what it does not get is counted.

    Args:
        endpoints: addresses to connect to, e.g. `["tcp://127.0.0.1:5577"]`.
        topics: prefixes of `event/<stream>`, `status/<stream>`, `frame/<stream>` and `packet/<stream>`;
            "event/" covers every stream, "" everything, and "event/gate" the streams `gate` and `gate2`.
        credentials: for an encrypted bus.
        newest: False to have all frames that come, in order, for who keeps up and wants to miss none. Up to
            64 wait here; a reader that is slower gets old ones.

    Raises:
        ConfigError: if an endpoint is no address, or a topic can never match.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        topics: Sequence[str] = (EVENT_TOPIC,),
        credentials: Credentials | None = None,
        *,
        newest: bool = True,
    ) -> None:
        if not endpoints or not topics:
            raise ConfigError("name at least one endpoint and one topic to listen to")
        addresses = [connectable(endpoint) for endpoint in dict.fromkeys(endpoints)]
        for topic in topics:
            if not any(_narrowed(topic, family) for family in FAMILIES):
                raise ConfigError(f"no message has the topic {topic!r}; write {_listed(FAMILIES)}")
        self._skips = newest
        self._handed_s = 0.0
        self._was_away = False
        self._gaps = GapCounter()
        self._newest: OrderedDict[str, Received] = OrderedDict()
        self._in_a_row = 0
        self._again: Received | None = None
        self._received = self._lost = self._stale = self._refused = 0
        self._credentials = credentials
        self._addresses = addresses
        self._peers = Peers()
        self._subscribers: list[zmq.Socket[bytes]] = []
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        try:
            self._events = self._subscribed(addresses, topics, (EVENT_TOPIC, STATUS_TOPIC), _EVENTS_QUEUED)
            self._packets = self._subscribed(addresses, topics, (PACKET_TOPIC,), _PACKETS_QUEUED)
            queued, buffered = (_FRAMES_QUEUED, _FRAMES_BUFFER_BYTES) if newest else (_ALL_FRAMES_QUEUED, -1)
            self._frames = self._subscribed(addresses, topics, (FRAME_TOPIC, RAW_TOPIC), queued, buffered)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._peers.start()

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """Wait for the next message; None when `timeout_s` (None: no limit) went by without one."""
        begun_s = time.monotonic()
        deadline = None if timeout_s is None else begun_s + timeout_s
        self._was_away |= begun_s - self._handed_s > _AWAY_S
        while True:
            received = self._next_of_all()
            if received is not None:
                self._received += 1
                self._handed_s = time.monotonic()
                return received
            self._mend()
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            self._poller.poll(max(1, int(min(_LOOK_S, _LOOK_S if left_s is None else left_s) * 1e3)))

    @property
    def lost(self) -> int:
        """Messages that were lost on the way, as the jumps of their numbers tell."""
        return self._lost

    @property
    def stale(self) -> int:
        """Frames that came, and that a newer one replaced before they were asked for."""
        return self._stale

    def statistics(self) -> Mapping[str, int]:
        """Return how many messages were received (handed out), lost on the way, stale, and refused.

        `stale` counts frames that a newer one replaced before they were asked for, `refused` messages that
        break the protocol.
        """
        return {
            "received": self._received,
            "lost": self._lost,
            "stale": self._stale,
            "refused": self._refused,
        }

    def close(self) -> None:
        """Disconnect. Safe more than once."""
        for subscriber in self._subscribers:
            subscriber.close()
        self._peers.close()
        self._context.destroy(linger=0)

    def _mend(self) -> None:
        for number, subscriber in enumerate(self._subscribers):
            if not subscriber.closed:
                self._peers.mend(subscriber, f"{number}", self._addresses)

    def _subscribed(
        self,
        addresses: Sequence[str],
        topics: Sequence[str],
        families: Sequence[str],
        queued: int,
        receive_buffer_bytes: int = -1,
    ) -> zmq.Socket[bytes]:
        """Connect a socket for the topics of some families; without any it stays silent."""
        wanted = {
            narrowed for topic in topics for family in families if (narrowed := _narrowed(topic, family))
        }
        subscriber = self._context.socket(zmq.SUB)
        subscriber.linger = 0
        subscriber.rcvhwm = queued
        subscriber.rcvbuf = receive_buffer_bytes
        subscriber.maxmsgsize = MAX_PAYLOAD_BYTES
        subscriber.heartbeat_ivl = HEARTBEAT_MS
        subscriber.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
        subscriber.handshake_ivl = HANDSHAKE_MS
        subscriber.reconnect_ivl = _RECONNECT_MS
        subscriber.reconnect_ivl_max = _RECONNECT_MAX_MS
        if self._credentials is not None:
            self._credentials.show(subscriber)
        for topic in wanted:
            subscriber.subscribe(topic)
        self._peers.watch(subscriber, self._context, f"{len(self._subscribers)}", connects=True)
        self._subscribers.append(subscriber)
        if wanted:
            for address in addresses:
                subscriber.connect(address)
        self._poller.register(subscriber, zmq.POLLIN)
        return subscriber

    def _next(self, subscriber: zmq.Socket[bytes]) -> Received | None:
        """Return the next valid message that is already here."""
        # Asking first costs a third of a `recv` that finds nothing, as that raises.
        while int(subscriber.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            try:
                message = decode(subscriber.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return None
            except WireError:
                self._refused += 1
                continue
            lost = self._gaps.before(message)
            self._lost += lost
            return Received(message, lost)
        return None

    def _put_back(self, received: Received | None) -> None:
        """Have what was handed out to nobody come again."""
        if received is not None:
            self._again = received
            self._received -= 1

    def _next_of_all(self) -> Received | None:
        """Return an event, else a packet, else a frame; after many in a row the others have their turn."""
        if self._again is not None:
            again, self._again = self._again, None
            return again
        self._in_a_row += 1
        if self._in_a_row >= _IN_A_ROW:
            self._in_a_row = 0
            return self._next_frame() or self._next(self._packets) or self._next(self._events)
        received = self._next(self._events) or self._next(self._packets)
        if received is None:
            self._in_a_row = 0
            received = self._next_frame()
        return received

    def _next_frame(self) -> Received | None:
        if not self._skips:
            return self._next(self._frames)
        drained = 0
        while drained < _DRAINED and len(self._newest) < _MOST_TOPICS:
            received = self._next(self._frames)
            if received is None:
                # A queue that was full has room now, for what waits behind it.
                if self._was_away and drained >= _FRAMES_QUEUED and self._frames.poll(_MORE_MS):
                    continue
                break
            drained += 1
            topic = received.message.topic
            replaced = self._newest.get(topic)
            if replaced is not None:
                self._stale += 1
                received = Received(received.message, received.lost + replaced.lost)
            self._newest[topic] = received
        self._was_away = False
        return self._newest.popitem(last=False)[1] if self._newest else None


class GapCounter:
    """Counts what is missing between the messages of a topic, by their numbers `n`.

    The latest number of at most `capacity` topics is kept; one that comes back after being forgotten starts
    without a gap, like one that is new.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._latest: OrderedDict[tuple[str, str], int] = OrderedDict()

    def before(self, message: Message) -> int:
        """Take note of `message` and return how many of its topic are missing before it."""
        key = (message.bus, message.topic)
        previous = self._latest.pop(key, message.n - 1)
        self._latest[key] = message.n
        if len(self._latest) > self._capacity:
            self._latest.popitem(last=False)
        return max(0, message.n - previous - 1)


def _narrowed(topic: str, family: str) -> str | None:
    """Return the part of subscription `topic` that concerns `family` ("event/"), None when none does."""
    if topic.startswith(family):
        return topic
    return family if family.startswith(topic) else None


def _listed(families: Sequence[str]) -> str:
    names = [f"{family}STREAM" for family in families]
    return f"{', '.join(names[:-1])} or {names[-1]}"
