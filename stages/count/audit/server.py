"""Serves the page to this machine alone, and keeps what is marked on it."""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.errors import ConfigError, SinkError
from stages.count.audit.marks import MAX_BYTES, Marks, MarksFile, Outdated

_TIMEOUT_S = 30.0


class AuditServer(ThreadingHTTPServer):
    """Answers on 127.0.0.1, at a path that nobody can guess: other pages in the same browser cannot mark.

    Args:
        page: HTML.
        file: where marks are kept.
        port: 0 for a free one.

    Attributes:
        url: of the page.

    Raises:
        ConfigError: if the port is taken or not allowed.
    """

    daemon_threads = True

    def __init__(self, page: str, file: MarksFile, port: int = 0) -> None:
        self.page = page.encode()
        self.file = file
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be had: {error.strerror}; choose another --port, 0 for a free one"
            ) from error
        self.url = f"http://127.0.0.1:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: AuditServer
    timeout = _TIMEOUT_S
    server_version = "sightline"
    sys_version = ""

    def do_GET(self) -> None:
        if self._is("/"):
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif self._is("/marks"):
            self._send_marks(HTTPStatus.OK, self.server.file.marks)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_PUT(self) -> None:
        if not self._is("/marks"):
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BYTES} bytes, and say how many")
            return
        try:
            marks = self.server.file.replace(self.rfile.read(int(length)))
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except Outdated as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        except SinkError as error:
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        else:
            self._send_marks(HTTPStatus.OK, marks)

    def log_message(self, *_: Any) -> None:
        """Say nothing; errors are shown on the page."""

    def _is(self, path: str) -> bool:
        return secrets.compare_digest(self.path.encode(), f"/{self.server.token}{path}".encode())

    def _send_marks(self, status: HTTPStatus, marks: Marks) -> None:
        self._send(status, marks.model_dump_json().encode(), "application/json")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, json.dumps({"error": why}).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
