"""One publishing socket of the bus: who subscribes to what, and the numbers of its messages."""

from __future__ import annotations

import threading
from collections.abc import Callable

import zmq

from pipeline.curve import Guard
from pipeline.peers import Peers
from pipeline.place import Place, attach

MAX_SUBSCRIPTION_BYTES = 4096
MAX_SUBSCRIPTIONS = 4096


class Publisher:
    """One XPUB socket with its lock (ZeroMQ sockets are not thread-safe) and its sequence numbers.

    Args:
        context: of the bus.
        place: where it binds, or the hub that it connects to.
        guard: keeps strangers out.
        peers: counts who connects.
        name: for `peers`.
        queued: most messages that wait for each subscriber.
        linger_ms: how long closing waits for what is queued.
        send_buffer_bytes: of the kernel, -1 for its default.
        keeps: whether what is queued for a hub waits for it while it is away. Without, a hub that is away
            subscribes to nothing, so that nothing is drawn for it.

    Raises:
        ConfigError: if the address is none.
        SinkError: if it cannot be bound.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        place: Place,
        guard: Guard,
        peers: Peers,
        name: str,
        *,
        queued: int,
        linger_ms: int,
        send_buffer_bytes: int = -1,
        keeps: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, int] = {}
        self._subscriptions = Subscriptions()
        self._name = name
        self._peers = peers
        self._sent = self._unsent = self._nonsense = 0
        self._socket = context.socket(zmq.XPUB)
        self._socket.linger = linger_ms
        self._socket.sndhwm = queued
        self._socket.sndbuf = send_buffer_bytes
        self._socket.maxmsgsize = MAX_SUBSCRIPTION_BYTES
        self._socket.immediate = not keeps
        try:
            peers.watch(self._socket, context, name, connects=place.connects)
            self.endpoint = attach(self._socket, place, guard)
            self._connected_to = [self.endpoint] if place.connects else []
        except BaseException:
            self._socket.close()
            raise

    def wanted(self, topic: str) -> bool:
        """Return whether a subscription covers `topic`."""
        with self._lock:
            self._read_subscriptions()
            return self._subscriptions.cover(topic.encode())

    def send(self, topic: str, encoded: Callable[[int], list[bytes]]) -> bool:
        """Send what `encoded` makes of the topic's next number, without waiting."""
        with self._lock:
            self._read_subscriptions()
            n = self._next.get(topic, 0)
            parts = encoded(n)
            self._next[topic] = n + 1
            try:
                self._socket.send_multipart(parts, zmq.NOBLOCK)
            except zmq.ZMQError:
                self._unsent += 1
                return False
            self._sent += 1
            return True

    def statistics(self) -> dict[str, int]:
        """Return what was sent and what not, how many topics are subscribed to, who is there, who is not."""
        with self._lock:
            self._read_subscriptions()
            return {
                "sent": self._sent,
                "unsent": self._unsent,
                "subscriptions": len(self._subscriptions),
                "refused": self._nonsense,
                **self._peers.counts(self._name),
            }

    def close(self) -> None:
        """Close the socket; safe more than once."""
        with self._lock:
            self._socket.close()

    def _read_subscriptions(self) -> None:
        if self._connected_to and not self._socket.closed:
            self._peers.mend(self._socket, self._name, self._connected_to)
        # Asking costs a third of a `recv` that finds nothing, as that raises: it is done for each packet.
        while not self._socket.closed and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            if not self._subscriptions.update(self._socket.recv(zmq.NOBLOCK)):
                self._nonsense += 1


class Subscriptions:
    """The topic prefixes somebody subscribes to, as XPUB tells them: the first to come, the last to go.

    At most `MAX_SUBSCRIPTIONS` are kept. Beyond that everything counts as wanted until all are gone:
    drawing for nobody is the smaller harm.

    Attributes:
        changes: how often they have changed.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._prefixes: set[bytes] = set()
        self._unknown = 0

    def __len__(self) -> int:
        return len(self._prefixes) + self._unknown

    def update(self, message: bytes) -> bool:
        """Take a subscription (1, prefix) or its end (0, prefix); return False for anything else."""
        prefix = message[1:]
        self.changes += 1
        if message[:1] == b"\x01":
            if len(self._prefixes) < MAX_SUBSCRIPTIONS:
                self._prefixes.add(prefix)
            else:
                self._unknown += 1
        elif message[:1] == b"\x00":
            if prefix in self._prefixes:
                self._prefixes.remove(prefix)
            else:
                self._unknown = max(0, self._unknown - 1)
        else:
            return False
        return True

    def wanted(self) -> set[bytes]:
        """Return the prefixes that are wanted; all of them is the empty one."""
        return {b""} if self._unknown else set(self._prefixes)

    def cover(self, topic: bytes) -> bool:
        """Return whether some prefix of `topic` is subscribed to."""
        return self._unknown > 0 or any(topic[:end] in self._prefixes for end in range(len(topic) + 1))
