"""A camera, the whole of sightline, and players: Chromium and FFmpeg."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.config.load import load_config
from pipeline.engine import Engine
from streams.sinks.live.sink import LiveSink
from tests.servers.footprint import until
from tests.servers.rtsp import RtspServer, barcode
from tests.streams.sinks.live.browser import Watcher, chromium

pytestmark = pytest.mark.slow
PATIENCE_S = 30.0
PLAYERS = {
    "original-hls": 4000,
    "annotated-hls": 4000,
    "annotated-mjpeg": 1500,
    "original-webrtc": 2000,
    "annotated-webrtc": 2000,
}
"""With the most that their pictures' age may be, ms: far more than it is, as the machine may be busy."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    with RtspServer({"/cam": barcode(640, 360, 25, key_every=25, kbit_s=1500)}) as server:
        yield server


@pytest.fixture
def url(camera: RtspServer, tmp_path: Path) -> Iterator[str]:
    """Run sightline with a sink live; return the address of its page."""
    text = f"""
streams:
  gate:
    source: '{camera.url("/cam")}'
    keeper: {{retry_s: 0.2, retry_most_s: 0.5, stall_s: 1.5, connect_s: 3}}
sinks: [{{live: {{port: 0, stub_after_s: 2}}}}]
"""
    (tmp_path / "live.yaml").write_text(text)
    with Engine(load_config(tmp_path / "live.yaml", out=tmp_path / "out")) as engine:
        (sink,) = [made for _, made in engine._sinks if isinstance(made, LiveSink)]
        thread = threading.Thread(target=engine.run)
        thread.start()
        try:
            until(lambda: is_there(sink.url), PATIENCE_S, "the camera is not there")
            yield sink.url
        finally:
            engine.stop()
            thread.join(PATIENCE_S)
        assert not thread.is_alive()


def told(url: str) -> Any:
    with urllib.request.urlopen(f"{url}streams.json", timeout=PATIENCE_S) as answer:
        return json.load(answer)


def is_there(url: str) -> bool:
    """Whether the camera is: before, who comes sees a stub."""
    try:
        with urllib.request.urlopen(f"{url}gate/annotated/picture.jpg", timeout=PATIENCE_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_chromium_plays_everything(browser: Any, url: str) -> None:
    watcher = Watcher(browser, url)
    for player, most_ms in PLAYERS.items():
        watcher.choose(player)
        assert 0 < watcher.age_of(20, settle_s=1.0) < most_ms, player
        kind = {"hls": "HLS", "mjpeg": "MJPEG", "webrtc": "WebRTC"}[player.partition("-")[2]]
        watcher.until_state(f"{kind}, 640 x 360")
    assert told(url)["viewers"]["now"] >= 1
    watcher.choose(player)  # pressed again it leaves
    watcher.close()
    until(lambda: told(url)["viewers"]["now"] == 0, PATIENCE_S, lambda: told(url))


def test_a_camera_that_is_gone_is_replaced_by_a_stub_and_comes_back(
    browser: Any, url: str, camera: RtspServer
) -> None:
    watchers = [Watcher(browser, url) for _ in range(3)]
    for watcher, player in zip(
        watchers, ("original-hls", "annotated-webrtc", "annotated-mjpeg"), strict=True
    ):
        watcher.choose(player)
        assert watcher.age_of(3) > 0
    camera.kill()
    for watcher in watchers:
        until(lambda watcher=watcher: is_stub(watcher), PATIENCE_S, lambda: told(url))  # type: ignore[misc]
    camera.restart()
    for watcher in watchers:
        until(lambda watcher=watcher: is_fresh(watcher), PATIENCE_S, lambda: told(url))  # type: ignore[misc]
        watcher.close()


def is_stub(watcher: Watcher) -> bool:
    watcher.page.wait_for_timeout(20)
    return watcher.age_ms() is None


def is_fresh(watcher: Watcher) -> bool:
    watcher.page.wait_for_timeout(20)
    age_ms = watcher.age_ms()
    return age_ms is not None and age_ms < 3000


@pytest.mark.parametrize("address", ["original/video.m3u8", "annotated/video.m3u8", "annotated/video.mjpeg"])
def test_ffmpeg_plays_it(url: str, address: str) -> None:
    with av.open(f"{url}gate/{address}", timeout=PATIENCE_S) as container:
        shown = 0
        for frame in container.decode(video=0):
            assert (frame.width, frame.height) == (640, 360)
            shown += 1
            if shown == 60:
                break
    assert shown == 60


def test_without_a_viewer_it_costs_nothing_again(browser: Any, url: str) -> None:
    watcher = Watcher(browser, url)
    watcher.choose("annotated-mjpeg")
    watcher.age_of(3)
    assert "gate-live-pictures" in names()
    watcher.choose("annotated-mjpeg")
    until(
        lambda: watcher.page.wait_for_timeout(20) or "gate-live-pictures" not in names(),
        PATIENCE_S,
        "still at work",
    )
    watcher.close()


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}
