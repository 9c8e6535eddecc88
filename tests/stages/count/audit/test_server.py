import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.errors import ConfigError
from stages.count.audit.marks import MAX_BYTES, MarksFile
from stages.count.audit.server import AuditServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AuditServer]:
    with AuditServer("<p>ü</p>", MarksFile(tmp_path / "marks.json")) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(
    server: AuditServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_the_page_and_the_marks(server: AuditServer) -> None:
    root = urlsplit(server.url).path
    assert urlsplit(server.url).hostname == "127.0.0.1"
    assert ask(server, "GET", root) == (200, "<p>ü</p>".encode())
    marks = {"format": 1, "revision": 0, "counts": {"a": {"verdict": "right"}}, "missed": [], "reviewed": []}
    status, kept = ask(server, "PUT", f"{root}marks", json.dumps(marks).encode())
    assert (status, json.loads(kept)["revision"]) == (200, 1)
    assert json.loads(ask(server, "GET", f"{root}marks")[1]) == json.loads(server.file.path.read_text())


def test_who_does_not_know_the_path_gets_nothing(server: AuditServer) -> None:
    for path in ("/", "/marks", "/../marks", f"/{'x' * len(server.token)}/marks", f"/{server.token}/marks/x"):
        assert ask(server, "GET", path)[0] == 404
        assert ask(server, "PUT", path, b"{}")[0] == 404
    assert ask(server, "POST", f"/{server.token}/marks", b"{}")[0] == 501
    assert not server.file.path.exists()


def test_what_is_refused_and_why(server: AuditServer) -> None:
    marks = f"/{server.token}/marks"
    status, told = ask(server, "PUT", marks, b'{"format": 3}')
    assert status == 400
    assert "format" in json.loads(told)["error"]
    ask(server, "PUT", marks, b"{}")
    status, told = ask(server, "PUT", marks, b"{}")
    assert status == 409
    assert "changed meanwhile" in json.loads(told)["error"]
    for length in (str(MAX_BYTES + 1), "many", "-1"):
        assert ask(server, "PUT", marks, b"{}", **{"Content-Length": length})[0] == 413
    server.file.path.unlink()
    server.file.path.mkdir()
    assert ask(server, "PUT", marks, b'{"revision": 1}')[0] == 507


def test_a_port_that_is_taken(server: AuditServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"port {server.server_port} cannot be had"):
        AuditServer("", server.file, server.server_port)
