"""Pictures as viewers get them, by HLS, MJPEG, JPEG and WebRTC, and what that costs."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from streams.sinks.live.hls.fragments import codec_of
from tests.pipeline.messages import SpyOverlay, noise
from tests.servers.footprint import until
from tests.streams.sinks.live.material import coded
from tests.streams.sinks.live.site import PATIENCE_S, Site, addresses, filmed, serving
from tests.streams.sinks.record.feeding import repeated


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def frames_in(site: Site, playlist: str, folder: Path, base: str = "/gate/original/") -> list[Any]:
    """Fetch all that a playlist names, but for what is to come, and decode it."""
    named = [one for one in addresses(playlist) if one.startswith(("head", "part"))]
    data = b"".join(site.ask(base + one).body for one in named[:-1])
    path = folder / "watched.mp4"
    path.write_bytes(data)
    with av.open(path) as container:
        return list(container.decode(video=0))


def test_hls_begins_at_once_with_what_came_since_the_key_frame(site: Site, tmp_path: Path) -> None:
    form, packets = filmed(45)
    site.open(form=form)
    site.packets(packets)
    playlist = site.ask("/gate/original/video.m3u8?from=part")
    assert playlist.headers["Content-Type"].startswith("application/vnd.apple.mpegurl")
    assert playlist.headers["Cache-Control"] == "no-store"
    frames = frames_in(site, playlist.text, tmp_path)
    assert len(frames) == 14  # two parts of seven, of the twenty since the last key frame
    head = site.ask("/gate/original/head-0.mp4")
    assert head.headers["X-Codec"] == codec_of(head.body)


def test_hls_waits_for_what_is_asked_for(site: Site, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    form, packets = filmed(160)
    site.open(form=form)
    site.packets(packets[:10])
    first = site.ask("/gate/original/video.m3u8?from=part").text
    assert addresses(first)[-1] == "part-0-1.m4s"
    waiting = pool.submit(site.ask, "/gate/original/video.m3u8?_HLS_msn=0&_HLS_part=2")
    hinted = pool.submit(site.ask, "/gate/original/part-0-1.m4s")
    whole = pool.submit(site.ask, "/gate/original/video.m3u8?_HLS_msn=0")
    plain = pool.submit(site.ask, "/gate/original/video.m3u8")
    site.packets(packets[10:24])
    assert "part-0-2" in waiting.result(PATIENCE_S).text
    assert hinted.result(PATIENCE_S).status == 200
    assert not whole.done()
    assert not plain.done()  # players without low latency need a whole segment
    site.packets(packets[24:])
    for answer in (whole, plain):
        assert "segment-0.m4s" in addresses(answer.result(PATIENCE_S).text)
    assert site.ask("/gate/original/video.m3u8?_HLS_msn=9").status == 400
    until(lambda: "segment-2.m4s" in site.ask("/gate/original/video.m3u8").text, PATIENCE_S, "no third one")
    playlist = site.ask("/gate/original/video.m3u8").text
    assert len(frames_in(site, playlist, tmp_path)) >= 150
    segments = [one for one in addresses(playlist) if one.startswith("segment")]
    assert [site.ask(f"/gate/original/{one}").status for one in segments] == [200] * 3
    assert re.findall(r"EXTINF:(\d\.\d)", playlist) == ["2.0"] * 3


def test_a_recording_ends(site: Site, pool: ThreadPoolExecutor) -> None:
    form, packets = filmed(40)
    site.open(live=False, form=form)
    site.packets(packets)
    assert "ENDLIST" not in site.ask("/gate/original/video.m3u8?from=part").text
    waiting = pool.submit(site.ask, "/gate/original/video.m3u8?_HLS_msn=1")
    stills = pool.submit(site.ask, "/gate/annotated/video.mjpeg")
    site.sink.close_packets("gate")
    site.sink.close_stream("gate")
    assert waiting.result(PATIENCE_S).text.endswith("#EXT-X-ENDLIST\n")
    assert stills.result(PATIENCE_S).status == 200


def test_a_camera_that_comes_back_in_another_size_goes_on_in_the_same_playlist(
    site: Site, tmp_path: Path
) -> None:
    form, packets = filmed(35)
    site.open(form=form)
    site.packets(packets)
    site.ask("/gate/original/video.m3u8?from=part")
    other, more = coded(30, width=160)
    site.sink.close_packets("gate")
    site.sink.open_packets(other)
    site.packets(more)
    until(
        lambda: "head-1.mp4" in site.ask("/gate/original/video.m3u8?from=part").text, PATIENCE_S, "no break"
    )
    assert "#EXT-X-DISCONTINUITY\n" in site.ask("/gate/original/video.m3u8?from=part").text


@pytest.mark.parametrize(
    ("codec", "reason"), [("mjpeg", "sends mjpeg"), ("vp9", "sends vp9"), (None, "no packets to copy")]
)
def test_what_browsers_do_not_play_is_told(site: Site, codec: str | None, reason: str) -> None:
    form, _ = filmed(1)
    site.open(form=None if codec is None else replace(form, codec=codec))
    site.frame()
    answer = site.ask("/gate/original/video.m3u8")
    assert (answer.status, reason in answer.text) == (501, True)
    (gate,) = site.ask("/streams.json").json()["streams"]
    assert reason in gate["pictures"]["original"]["video"]
    assert gate["pictures"]["annotated"]["video"] is None


def test_the_camera_s_own_pictures_are_not_there_where_they_are_not_offered(tmp_path: Path) -> None:
    form, packets = filmed(40)
    with serving(tmp_path, offer=("annotated",)) as site:
        site.open(form=form)
        site.packets(packets)
        (gate,) = site.ask("/streams.json").json()["streams"]
        assert list(gate["pictures"]) == ["annotated"]
        for path in ("video.m3u8?from=part", "head-0.mp4", "segment-0.m4s", "part-0-0.m4s"):
            assert site.ask(f"/gate/original/{path}").status == 404
        offer = site.ask("/gate/original/whep", method="POST", body=b"v=0")
        assert offer.status == 404


def test_nothing_is_drawn_or_muxed_without_a_viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.server._SWEEP_S", 0.02)
    form, packets = filmed(110)
    spy = SpyOverlay()
    with serving(tmp_path, idle_s=1) as site:
        site.open(form=form)
        service = site.sink._server.stream("gate").hls["original"]
        site.packets(packets[:100])
        for _ in range(20):
            site.frame(overlay=spy)
        assert (spy.painted, service.is_working) == (0, False)
        assert not site.sink.wants_pictures("gate")
        assert "gate-live-pictures" not in {thread.name for thread in threading.enumerate()}
        with site.watching("/gate/annotated/video.mjpeg") as viewer:
            viewer.recv(1)
            until(lambda: site.frame(overlay=spy) and spy.painted, PATIENCE_S, "not drawn")
            assert site.sink.wants_pictures("gate")
        site.ask("/gate/original/video.m3u8?from=part")
        assert service.is_working
        until(lambda: not service.is_working, PATIENCE_S, "still muxing")
        until(lambda: not site.sink._server.stream("gate")._studio.is_wanted, PATIENCE_S, "still wanted")
        painted = spy.painted
        site.frame(overlay=spy)
        site.packets(packets[100:110])
        assert (spy.painted, len(service.window.segments)) == (painted, 0)


def test_each_viewer_gets_the_same_encoded_picture(site: Site) -> None:
    site.open()
    spy = SpyOverlay()
    with (
        site.watching("/gate/annotated/video.mjpeg") as one,
        site.watching("/gate/annotated/video.mjpeg") as two,
    ):
        one.recv(1), two.recv(1)
        until(lambda: site.ask("/streams.json").json()["viewers"]["now"] == 2, PATIENCE_S, "not two")
        first, second = Pictures(one), Pictures(two)
        site.frame(noise(1), overlay=spy)
        assert first.next() == second.next()
        assert spy.painted == 1


class Pictures:
    """Reads MJPEG off a connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._waiting = b""

    def next(self) -> bytes:
        """Return the next JPEG, which is complete before there is another one."""
        while True:
            found = re.search(rb"Content-Length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n", self._waiting)
            # What lies around it is in chunks (RFC 9112, 7.1): read on until the whole is there.
            if found:
                wanted = int(found[1])
                raw = self._waiting[found.end() :]
                end = raw.find(b"\xff\xd9\r\n--sightline\r\n")
                if end >= 0:
                    self._waiting = raw[end + 2 :]
                    assert end + 2 >= wanted
                    return raw[: end + 2]
            data = self._connection.recv(65536)
            assert data, "the connection has ended"
            self._waiting += data


def test_a_slow_viewer_misses_pictures_and_sees_no_old_ones(site: Site) -> None:
    site.open()
    with site.watching("/gate/annotated/video.mjpeg") as connection:
        connection.recv(1)
        until(lambda: site.ask("/streams.json").json()["viewers"]["now"] == 1, PATIENCE_S, "not there")
        sent = [site.frame(noise(number)) for number in range(1)]
        studio = site.sink._server.stream("gate")._studio
        for number in range(1, 60):  # some 60 KiB each, and he reads nothing
            sent.append(site.frame(noise(number)))
            until(lambda: studio._picture is None, PATIENCE_S, "not encoded")
        viewer = Pictures(connection)
        time.sleep(0.05)
        stamps: list[int] = []
        while not stamps or stamps[-1] < 59:
            jpeg = viewer.next()
            shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            stamps.append(closest(shown, sent))
        assert len(stamps) < 20  # of sixty
        assert stamps == sorted(stamps)
        assert stamps[-1] == 59


def closest(shown: Any, sent: list[Any]) -> int:
    small = shown[:40, :40].astype(int)
    off = [float(np.abs(small - frame.picture.bgr()[:40, :40].astype(int)).mean()) for frame in sent]
    return int(np.argmin(off))


def test_a_snapshot_is_the_next_picture(site: Site, pool: ThreadPoolExecutor) -> None:
    site.open()
    site.frame(np.full((240, 320, 3), 10, np.uint8))
    asked = pool.submit(site.ask, "/gate/annotated/picture.jpg")
    until(lambda: site.sink._server.stream("gate")._studio.wants_stills, PATIENCE_S, "not wanted")
    frame = site.frame(np.full((240, 320, 3), 200, np.uint8))
    answer = asked.result(PATIENCE_S)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.headers["X-Picture-Time"] == frame.moment.iso()
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert float(picture.mean()) == pytest.approx(200, abs=2)


def test_without_a_signal_a_snapshot_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, stub_after_s=0.5) as site:
        site.open()
        answer = site.ask("/gate/annotated/picture.jpg")
        assert (answer.status, answer.headers["Content-Type"]) == (503, "image/jpeg")
        assert cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR).shape == (720, 1280, 3)


@pytest.mark.slow
@pytest.mark.parametrize("pictures", ["original", "annotated"])
def test_webrtc(tmp_path: Path, pictures: str) -> None:
    aiortc = require_webrtc()
    with serving(tmp_path) as site:
        form, packets = filmed(200)
        site.open(form=form)
        stopping = threading.Event()

        def film() -> None:
            for packet in repeated(packets, 30):
                site.sink.on_packet(packet)
                site.frame(np.full((240, 320, 3), 200, np.uint8))
                if stopping.wait(0.01):
                    return

        filming = threading.Thread(target=film)
        filming.start()
        try:
            shown = asyncio.run(watch(aiortc, site, pictures))
            assert (shown.width, shown.height) == (320, 240)
            if pictures == "annotated":
                assert float(shown.to_ndarray(format="gray").mean()) == pytest.approx(200, abs=4)
            until(lambda: site.ask("/streams.json").json()["viewers"]["now"] == 0, PATIENCE_S, "still there")
        finally:
            stopping.set()
            filming.join()


def require_webrtc() -> Any:
    """Return aiortc; skip the test without it, or without another address than loopback's, which it needs."""
    aiortc = pytest.importorskip("aiortc", reason="needs pip install aiortc")
    from aioice.ice import get_host_addresses

    if not get_host_addresses(use_ipv4=True, use_ipv6=True):
        pytest.skip("WebRTC needs a network interface beside loopback")
    return aiortc


async def watch(aiortc: Any, site: Site, pictures: str) -> Any:
    """Watch five pictures and leave."""
    peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    transceiver = peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp = {"Content-Type": "application/sdp"}
    base = f"/gate/{pictures}/whep"
    ask = asyncio.get_running_loop().run_in_executor
    offer = peer.localDescription.sdp.encode()
    answer = await ask(None, lambda: site.ask(base, method="POST", body=offer, headers=sdp))
    assert (answer.status, answer.headers["Content-Type"]) == (201, "application/sdp; charset=utf-8")
    assert site.ask("/streams.json").json()["viewers"]["now"] == 1
    await peer.setRemoteDescription(aiortc.RTCSessionDescription(answer.text, "answer"))
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(5):
            frame = await transceiver.receiver.track.recv()
    left = await ask(None, lambda: site.ask(answer.headers["Location"], method="DELETE"))
    assert left.status == 200
    await peer.close()
    return frame
