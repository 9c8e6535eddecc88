"""A wire on loopback that can be tampered with: a TCP proxy between a source and its server."""

from __future__ import annotations

import asyncio
import math
import random
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Address = tuple[str, int]

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on with 0 seconds: closing sends RST."""


class _Pair:
    """One client's connection and, unless the proxy is silent, the one to the server that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self.client = client
        self.server = server
        self.reset = False
        self.tasks: list[asyncio.Task[None]] = []

    def close(self) -> None:
        for side in (self.client, self.server):
            if side is not None:
                with suppress(OSError):
                    if self.reset:
                        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side.close()


class FaultProxy:
    """Forwards every connection to `target`, and does harm when told to; use it as a context manager.

    One thread serves all connections, so that tests can count the threads of what they test. Every method
    may be called from any thread and has taken effect when it returns.

    Args:
        target: the server's host and port; may be set anew for connections to come.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self.port = 0
        self._delay_s = 0.0
        self._bytes_per_s: float | None = None
        self._flips: tuple[random.Random, float] | None = None
        self._silent = False
        self._allowance: int | None = None
        self._pairs: set[_Pair] = set()
        self._accepted = 0
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._listener: socket.socket | None = None
        self._is_listening = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        if self._listener is not None:
            self._listener.close()

    @property
    def address(self) -> Address:
        """Where it listens."""
        return ("127.0.0.1", self.port)

    @property
    def connections(self) -> int:
        """Connections accepted so far."""
        return self._accepted

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return len(self._pairs)

    def accept(self) -> None:
        """Listen, on the same port as before; this is how it starts."""
        self._call(self._listen)

    def refuse(self) -> None:
        """Close the port to new connections; those that are open stay."""
        self._call(self._unlisten)

    def cut(self, *, reset: bool = False) -> None:
        """Close every open connection, with FIN or with RST."""
        self._call(lambda: self._cut(reset=reset))

    def stall(self, after_bytes: int = 0) -> None:
        """Forward nothing any more once `after_bytes` more have gone to clients; connections stay open.

        This is the cable pulled out behind a switch. New connections are accepted, and nothing is said.
        """
        if after_bytes:
            self._call(lambda: setattr(self, "_allowance", after_bytes))
        else:
            self._call(self._flowing.clear)

    def silence(self) -> None:
        """Accept new connections and say nothing, without any server behind; open ones go on."""
        self._call(lambda: setattr(self, "_silent", True))

    def resume(self) -> None:
        """Undo `stall` and `silence`. Connections accepted in silence stay silent."""
        self._call(self._resume)

    def delay(self, seconds: float) -> None:
        """Hold back everything for `seconds`, in both directions."""
        self._call(lambda: setattr(self, "_delay_s", seconds))

    def throttle(self, bytes_per_s: float | None) -> None:
        """Let through at most so much to each client; None for no limit."""
        self._call(lambda: setattr(self, "_bytes_per_s", bytes_per_s))

    def half_close(self) -> None:
        """Tell every client that nothing more will come, and go on listening to it."""
        self._call(lambda: self._each_client(lambda client: client.shutdown(socket.SHUT_WR)))

    def garbage(self, data: bytes) -> None:
        """Put `data` into what goes to every client, wherever that falls."""
        self._call(lambda: self._each_client(lambda client: client.send(data)))

    def corrupt(self, rate: float, seed: int = 0) -> None:
        """Change every byte that goes to clients with the probability `rate`; 0 ends it."""
        self._call(lambda: setattr(self, "_flips", (random.Random(seed), rate) if rate else None))

    # What follows runs in the proxy's thread.

    def _listen(self) -> None:
        if not self._is_listening:
            self._listener = self._listener or self._bound()
            self._listener.listen(512)
            self._loop.add_reader(self._listener, self._take_client, self._listener)
            self._is_listening = True

    def _unlisten(self) -> None:
        if self._is_listening and self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._is_listening = False
            self._listener = self._bound()  # refuses, and keeps others from taking the port meanwhile

    def _bound(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        return listener

    def _take_client(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it has gone away again
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._accepted += 1
        pair = _Pair(client, None)
        self._pairs.add(pair)
        pair.tasks.append(self._loop.create_task(self._serve(pair, silent=self._silent)))

    async def _serve(self, pair: _Pair, *, silent: bool) -> None:
        try:
            if silent:
                while await self._loop.sock_recv(pair.client, _CHUNK):
                    pass
                return
            pair.server = server = socket.socket()
            server.setblocking(False)
            await self._loop.sock_connect(server, self.target)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = self._loop.create_task(self._pump(pair.client, server, down=False))
            down = self._loop.create_task(self._pump(server, pair.client, down=True))
            pair.tasks += [up, down]
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        except OSError:
            pass
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _pump(self, source: socket.socket, drain: socket.socket, *, down: bool) -> None:
        """Forward until one side has ended, which ends both."""
        with suppress(OSError):
            while data := await self._loop.sock_recv(source, _CHUNK):
                await self._flowing.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if down and self._allowance is not None:
                    data, rest = data[: self._allowance], data[self._allowance :]
                    self._allowance -= len(data)
                    await self._loop.sock_sendall(drain, data)
                    if self._allowance > 0:
                        continue
                    self._allowance = None
                    self._flowing.clear()
                    await self._flowing.wait()
                    data = rest
                if down and self._flips is not None:
                    data = _flipped(data, *self._flips)
                await self._loop.sock_sendall(drain, data)
                if down and self._bytes_per_s is not None:
                    await asyncio.sleep(len(data) / self._bytes_per_s)

    async def _cut(self, *, reset: bool) -> None:
        pairs = list(self._pairs)
        tasks = [task for pair in pairs for task in pair.tasks]
        for pair in pairs:
            pair.reset = reset
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pair in pairs:  # a task that was cancelled before its first step has closed nothing
            self._pairs.discard(pair)
            pair.close()

    def _resume(self) -> None:
        self._silent = False
        self._allowance = None
        self._flowing.set()

    def _each_client(self, work: Callable[[socket.socket], object]) -> None:
        for pair in self._pairs:
            with suppress(OSError):
                work(pair.client)

    def _call(self, work: Callable[[], Awaitable[None] | None]) -> None:
        """Run `work` in the proxy's thread and wait until it is done."""

        async def run() -> None:
            result = work()
            if result is not None:
                await result

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)


def _flipped(data: bytes, rng: random.Random, rate: float) -> bytes:
    changed = bytearray(data)
    decay = -math.log1p(-rate) if rate < 1 else math.inf
    position = int(rng.expovariate(decay))  # bytes between two changed ones are distributed geometrically
    while position < len(changed):
        changed[position] ^= rng.randrange(1, 256)
        position += 1 + int(rng.expovariate(decay))
    return bytes(changed)
