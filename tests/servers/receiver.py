"""A receiver of webhooks, run as a child of `tests.servers.daemons`: PORT FILE SECONDS_PER_REQUEST."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_, PORT, FILE, SECONDS = sys.argv


class Receiver(BaseHTTPRequestHandler):
    """Keeps each request as one line of JSON before it answers."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        raw = self.rfile.read(size)
        if len(raw) < size:
            return  # who sent it was killed in the midst
        body = raw.decode()
        line = json.dumps({"headers": dict(self.headers.items()), "body": body})
        with Path(FILE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        time.sleep(float(SECONDS))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", int(PORT)), Receiver).serve_forever()
