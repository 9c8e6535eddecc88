"""The server as a client sees it: pages, access, limits, bad requests."""

from __future__ import annotations

import logging
import random
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SinkError
from pipeline.plugin import SinkContext
from streams.sinks.live.options import LiveOptions
from streams.sinks.live.sink import LiveSink
from tests.pipeline.messages import make_event
from tests.servers.footprint import until
from tests.streams.sinks.live.site import PATIENCE_S, Site, filmed, serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path) as made:
        made.open(form=filmed(1)[0])
        yield made


def test_the_page_brings_all_that_it_needs(site: Site) -> None:
    page = site.ask("/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Server"] == "sightline"
    for name in ("page.js", "page.css"):
        assert f"assets/{name}" in page.text
        assert site.ask(f"/assets/{name}").status == 200
    assert "://" not in page.text
    assert site.ask("/favicon.ico").status == 204


def test_streams_are_listed_with_what_can_be_watched(site: Site) -> None:
    listed = site.ask("/streams.json").json()
    (gate,) = listed["streams"]
    assert gate["name"] == "gate"
    assert gate["pictures"]["original"]["video"] is None
    assert gate["pictures"]["annotated"]["stills"] is True
    assert listed["viewers"] == {"now": 0, "most": 16, "refused": 0}
    site.sink.on_event(replace(make_event(1, "yard"), kind="source.state"))  # its camera is not there yet
    assert [one["name"] for one in site.ask("/streams.json").json()["streams"]] == ["gate", "yard"]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/gate",
        "/gate/other/video.m3u8",
        "/gate/original/video.mjpeg",
        "/yard/original/video.m3u8",
        "/../../etc/passwd",
        "/assets/../server.py",
        "/assets/..%2fserver.py",
        "/assets/page.html",
        "/gate/original/../../../etc/passwd",
        "/gate/original/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/gate/original/segment-..%2f1.m4s",
        "/gate/original/segment-0.m4s",
        "/gate/original/part-0-0.m4s",
        "/gate/original/head-0.mp4",
        "/gate/original/segment-99999999999999999999.m4s",
        "/gate/original/segment-%D9%A1.m4s",
        "//gate/original/video.m3u8",
        "/gate%00/original/video.m3u8",
        "/gate/annotated/whep/unknown",
    ],
)
def test_there_is_nothing_else(site: Site, path: str) -> None:
    answer = site.ask(path)
    assert answer.status in (400, 404, 405)
    assert len(answer.body) < 100


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD"])
def test_other_methods_do_nothing(site: Site, method: str) -> None:
    assert site.ask("/gate/annotated/video.mjpeg", method=method).status == 405


@pytest.mark.parametrize(
    "query", ["_HLS_msn=x", "_HLS_msn=-1", "_HLS_part=1", "_HLS_msn=1e9", "_HLS_msn=" + "9" * 20]
)
def test_wrong_directives(site: Site, query: str) -> None:
    assert site.ask(f"/gate/original/video.m3u8?{query}").status == 400


def test_other_names_than_ours_are_refused(site: Site) -> None:
    answer = site.ask("/", headers={"Host": "evil.example"})
    assert (answer.status, "names" in answer.text) == (421, True)
    assert site.ask("/", headers={"Host": f"localhost:{site.port}"}).status == 200


def test_who_does_not_say_who_he_is_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.server._WRONG_S", 0.01)
    with serving(tmp_path, token="t0k&n", password="hush") as site:
        form, packets = filmed(35)
        site.open(form=form)
        site.packets(packets)
        for path in ("/", "/streams.json", "/gate/original/video.m3u8", "/gate/annotated/picture.jpg", "/x"):
            answer = site.ask(path)
            assert (answer.status, answer.headers["WWW-Authenticate"][:5]) == (401, "Basic")
            assert site.ask(path, headers={"Authorization": "Bearer wrong"}).status == 401
        assert (
            site.ask("/", headers={"Host": "cameras.example", "Authorization": "Bearer t0k&n"}).status == 200
        )
        playlist = site.ask("/gate/original/video.m3u8?from=part&token=t0k%26n")
        assert 'URI="part-0-0.m4s?token=t0k%26n"' in playlist.text
        away = site.ask("/?token=t0k%26n")
        assert (away.status, away.headers["Location"]) == (303, "/")
        cookie = away.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert site.ask("/", headers={"Cookie": cookie.partition(";")[0]}).status == 200


def test_guessing_is_slow_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.server._MOST_WRONG", 2)
    monkeypatch.setattr("streams.sinks.live.server._WRONG_S", 0.3)
    with serving(tmp_path, token="right") as site:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(site.ask("/?token=wrong").status)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == {401, 429}
        assert site.ask("/?token=right").status == 303


def test_a_secret_that_is_gone_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("right")
    with serving(tmp_path, token=f"file:{path}") as site:
        path.unlink()
        assert site.ask("/?token=right").status == 503


def test_too_many_viewers(tmp_path: Path) -> None:
    with serving(tmp_path, max_viewers=1) as site:
        site.open(form=filmed(1)[0])
        with site.watching("/gate/annotated/video.mjpeg") as first:
            assert first.recv(100).startswith(b"HTTP/1.1 200")
            answer = site.ask("/gate/annotated/video.mjpeg")
            assert (answer.status, answer.text, answer.headers["Retry-After"]) == (
                503,
                "too many viewers\n",
                "10",
            )
            assert site.ask("/gate/original/video.m3u8").status == 503
            assert site.ask("/streams.json").json()["viewers"] == {"now": 1, "most": 1, "refused": 2}
        # He is gone, and is missed although there is no picture to send to him.
        until(lambda: site.ask("/streams.json").json()["viewers"]["now"] == 0, PATIENCE_S, "still there")


def test_connections_that_ask_nothing_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.server._SILENT_S", 0.2)
    with serving(tmp_path) as site:
        with site.connect() as silent, site.connect() as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHo")
            for connection in (silent, slow):
                assert is_ended(connection)
        assert site.ask("/").status == 200


def test_connections_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.server._FREE_CONNECTIONS", 0)
    monkeypatch.setattr("streams.sinks.live.server._CONNECTIONS_PER_VIEWER", 3)
    with serving(tmp_path, max_viewers=1) as site:
        held = [site.connect() for _ in range(3)]
        until(lambda: is_refused(site), PATIENCE_S, "let in")
        for connection in held:
            connection.close()
        until(lambda: not is_refused(site), PATIENCE_S, "not let in")


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def is_refused(site: Site) -> bool:
    try:
        return site.ask("/").status != 200
    except (ConnectionError, OSError):
        return True


def test_garbage_is_answered_or_dropped_and_service_goes_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    rng = random.Random(3)
    heads = [
        b"",
        b"GET ",
        b"GET / HTTP/1.1\r\n",
        b"POST /gate/annotated/whep HTTP/1.1\r\nHost: localhost\r\n",
    ]
    for _ in range(60):
        with site.connect() as connection:
            connection.settimeout(0.5)
            noise = rng.randbytes(rng.choice([1, 10, 300, 20_000]))
            try:
                connection.sendall(rng.choice(heads) + noise + rng.choice([b"", b"\r\n\r\n"]))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except OSError:
                pass
    assert site.ask("/streams.json").json()["malformed"] > 20
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"v=0", 415),
        ({"Content-Type": "application/sdp"}, b"v=0\r\n", 400),
        ({"Content-Type": "application/sdp"}, b"\xff\xfe", 400),
        ({"Content-Type": "application/sdp"}, b"", 400),
        ({"Content-Type": "application/sdp"}, b"a=" + b"x" * 100_000, 413),
    ],
)
def test_offers_that_are_none(site: Site, headers: dict[str, str], body: bytes, status: int) -> None:
    pytest.importorskip("aiortc", reason="needs pip install aiortc")
    answer = site.ask("/gate/annotated/whep", method="POST", body=body, headers=headers)
    assert answer.status == status
    assert site.ask("/streams.json").json()["viewers"]["now"] == 0


def test_an_offer_that_comes_in_part_only(site: Site, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr("streams.sinks.live.handlers._WRITE_S", 0.05)
    with site.connect() as connection:
        connection.sendall(
            b"POST /gate/original/whep HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/sdp\r\n"
            b"Content-Length: 1000\r\n\r\nv=0"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_webrtc_that_is_not_offered(tmp_path: Path) -> None:
    with serving(tmp_path, webrtc=False) as site:
        site.open()
        answer = site.ask("/gate/annotated/whep", method="POST", body=b"v=0")
        assert (answer.status, "sightline[webrtc]" in answer.text) == (501, True)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            SinkError, match=f"cannot serve on 127.0.0.1 port {port}: Address already in use; .*`port`"
        ):
            LiveSink(LiveOptions(port=port), SinkContext(tmp_path))


def test_a_host_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot serve on 192\.0\.2\.99 port"):
        LiveSink(LiveOptions(host="192.0.2.99", port=0, token="t"), SinkContext(tmp_path))


@pytest.mark.parametrize(
    ("options", "hidden", "message"),
    [({}, "aiohttp", r"sightline\[live\]"), ({"webrtc": True}, "aiortc", r"sightline\[webrtc\]")],
)
def test_what_is_missing_is_named(
    options: dict[str, Any], hidden: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.sinks.needed.find_spec", lambda name: None if name == hidden else object())
    with pytest.raises(SinkError, match=message):
        LiveSink(LiveOptions(port=0, **options), SinkContext(tmp_path))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl (Debian: apt install openssl)")
def test_https(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*made, *named, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with serving(tmp_path, certificate=certificate, key=key) as site:
        assert site.sink.url.startswith("https://")
        context = ssl.create_default_context(cafile=certificate)
        with site.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
    with pytest.raises(SinkError, match="no certificate with its key"):
        LiveSink(LiveOptions(port=0, certificate=key, key=key), SinkContext(tmp_path))
