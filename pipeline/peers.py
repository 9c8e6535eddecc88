"""Who connects to the sockets of the bus, and who was not let in: ZeroMQ tells a monitor, which counts."""

from __future__ import annotations

import secrets
import threading
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

_COMING = zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED
_REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_TOLD = _COMING | _REFUSED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED


class Peers:
    """Counts connections of some sockets, in a thread that sleeps until ZeroMQ tells something.

    Without it strangers would leave no trace: ZeroMQ drops them in silence. The thread ends when all of the
    sockets are closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._monitors: dict[zmq.Socket[Any], str] = {}
        self._connected: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def watch(self, opened: zmq.Socket[Any], context: zmq.Context[Any], name: str) -> None:
        """Count the connections of a socket that is not bound or connected yet; before `start`."""
        address = f"inproc://peers-{secrets.token_hex(8)}"
        opened.monitor(address, _TOLD)
        monitor = context.socket(zmq.PAIR)
        monitor.linger = 0
        monitor.connect(address)
        self._monitors[monitor] = name
        self._connected[name] = self._refused[name] = 0

    def start(self) -> None:
        """Start counting."""
        if self._monitors:
            self._thread = threading.Thread(target=self._work, name="bus-peers", daemon=True)
            self._thread.start()

    def counts(self, name: str) -> dict[str, int]:
        """Return how many are connected to a socket now, and how many were not let in so far.

        These spoke something else than ZeroMQ, said nothing for 5 s, or showed no key that is known.
        """
        with self._lock:
            return {"peers": self._connected[name], "strangers": self._refused[name]}

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
                told = recv_monitor_message(monitor)["event"]
                if told == zmq.EVENT_MONITOR_STOPPED:
                    poller.unregister(monitor)
                    open_ones -= 1
                else:
                    self._count(self._monitors[monitor], told)

    def _count(self, name: str, told: int) -> None:
        with self._lock:
            if told & _COMING:
                self._connected[name] += 1
            elif told == zmq.EVENT_DISCONNECTED:
                self._connected[name] = max(0, self._connected[name] - 1)
            elif told & _REFUSED:
                self._refused[name] += 1
