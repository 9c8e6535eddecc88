"""Serves the calibration page on this machine alone."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import cv2

from pipeline.errors import ConfigError, SightlineError, SinkError
from stages.count.ground.birdseye import U8Array, birds_eye
from stages.count.ground.calibrate.draft import Draft, draft, figures

_LARGEST_REQUEST = 100_000
_TIMEOUT_S = 30.0
_LOOK_S = 0.05
_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'"
)

Save = Callable[[Draft], str]
"""Writes the settings to a file; returns what to tell the person."""


class CalibrationServer:
    """One page for one picture, under an address that nobody can guess.

    The page sends its points; they are judged here, by the code that a run uses.

    Args:
        picture: (H, W, 3) uint8 BGR.
        name: of the source, fit to be shown.
        first: the settings that the page begins with.
        save: see `Save`; None when there is no file to write.
        port: of 127.0.0.1; 0 takes a free one.

    Raises:
        SinkError: if the port cannot be had.
    """

    def __init__(
        self, picture: U8Array, name: str, first: dict[str, Any], save: Save | None, port: int = 0
    ) -> None:
        self._picture = picture
        self._facts = {
            "name": name,
            "width": picture.shape[1],
            "height": picture.shape[0],
            "can_save": save is not None,
            "first": first,
        }
        self._save = save
        self._jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
        self._token = secrets.token_urlsafe(12)
        self.latest: Draft | None = None
        """What the page showed last that was right."""
        self.done = threading.Event()
        """Set when the person has pressed Done."""
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        except OSError as error:
            raise SinkError(f"127.0.0.1:{port}: {error.strerror}; give another --port") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_S,), name="calibrate page", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self._token}/"

    def close(self) -> None:
        """Stop serving; safe more than once."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def got(self, path: str) -> tuple[str, bytes] | None:
        """Return type and content of a page, None when there is none."""
        if path == f"/{self._token}/":
            page = files("stages.count.ground.calibrate").joinpath("page.html").read_text(encoding="utf-8")
            facts = json.dumps(self._facts).replace("<", "\\u003c")
            return "text/html; charset=utf-8", page.replace("__FACTS__", facts).encode()
        if path == f"/{self._token}/picture.jpg":
            return "image/jpeg", self._jpeg
        return None

    def posted(self, path: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer to what the page sends, None when nothing is there."""
        if path == f"/{self._token}/fit":
            return self._fit(settings)
        if path == f"/{self._token}/save" and self._save is not None:
            try:
                return {"told": self._save(self._drafted(settings))}
            except SightlineError as error:
                return {"problem": str(error)}
        if path == f"/{self._token}/done":
            try:
                self._drafted(settings)
            except SightlineError as error:
                return {"problem": str(error)}
            self.done.set()
            return {"told": "done; this page can be closed"}
        return None

    def _fit(self, settings: dict[str, Any]) -> dict[str, Any]:
        try:
            made = self._drafted(settings)
        except ConfigError as error:
            return {"problem": str(error)}
        view = birds_eye(self._picture, made.plane)
        jpeg = cv2.imencode(".jpg", view.picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        return {**figures(made), "above": "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()}

    def _drafted(self, settings: dict[str, Any]) -> Draft:
        height, width = self._picture.shape[:2]
        self.latest = draft(settings, width, height)
        return self.latest


def _handler_of(pages: CalibrationServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S
        server_version, sys_version = "sightline", ""

        def do_GET(self) -> None:
            found = pages.got(self.path)
            if found is None:
                self._answer(404, "text/plain; charset=utf-8", b"nothing here")
            else:
                self._answer(200, *found)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > _LARGEST_REQUEST:
                self._tell(413, {"problem": "too large a request"})
                return
            try:
                settings = json.loads(self.rfile.read(int(length)) or b"{}")
            except ValueError:
                settings = None
            if not isinstance(settings, dict):
                self._tell(400, {"problem": "a JSON object was expected"})
                return
            answer = pages.posted(self.path, settings)
            if answer is None:
                self._tell(404, {"problem": "nothing here"})
            else:
                self._tell(200, answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing: the terminal is the person's."""

        def _tell(self, status: int, values: dict[str, Any]) -> None:
            self._answer(status, "application/json", json.dumps(values, allow_nan=False).encode())

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

    return Handler
