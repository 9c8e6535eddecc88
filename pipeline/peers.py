"""Who connects to the sockets of the bus, and who was not let in: ZeroMQ tells a monitor, which counts."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

_COMING = zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED
_REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_TRYING = zmq.EVENT_CONNECT_DELAYED | zmq.EVENT_CONNECT_RETRIED
_TOLD = _COMING | _REFUSED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED
_GIVEN_UP_S = 1.0
"""ZeroMQ says at once that it will try again; when it has not said so for this long, it will not."""


class Peers:
    """Counts connections of some sockets, in a thread that sleeps until ZeroMQ tells something.

    Without it strangers would leave no trace: ZeroMQ drops them in silence. And a socket that connects to
    what does not speak ZeroMQ, or is sent more than it may be, gives up for ever, also in silence: `mend` has
    it try again. The thread ends when all of the sockets are closed.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended_s: dict[tuple[str, str], float] = {}
        self._connecting: set[str] = set()
        self._lock = threading.Lock()
        self._monitors: dict[zmq.Socket[Any], str] = {}
        self._connected: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def watch(
        self, opened: zmq.Socket[Any], context: zmq.Context[Any], name: str, *, connects: bool = False
    ) -> None:
        """Count the connections of a socket that is not bound or connected yet; before `start`."""
        address = f"inproc://peers-{secrets.token_hex(8)}"
        opened.monitor(address, _TOLD | _TRYING if connects else _TOLD)
        if connects:
            self._connecting.add(name)
        monitor = context.socket(zmq.PAIR)
        monitor.linger = 0
        monitor.connect(address)
        self._monitors[monitor] = name
        self._connected[name] = self._refused[name] = self._gone[name] = 0

    def start(self) -> None:
        """Start counting."""
        if self._monitors:
            self._thread = threading.Thread(target=self._work, name="bus-peers", daemon=True)
            self._thread.start()

    def counts(self, name: str) -> dict[str, int]:
        """Return how many are connected to a socket now, how many have gone, and how many were not let in.

        Strangers spoke something else than ZeroMQ, said nothing for 5 s, or showed no key that is known. Who
        has gone left by itself, or was cut off: it was silent, or said what ZeroMQ does not allow, such as a
        message beyond the bounds.
        """
        with self._lock:
            return {
                "peers": self._connected[name],
                "gone": self._gone[name],
                "strangers": self._refused[name],
            }

    def mend(self, opened: zmq.Socket[Any], name: str, addresses: Sequence[str]) -> None:
        """Connect a socket again where ZeroMQ has given up; called now and then by the socket's thread."""
        with self._lock:
            now_s = self._clock()
            given_up = [key for key, ended_s in self._ended_s.items() if now_s - ended_s >= _GIVEN_UP_S]
            given_up = [key for key in given_up if key[0] == name]
            for key in given_up:
                del self._ended_s[key]
        for _, told in given_up:
            for address in addresses:
                if address == told or len(addresses) == 1:
                    with suppress(zmq.ZMQError):
                        opened.disconnect(address)
                    opened.connect(address)

    def close(self) -> None:
        """Wait for the thread; the sockets are closed already. Safe more than once."""
        if self._thread is not None:
            self._thread.join()
        for monitor in self._monitors:
            monitor.close()
        self._monitors = {}

    def _work(self) -> None:
        poller = zmq.Poller()
        for monitor in self._monitors:
            poller.register(monitor, zmq.POLLIN)
        open_ones = len(self._monitors)
        while open_ones:
            for monitor, _ in poller.poll():
                message = recv_monitor_message(monitor)
                if message["event"] == zmq.EVENT_MONITOR_STOPPED:
                    poller.unregister(monitor)
                    open_ones -= 1
                else:
                    told, peer = message["event"], message["endpoint"].decode(errors="replace")
                    self._count(self._monitors[monitor], told, peer)

    def _count(self, name: str, told: int, peer: str) -> None:
        with self._lock:
            if name in self._connecting:
                if told == zmq.EVENT_DISCONNECTED:
                    self._ended_s[name, peer] = self._clock()
                elif told & (_COMING | _TRYING):
                    self._ended_s.pop((name, peer), None)
            if told & _COMING:
                self._connected[name] += 1
            elif told == zmq.EVENT_DISCONNECTED:
                self._connected[name] = max(0, self._connected[name] - 1)
                self._gone[name] += 1
            elif told & _REFUSED:
                self._refused[name] += 1
