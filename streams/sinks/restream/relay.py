"""A TCP connection that FFmpeg uses through loopback, so that it can be timed, secured and cut.

FFmpeg's own time-outs do not reach all of its protocols: a server that stops reading would hold its thread
for ever. And it checks no certificates.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from contextlib import suppress

from pipeline.errors import SinkError

_BUFFER_BYTES = 256 * 1024
"""Of each socket and of what waits between them: what is on its way when the line is slow is old."""
_CHUNK_BYTES = 65536

_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """One connection to a server, with a port on loopback where one program may use it.

    Attributes:
        port: of loopback; whoever connects first has it.
        failure: why it ended, one line; "" while it goes on and after `close`.
        sent: bytes that went to the server.

    Args:
        host: name or address of the server.
        port: of the server.
        timeout_s: for connecting, and for how long the server may take nothing.
        context: of TLS; None for none.

    Raises:
        SinkError: if the server cannot be reached, with the reason.
    """

    def __init__(
        self, host: str, port: int, *, timeout_s: float, context: ssl.SSLContext | None = None
    ) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._context = context
        self.failure = ""
        self.sent = 0
        self._clear = threading.Event()
        self._clear.set()
        self._ended = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._work, name=f"relay-{host}", daemon=True)
        self._thread.start()
        try:
            self.port = self._ready.result()
        except OSError as error:
            raise SinkError(reason_of(error, timeout_s)) from error

    def is_clear(self, timeout_s: float) -> bool:
        """Wait until the server takes what it is sent, or all has ended; return whether that came to be."""
        return self._clear.wait(timeout_s)

    def settle(self, quiet_s: float, timeout_s: float) -> None:
        """Wait until nothing more is sent for a while."""
        ends_s = time.monotonic() + timeout_s
        before = -1
        while self._thread.is_alive() and before != self.sent and time.monotonic() < ends_s:
            before = self.sent
            self._ended.wait(quiet_s)

    def close(self) -> None:
        """Cut the connection; from any thread, more than once."""
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # its loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(self._timeout_s)

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except OSError as error:
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._clear.set()
            self._ended.set()
            if not self._ready.done():
                self._ready.set_exception(OSError("the relay ended"))

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        host, port = self._address
        async with asyncio.timeout(self._timeout_s):
            far = await asyncio.open_connection(
                host, port, ssl=self._context, server_hostname=host if self._context else None
            )
        stopping = asyncio.create_task(self._stop.wait())
        carrying = asyncio.create_task(self._carry(far))
        try:
            await asyncio.wait({stopping, carrying}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            carrying.cancel()
            far[1].transport.abort()

    async def _carry(self, far: _Ends) -> None:
        raw = far[1].get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        with socket.create_server(("127.0.0.1", 0)) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            door.setblocking(False)
            self._ready.set_result(door.getsockname()[1])
            inside, _ = await asyncio.get_running_loop().sock_accept(door)
        near = await asyncio.open_connection(sock=inside)
        out = asyncio.create_task(self._pump(near[0], far[1], "it stopped reading"))
        back = asyncio.create_task(self._pump(far[0], near[1], "", "it closed the connection"))
        try:
            await asyncio.wait({out, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            out.cancel()
            back.cancel()
            near[1].transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, stuck: str, over: str = ""
    ) -> None:
        target.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        try:
            while data := await source.read(_CHUNK_BYTES):
                target.write(data)
                if stuck:
                    self._clear.clear()
                async with asyncio.timeout(self._timeout_s):
                    await target.drain()
                if stuck:
                    self._clear.set()
                    self.sent += len(data)
            self.failure = self.failure or over
        except TimeoutError:
            self.failure = self.failure or (stuck and f"{stuck} for {self._timeout_s:g} s")
        except OSError as error:
            self.failure = self.failure or reason_of(error, self._timeout_s)
        # What is written last (the end of a recording) still goes out.
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                target.close()
                await target.wait_closed()


def reason_of(error: OSError, timeout_s: float) -> str:
    """Return why a server cannot be reached, for a person."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}); give ca_file"
        case ssl.SSLError():
            return f"no TLS with it ({error.reason or error}); is the port the right one?"
        case socket.gaierror():
            return "its name cannot be resolved; check url and the network"
        case TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case ConnectionRefusedError():
            return "nothing listens there"
        case ConnectionResetError() | BrokenPipeError():
            return "it closed the connection"
        case _:
            return error.strerror or str(error)
