"""A web site on loopback whose pages hold videos behind links that expire; with the standard library only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_TYPES = {".mp4": "video/mp4", ".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t"}


class Site:
    """The pages, by path, and the media in a folder.

    Attributes:
        pages: path -> HTML; `{sig}` becomes the signature that is good now.
        sig: what a link to media must carry at present; None asks for nothing.
        hits: paths asked for, with their query.
        seen: headers of the latest request of each path.
        pace_s: pause before each 1316 bytes of a file that ends in .ts, so that it lasts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages: dict[str, str] = {}
        self.sig: str | None = None
        self.hits: list[str] = []
        self.seen: dict[str, dict[str, str]] = {}
        self.pace_s = 0.0
        self.over = threading.Event()
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        site = self.server.site
        parts = urlsplit(self.path)
        site.hits.append(self.path)
        site.seen[parts.path] = dict(self.headers.items())
        if parts.path.startswith("/status/"):
            self._send(int(parts.path.rpartition("/")[2]), b"no", "text/plain")
        elif parts.path == "/endless":
            self._endless()
        elif parts.path in site.pages:
            body = site.pages[parts.path].replace("{sig}", site.sig or "").encode()
            self._send(200, body, "text/html")
        else:
            self._file(site, parts.path, parse_qs(parts.query).get("signature", [""])[0])

    def _file(self, site: Site, path: str, sig: str) -> None:
        file = site.folder / path.lstrip("/")
        if not file.is_file():
            self._send(404, b"no", "text/plain")
        elif site.sig is not None and sig != site.sig:
            self._send(403, b"expired", "text/plain")
        elif file.suffix == ".ts" and site.pace_s:
            self._slowly(site, file.read_bytes(), sig)
        else:
            self._part(file.read_bytes(), _TYPES.get(file.suffix, "application/octet-stream"))

    def _part(self, data: bytes, kind: str) -> None:
        wanted = self.headers.get("Range", "")
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if not first.isdigit():
            self._send(200, data, kind)
            return
        begin, end = int(first), min(int(last) if last else len(data) - 1, len(data) - 1)
        span = {"Content-Range": f"bytes {begin}-{end}/{len(data)}"}
        self._send(206, data[begin : end + 1], kind, span)

    def _slowly(self, site: Site, data: bytes, sig: str) -> None:
        """Send like a live stream: no length, and cut off when the link expires."""
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for start in range(0, len(data), 1316):
            if site.sig != sig or site.over.wait(site.pace_s):
                return
            self.wfile.write(data[start : start + 1316])
        while site.sig == sig and not site.over.wait(site.pace_s):
            pass  # it has no end of its own

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b"<html>" + b" " * 2048)
        while not self.server.site.over.wait(0.02):
            self.wfile.write(b"x")

    def _send(self, status: int, body: bytes, kind: str, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client has what it wanted
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: Site


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve the site on a free port of loopback."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = site
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def wait_until(true: object, seconds: float = 30.0) -> bool:
    """Poll `true()` until it holds or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(true) and true():
            return True
        time.sleep(0.01)
    return False
