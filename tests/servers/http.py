"""A web site on loopback for the tests: files, refusals, redirects, slow bodies, MJPEG and HLS."""

from __future__ import annotations

import base64
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_TYPES = {
    ".ts": "video/mp2t",
    ".mp4": "video/mp4",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".jpg": "image/jpeg",
    ".html": "text/html; charset=utf-8",
}
_CHUNK = 16384


class Request(BaseHTTPRequestHandler):
    """One request, as routes see it."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Find the route with the longest matching path and let it answer."""
        self.close_connection = True  # one request a connection: what is open is what is being read
        site = self.server.site
        path = self.path.partition("?")[0]
        site.requests.append((self.path, dict(self.headers.items())))
        routes = [
            route for route in site.routes if path == route or (route[-1] == "/" and path.startswith(route))
        ]
        with suppress(OSError):
            if routes:
                site.routes[max(routes, key=len)](self)
            else:
                self.answer(404)

    do_HEAD = do_GET  # noqa: N815 -- the name that http.server wants

    def answer(
        self,
        code: int,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        content_type: str = "text/plain",
    ) -> None:
        """Send a complete answer."""
        self.begin(code, {"Content-Type": content_type, "Content-Length": str(len(data)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(data)

    def begin(self, code: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        self.send_response(code)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait, at most until the server is closed; return whether it is."""
        return self.server.site.closing.wait(seconds)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Say nothing: `HttpServer.requests` has it all."""


Route = Callable[[Request], None]


class HttpServer:
    """Serves routes on a free port of loopback; use it as a context manager.

    Attributes:
        routes: path -> what answers there; a path that ends in "/" stands for all below it. May be changed
            while it runs.
        requests: path with query and headers of each request so far.
        closing: set once the server is being closed.
    """

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self.routes = dict(routes)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        self.port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen; after `close`, on the same port again."""
        self.closing.clear()
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="http-server", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Close the port and every connection, and wait for the threads; safe more than once."""
        self.closing.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(10)
            self._server.cut()
            self._server.server_close()
            self._server = self._thread = None

    def url(self, path: str, user: str | None = None) -> str:
        """Return the URL of a path; `user` is "name:password"."""
        return f"http://{f'{user}@' if user else ''}127.0.0.1:{self.port}{path}"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, for a proxy."""
        return ("127.0.0.1", self.port)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that `server_close` waits for them
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], site: HttpServer) -> None:
        self.site = site
        self._open: set[socket.socket] = set()
        super().__init__(address, Request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        threading.current_thread().name = "http-server-request"
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def cut(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what the tests are about."""


def status(code: int, headers: Mapping[str, str] | None = None) -> Route:
    """Answer with a status and an empty body."""
    return lambda request: request.answer(code, headers=headers)


def redirect(to: str, code: int = 302) -> Route:
    """Send the client to another URL."""
    return status(code, {"Location": to})


def page(html: str) -> Route:
    """Answer with a page of HTML."""
    return lambda request: request.answer(200, html.encode(), content_type=_TYPES[".html"])


def protected(route: Route, user: str, password: str) -> Route:
    """Ask for Basic authentication before `route` answers."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def answer(request: Request) -> None:
        if request.headers.get("Authorization") == wanted:
            route(request)
        else:
            request.answer(401, headers={"WWW-Authenticate": 'Basic realm="camera"'})

    return answer


def files(folder: Path, *, ranges: bool = True) -> Route:
    """Serve the files of a folder by their names, with or without byte ranges."""

    def answer(request: Request) -> None:
        path = folder / request.path.partition("?")[0].rpartition("/")[2]
        if path.is_file():
            send(
                request, path.read_bytes(), _TYPES.get(path.suffix, "application/octet-stream"), ranges=ranges
            )
        else:
            request.answer(404)

    return answer


def body(
    data: bytes,
    content_type: str = "video/mp2t",
    *,
    length: bool = True,
    ranges: bool = False,
    bytes_per_s: float | None = None,
    stall_after: int | None = None,
    end_after: int | None = None,
) -> Route:
    """Serve bytes.

    Args:
        data: what there is.
        content_type: MIME type.
        length: whether it says how long it is.
        ranges: whether it serves byte ranges.
        bytes_per_s: how fast; None for as fast as it goes.
        stall_after: says nothing more after so many bytes, with the connection open.
        end_after: closes the connection after so many bytes.
    """

    def answer(request: Request) -> None:
        part = data if end_after is None else data[:end_after]
        if ranges or (bytes_per_s is None and stall_after is None and end_after is None and length):
            send(request, data, content_type, ranges=ranges)
            return
        request.begin(
            200, {"Content-Type": content_type, **({"Content-Length": str(len(data))} if length else {})}
        )
        for start in range(0, len(part), _CHUNK):
            chunk = part[start : start + _CHUNK]
            if stall_after is not None and start + len(chunk) > stall_after:
                request.wfile.write(chunk[: stall_after - start])
                request.wait()
                return
            request.wfile.write(chunk)
            if bytes_per_s is not None and request.wait(len(chunk) / bytes_per_s):
                return

    return answer


def send(request: Request, data: bytes, content_type: str, *, ranges: bool) -> None:
    """Send all of `data`, or the range that is asked for if `ranges`."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")) if ranges else None
    extra = {"Accept-Ranges": "bytes"} if ranges else {}
    if asked is None:
        request.answer(200, data, extra, content_type)
        return
    first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
    if first >= len(data):
        request.answer(416, headers={"Content-Range": f"bytes */{len(data)}"})
        return
    extra["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    request.answer(206, data[first : last + 1], extra, content_type)


def mjpeg(
    pictures: Sequence[bytes], rate_hz: float, *, repeat: bool = True, boundary: str = "frame"
) -> Route:
    """Serve JPEG pictures as `multipart/x-mixed-replace`, as many web cameras do."""

    def answer(request: Request) -> None:
        request.begin(200, {"Content-Type": f"multipart/x-mixed-replace; boundary={boundary}"})
        first_s = time.monotonic()
        for number, picture in enumerate(_round(pictures) if repeat else pictures):
            if request.wait(max(0.0, first_s + number / rate_hz - time.monotonic())):
                return
            head = f"--{boundary}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            request.wfile.write(head.encode() + picture + b"\r\n")

    return answer


def _round(pictures: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield from pictures


class Playlist:
    """An HLS media playlist over ready-made segments; live ones move on only when the test says so.

    Mount `playlist` at some path and `segments` at a folder's path ("/hls/") beside it.

    Args:
        parts: the segments' bytes (MPEG-TS), in order.
        seconds: length of each segment.
        window: segments that a live playlist lists; None for a recording, which lists all and ends.
        prefix: path of the segments, relative to the playlist or absolute.
    """

    def __init__(
        self, parts: Sequence[bytes], seconds: float, *, window: int | None, prefix: str = ""
    ) -> None:
        self._parts = parts
        self._seconds = seconds
        self._window = window
        self._prefix = prefix
        self._first = 0
        self._ended = window is None

    def advance(self, segments: int = 1) -> None:
        """Move the window on. Past the last segment it begins again with the first, after a discontinuity."""
        self._first += segments

    def end(self) -> None:
        """Mark the playlist as complete."""
        self._ended = True

    def playlist(self, request: Request) -> None:
        """Answer with the playlist as it stands."""
        first = self._first
        count = len(self._parts) if self._window is None else self._window
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{max(1, round(self._seconds))}",
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
        ]
        for number in range(first, first + count):
            if number and number % len(self._parts) == 0:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += [f"#EXTINF:{self._seconds:.3f},", f"{self._prefix}{number}.ts"]
        lines += ["#EXT-X-ENDLIST"] if self._ended else []
        request.answer(200, "\n".join([*lines, ""]).encode(), content_type=_TYPES[".m3u8"])

    def segments(self, request: Request) -> None:
        """Answer with a segment by its number; live ones that left the window are gone."""
        number = int(request.path.partition("?")[0].rpartition("/")[2].removesuffix(".ts"))
        listed = self._window is None or self._first <= number < self._first + self._window
        if listed and (self._window is not None or number < len(self._parts)):
            request.answer(200, self._parts[number % len(self._parts)], content_type=_TYPES[".ts"])
        else:
            request.answer(404)
