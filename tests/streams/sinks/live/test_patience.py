"""Viewers who take nothing, and offers that lead nowhere."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.messages import noise
from tests.servers.footprint import Footprint, resident_mib, until
from tests.streams.sinks.live.site import PATIENCE_S, Site, filmed, serving
from tests.streams.sinks.record.feeding import repeated

MIB = 24
"""What memory may grow by while viewers are stuck: six hundred pictures of 60 KiB are sent to ten of them."""


@pytest.mark.slow
def test_viewers_that_take_nothing_cost_no_memory_and_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.sinks.live.handlers._WRITE_S", 3.0)
    pictures = [noise(number) for number in range(20)]
    with serving(tmp_path, max_viewers=20) as site, ExitStack() as stack:
        site.open()
        for _ in range(10):
            stack.enter_context(site.watching("/gate/annotated/video.mjpeg"))
        until(lambda: viewers(site) == 10, PATIENCE_S, "not all there")
        studio = site.sink._server.stream("gate")._studio
        before_mib = 0.0
        for number in range(600):
            site.frame(pictures[number % 20])
            until(lambda: studio._picture is None, PATIENCE_S, "not encoded")
            if number == 50:
                before_mib = resident_mib()
        assert resident_mib() - before_mib < MIB
        until(lambda: site.frame(pictures[0]) and viewers(site) == 0, PATIENCE_S, lambda: viewers(site))


def viewers(site: Site) -> int:
    return int(site.ask("/streams.json").json()["viewers"]["now"])


@pytest.mark.slow
def test_offers_that_are_broken_or_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aiortc = pytest.importorskip("aiortc", reason="needs pip install aiortc")
    monkeypatch.setattr("streams.sinks.live.webrtc._CONNECT_S", 0.3)
    lines = asyncio.run(an_offer(aiortc)).splitlines(keepends=True)
    rng = random.Random(5)
    with serving(tmp_path) as site:
        site.open()
        site.ask("/")
        before = Footprint.now()
        answers = []
        for number in range(12):
            kept = lines if number == 0 else [line for line in lines if rng.random() > 0.05 * number]
            answers.append(post(site, "".join(kept)))
        assert answers[0] == 201
        assert set(answers) == {201, 400}
        until(lambda: viewers(site) == 0, PATIENCE_S, lambda: viewers(site))
        before.assert_same_again(PATIENCE_S)


@pytest.mark.slow
def test_an_offer_without_h264_is_refused(tmp_path: Path) -> None:
    aiortc = pytest.importorskip("aiortc", reason="needs pip install aiortc")
    offer = asyncio.run(an_offer(aiortc))
    without = "".join(line for line in offer.splitlines(keepends=True) if "H264" not in line)
    with serving(tmp_path) as site:
        site.open()
        assert post(site, without) == 400
        assert viewers(site) == 0


@pytest.mark.slow
def test_who_waits_for_longer_than_the_idle_time_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.sinks.live.server._SWEEP_S", 0.02)
    form, packets = filmed(35)
    with serving(tmp_path, idle_s=1, stub_after_s=30) as site, ThreadPoolExecutor(1) as pool:
        site.open(form=form)
        asked = pool.submit(site.ask, "/gate/original/video.m3u8?from=part")
        time.sleep(1.5)  # the camera is late
        assert not asked.done()
        site.packets(packets)
        assert asked.result(PATIENCE_S).status == 200


@pytest.mark.slow
def test_viewers_who_come_and_go_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.sinks.live.server._SWEEP_S", 0.02)
    form, packets = filmed(200)
    with serving(tmp_path, idle_s=1) as site:
        site.open(form=form)
        stopping = threading.Event()

        def film() -> None:
            for packet in repeated(packets, 30):
                site.sink.on_packet(packet)
                site.frame()
                if stopping.wait(0.01):
                    return

        filming = threading.Thread(target=film)
        filming.start()
        try:
            services = site.sink._server.stream("gate").hls.values()
            before = Footprint.now()
            for _ in range(4):
                for path in ("original/video.m3u8?from=part", "annotated/video.m3u8?from=part"):
                    assert site.ask(f"/gate/{path}").status == 200
                assert site.ask("/gate/annotated/picture.jpg").status == 200
                with site.watching("/gate/annotated/video.mjpeg") as connection:
                    assert connection.recv(1)
                until(lambda: not any(one.is_working for one in services), PATIENCE_S, "at work")
            before.assert_same_again(PATIENCE_S)
        finally:
            stopping.set()
            filming.join()


async def an_offer(aiortc: Any) -> str:
    peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    sdp = str(peer.localDescription.sdp)
    await peer.close()
    return sdp


def post(site: Site, offer: str) -> int:
    headers = {"Content-Type": "application/sdp"}
    return site.ask("/gate/annotated/whep", method="POST", body=offer.encode(), headers=headers).status
