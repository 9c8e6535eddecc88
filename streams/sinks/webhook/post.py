"""POST requests over one kept connection, each within a time, that any thread may break off."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline.errors import SinkError

_MOST_ANSWER = 65536
"""Bytes of an answer that are read; a longer one costs the connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        code: HTTP status.
        retry_after: that header, "" without.
        location: likewise.
        text: the beginning of the body, on one line.
    """

    code: int
    retry_after: str
    location: str
    text: str


def parsed(url: str) -> SplitResult:
    """Return the parts of an http(s) URL.

    Raises:
        ValueError: if it is none; the message does not quote it, as it may hold secrets.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(sign.isspace() or not sign.isprintable() for sign in url) or not url.isascii():
        raise ValueError("url must look like https://host/path (other signs than ASCII as %XX)")
    return parts


class Poster:
    """Sends to one address; `post` from one thread, `close` from any.

    Args:
        url: in full; only its scheme, host and port are ever shown, as the rest may hold a token.
        timeout_s: within which a request is answered, from connecting to the last byte.
        context: for https; None is the system's default.
    """

    def __init__(self, url: str, timeout_s: float, context: ssl.SSLContext | None) -> None:
        parts = parsed(url)
        self._timeout_s = timeout_s
        self._context = context
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._own: dict[str, str] = {}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._own["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        port = f":{self._port}" if self._port else ""
        self.shown = f"{parts.scheme}://{self._host}{port}"
        self._connection: http.client.HTTPConnection | None = None
        self._busy = threading.Lock()
        self._closed = False
        self._late = False

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body; redirections are not followed, as what is signed is for nobody else.

        Raises:
            SinkError: if there is no answer, with the reason.
        """
        with self._busy:
            try:
                return self._posted(body, headers)
            finally:
                if self._closed:
                    self._drop()

    def close(self) -> None:
        """Break off what is going on, and take no more."""
        self._closed = True
        self._cut()
        if self._busy.acquire(blocking=False):  # else `post` does it, which now fails
            self._drop()
            self._busy.release()

    def _posted(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._closed:
            raise SinkError(f"{self.shown}: closed")
        is_reused = self._connection is not None
        try:
            return self._tried(body, headers)
        except ConnectionError as error:  # also RemoteDisconnected
            # A server closes a connection that has been silent for a while: that is no failure of it.
            if not is_reused or self._closed or self._late:
                raise SinkError(self._reason(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise SinkError(self._reason(error)) from error
        try:
            return self._tried(body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise SinkError(self._reason(error)) from error

    def _tried(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._new()
        self._late = False
        # Each wait on the socket has a time-out, but a server may send a byte now and then for ever.
        clock = threading.Timer(self._timeout_s, self._expire)
        clock.daemon = True
        clock.start()
        keep = False
        try:
            connection.request("POST", self._target, body, {**self._own, **headers})
            reply = connection.getresponse()
            text = reply.read(_MOST_ANSWER)
            keep = reply.isclosed() and not reply.will_close
            return Answer(
                reply.status,
                reply.getheader("Retry-After", ""),
                reply.getheader("Location", ""),
                " ".join(text.decode(errors="replace").split())[:120],
            )
        finally:
            clock.cancel()
            if not keep:
                self._drop()

    def _new(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _expire(self) -> None:
        self._late = True
        self._cut()

    def _cut(self) -> None:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _reason(self, error: Exception) -> str:
        match error:
            case _ if self._closed:
                what = "closed"
            case _ if self._late:
                what = f"no complete answer within {self._timeout_s:g} s"
            case ssl.SSLCertVerificationError():
                what = f"its certificate is not trusted ({error.verify_message}); give ca_file"
            case ssl.SSLError():
                what = f"no TLS with it ({error.reason or error}); is the port one of https?"
            case socket.gaierror():
                what = "its name cannot be resolved; check url and the network"
            case TimeoutError():
                what = f"no answer within {self._timeout_s:g} s"
            case ConnectionRefusedError():
                what = "nothing listens there"
            case http.client.RemoteDisconnected():
                what = "it closed the connection without an answer"
            case http.client.HTTPException():
                what = f"it does not speak HTTP ({type(error).__name__})"
            case OSError():
                what = error.strerror or str(error)
            case _:
                what = str(error)
        return f"{self.shown}: {what}"
