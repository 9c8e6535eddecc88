"""The HTTP server, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from pipeline.errors import SinkError
from streams.sinks.live.access import COOKIE, Access
from streams.sinks.live.handlers import Handlers
from streams.sinks.live.options import LiveOptions
from streams.sinks.live.stream import LiveStream
from streams.sinks.live.viewers import Viewers
from streams.sinks.live.webrtc import Peers, is_installed

logger = logging.getLogger(__name__)

_SWEEP_S = 1.0
_SILENT_S = 10.0
_KEEP_ALIVE_S = 30.0
_FREE_CONNECTIONS = 16
_CONNECTIONS_PER_VIEWER = 6
"""Browsers open up to six connections to one server."""
_MOST_BODY_BYTES = 64 << 10
_CLOSE_S = 1.0
_UNTAKEN_MS = 30_000
_WRONG_S = 0.5
_MOST_WRONG = 20
_STATIC_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Server": "sightline",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LiveServer:
    """Serves all streams on one port until it is closed.

    Attributes:
        url: of the page, with the real port.

    Args:
        options: of the sink.

    Raises:
        SinkError: if the address cannot be had, or the certificate is none.
    """

    def __init__(self, options: LiveOptions) -> None:
        self._context = _tls(options)
        self._options = options
        self._access = Access(options)
        self._lock = threading.Lock()
        self._streams: dict[str, LiveStream] = {}
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._wrong = 0
        self._malformed = _Malformed(logger)
        self._unasked: dict[RequestHandler, asyncio.TimerHandle] = {}
        # Viewers come again and again with HLS; three segments without a request, and one is gone.
        away_s = max(3 * options.segment_s, 10.0)
        self._viewers = Viewers(options.max_viewers, away_s, self._loop.time)
        self._peers = None if options.webrtc is False or not is_installed() else Peers(self._viewers.leave)
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="live-http", daemon=True)
        self._thread.start()
        try:
            port = started.result()
        except OSError as error:
            self._thread.join()
            raise SinkError(
                f"cannot serve on {options.host} port {options.port}: {_reason(error)}; "
                "stop the program that uses it or choose another `port` (0: a free one) or `host`"
            ) from error
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.url = f"{'https' if self._context else 'http'}://{host}:{port}/"

    def stream(self, name: str) -> LiveStream:
        """Return what is offered of a stream; from now on it is listed. Any thread may ask."""
        with self._lock:
            known = self._streams.get(name)
            if known is None:
                known = LiveStream(name, self._options, self._loop)
                self._streams[name] = known
            return known

    def close(self) -> None:
        """End all connections; safe more than once."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self, started: Future[int]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(started))
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            else:
                logger.exception("the live server failed")
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _serve(self, started: Future[int]) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=_MOST_BODY_BYTES)
        app.on_response_prepare.append(_add_headers)
        handlers = Handlers(
            self._options, self._streams, self._viewers, self._peers, lambda: self._malformed.count
        )
        handlers.add_to(app)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=self._malformed,
            handler_cancellation=True,
            keepalive_timeout=_KEEP_ALIVE_S,
            shutdown_timeout=_CLOSE_S,
        )
        await runner.setup()
        try:
            listening = await self._loop.create_server(
                lambda: self._accept(runner),
                self._options.host,
                self._options.port,
                ssl=self._context,
                ssl_handshake_timeout=_SILENT_S if self._context else None,
            )
            started.set_result(listening.sockets[0].getsockname()[1])
            await self._watch()
            listening.close()
            await self._end()
        finally:
            await runner.cleanup()

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_S):
                    await self._stopping.wait()
                return
            for stream in list(self._streams.values()):
                stream.sweep()

    async def _end(self) -> None:
        if self._peers is not None:
            await self._peers.close()
        for stream in list(self._streams.values()):
            stream.finish()
        await asyncio.sleep(0)  # what was told to end gets its turn
        for stream in list(self._streams.values()):
            stream.close()

    def _accept(self, runner: web.AppRunner) -> asyncio.BaseProtocol:
        server = runner.server
        most = _FREE_CONNECTIONS + _CONNECTIONS_PER_VIEWER * self._options.max_viewers
        if server is None or len(server.connections) >= most:
            return _Refuse()
        handler = server()
        self._unasked[handler] = self._loop.call_later(_SILENT_S, self._drop_silent, handler)
        return handler

    def _drop_silent(self, handler: RequestHandler) -> None:
        """Let go who has connected and asked nothing."""
        del self._unasked[handler]
        if handler.transport is not None:
            handler.transport.abort()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        waits = self._unasked.pop(request.protocol, None)
        if waits is not None:
            waits.cancel()
            _bound_waiting(request)
        if not self._access.knows_host(request.host):
            raise web.HTTPMisdirectedRequest(
                text="this box is not known by that name: use its address, or set `names` of the sink live\n"
            )
        try:
            allowed = self._access.allows(
                request.headers.get("Authorization", ""),
                request.query.get("token", ""),
                request.cookies.get(COOKIE, ""),
            )
        except SinkError as error:
            logger.warning("sink 'live': nobody can be let in: %s", error)
            raise web.HTTPServiceUnavailable(text="the secret cannot be read at the moment\n") from None
        if not allowed:
            raise await self._refusal()
        try:
            return await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            logger.warning("sink 'live': %s %s failed: %s", request.method, request.path, error)
            logger.debug("the error in full", exc_info=error)
            raise web.HTTPInternalServerError(text="this failed; the log of sightline says why\n") from error

    async def _refusal(self) -> web.HTTPException:
        """Return the answer to who is not let in; who guesses gets it late."""
        if self._wrong >= _MOST_WRONG:
            return web.HTTPTooManyRequests(text="too many wrong passwords at once\n")
        self._wrong += 1
        try:
            await asyncio.sleep(_WRONG_S)
        finally:
            self._wrong -= 1
        scheme = "Bearer" if self._options.password is None else 'Basic realm="sightline", charset="UTF-8"'
        return web.HTTPUnauthorized(text="who are you?\n", headers={"WWW-Authenticate": scheme})


def _reason(error: OSError) -> str:
    """Return the system's words; asyncio puts its own around them, getaddrinfo's numbers are not errno's."""
    known = error.errno is not None and error.errno > 0 and not isinstance(error, socket.gaierror)
    return os.strerror(error.errno) if known and error.errno else str(error.strerror or error)


class _Malformed(logging.LoggerAdapter[logging.Logger]):
    """Counts the requests that are none, instead of filling the log with what others send."""

    def __init__(self, to: logging.Logger) -> None:
        super().__init__(to)
        self.count = 0

    def log(self, level: int, msg: object, *arguments: object, **named: Any) -> None:
        """Note what aiohttp says of a request; only at DEBUG it is seen."""
        self.count += level >= logging.WARNING
        self.logger.log(logging.DEBUG, msg, *arguments, **named)


class _Refuse(asyncio.Protocol):
    """Closes a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_STATIC_HEADERS)


def _bound_waiting(request: web.Request) -> None:
    """End a connection whose other side takes nothing for long, where the system can."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if connection is not None and option is not None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, _UNTAKEN_MS)


def _tls(options: LiveOptions) -> ssl.SSLContext | None:
    if options.certificate is None or options.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(
            f"{options.certificate} and {options.key} are no certificate with its key (PEM): "
            f"{error.strerror or error}"
        ) from error
    return context
