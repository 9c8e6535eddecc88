from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path

import av
import pytest

from tests.servers.footage import encoded, jpegs, segments
from tests.servers.http import (
    HttpServer,
    Playlist,
    Route,
    body,
    files,
    mjpeg,
    page,
    protected,
    redirect,
    status,
)


def fetched(url: str, headers: dict[str, str] | None = None, timeout_s: float = 5.0) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers or {}), timeout=timeout_s
        ) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize(
    ("ranges", "asked", "code", "data"),
    [
        (True, None, 200, b"0123456789"),
        (True, "bytes=2-4", 206, b"234"),
        (True, "bytes=7-", 206, b"789"),
        (True, "bytes=10-", 416, b""),
        (False, "bytes=2-4", 200, b"0123456789"),
    ],
)
def test_files(tmp_path: Path, ranges: bool, asked: str | None, code: int, data: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(b"0123456789")
    with HttpServer({"/files/": files(tmp_path, ranges=ranges)}) as server:
        headers = {"Range": asked} if asked else {}
        assert fetched(server.url("/files/a.bin?x=1"), headers) == (code, data)
        assert fetched(server.url("/files/none")) == (404, b"")
        assert server.requests[0][0] == "/files/a.bin?x=1"


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {text}"}


@pytest.mark.parametrize(
    ("route", "headers", "outcome"),
    [
        (status(503), {}, (503, b"")),
        (redirect("/there"), {}, (200, b"arrived")),
        (protected(body(b"in"), "me", "pw"), {}, (401, b"")),
        (protected(body(b"in"), "me", "pw"), basic("bWU6cHc="), (200, b"in")),
        (body(b"abc", length=False), {}, (200, b"abc")),
        (body(bytes(40000), bytes_per_s=4e6), {}, (200, bytes(40000))),
    ],
)
def test_answers(route: Route, headers: dict[str, str], outcome: tuple[int, bytes]) -> None:
    with HttpServer({"/": route, "/there": page("arrived")}) as server:
        assert fetched(server.url("/"), headers) == outcome


def test_a_stalling_body_ends_with_the_server_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with HttpServer({"/": body(bytes(100_000), stall_after=20_000)}) as server:
        asking = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        asking.request("GET", "/")
        link = asking.sock
        reply = asking.getresponse()
        assert len(reply.read(20_000)) == 20_000
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            reply.read()
        reply.close()
        asking.close()
        port = server.port
        server.close()
        server.start()
        assert server.port == port
    assert threading.active_count() <= before  # others may end meanwhile


def test_motion_jpeg_is_read_by_ffmpeg() -> None:
    with (
        HttpServer({"/": mjpeg(jpegs(5), 100.0)}) as server,
        av.open(server.url("/"), timeout=(5, 5)) as container,
    ):
        frames = [frame for frame, _ in zip(container.decode(video=0), range(12), strict=False)]
        assert len(frames) == 12
        assert frames[0].width == 160


def test_a_recorded_playlist_is_read_to_its_end() -> None:
    recording = Playlist(segments(3), 1.0, window=None)
    with (
        HttpServer({"/a.m3u8": recording.playlist, "/": recording.segments}) as server,
        av.open(server.url("/a.m3u8"), timeout=(5, 5)) as container,
    ):
        assert sum(1 for _ in container.decode(video=0)) == 75


def test_a_live_playlist_moves_on_when_told() -> None:
    live = Playlist(segments(3), 1.0, window=2, prefix="/hls/")
    with HttpServer({"/a.m3u8": live.playlist, "/hls/": live.segments}) as server:
        assert fetched(server.url("/hls/0.ts"))[0] == 200
        live.advance(2)
        text = fetched(server.url("/a.m3u8"))[1].decode()
        assert "MEDIA-SEQUENCE:2" in text
        assert "/hls/2.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:1.000,\n/hls/3.ts" in text
        assert "ENDLIST" not in text
        assert fetched(server.url("/hls/0.ts"))[0] == 404
        assert fetched(server.url("/hls/3.ts"))[0] == 200
        live.end()
        assert "ENDLIST" in fetched(server.url("/a.m3u8"))[1].decode()


@pytest.mark.parametrize("container", ["mpegts", "mp4", "mjpeg"])
def test_footage(tmp_path: Path, container: str) -> None:
    path = tmp_path / "clip"
    path.write_bytes(encoded(10, container, codec="mjpeg" if container == "mjpeg" else "libx264"))
    with av.open(str(path)) as read:
        assert sum(1 for _ in read.decode(video=0)) == 10
