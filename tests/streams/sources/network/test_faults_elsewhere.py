"""The faults of `test_faults` over other ways than RTSP in one TCP connection: UDP, motion JPEG, HLS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from pipeline.condition import Reason
from tests.servers.footage import encoded, jpegs, segments
from tests.servers.footprint import Footprint, until
from tests.servers.http import HttpServer, Playlist, Request, Route, body, mjpeg, page, status
from tests.streams.sources.network.rig import KEEPER, RATE_HZ, SOURCE, Rig, Running, record

pytestmark = pytest.mark.slow

SLACK_S = 5.0
AGAIN_S = 2 * KEEPER.connect_s + KEEPER.picture_s + KEEPER.refused_retry_s + SLACK_S
HTTP_SILENCE_S = 20.0
"""A reader that was given up may stay inside FFmpeg for so long (segments of HLS come that seldom)."""


def killed(rig: Rig) -> None:
    rig.proxy.refuse()
    rig.camera.kill()


@pytest.mark.parametrize(
    ("name", "harm"), [("killed, over UDP", killed), ("hung, over UDP", lambda rig: rig.camera.stall())]
)
def test_rtsp_over_udp(name: str, harm: Callable[[Rig], object]) -> None:
    before = Footprint.now()
    with Rig() as rig:
        running = Running(rig.url, options=SOURCE.model_copy(update={"transport": "udp"}))
        running.plays(10)
        harmed_s = time.monotonic()
        harm(rig)
        told = told_of(running, {Reason.NO_DATA, Reason.CLOSED}, harmed_s, KEEPER.stall_s + SLACK_S)
        rig.heal()
        if name.startswith("killed"):
            rig.camera.restart()
        again_s = running.plays(AGAIN_S)
        running.stop(5.0)
    left_s = before.assert_same_again(2 * SOURCE.timeout_s + SLACK_S)
    record(name, reader="stream", **told, again_s=round(again_s, 2), left_s=round(left_s, 2))


def told_of(running: Running, reasons: set[Reason], since_s: float, within_s: float) -> dict[str, object]:
    """Wait until one of the reasons is told; return it, and how long that took."""

    def heard() -> list[tuple[float, Reason]]:
        told = ((at, status.reason) for at, status in running.told if at >= since_s)
        return [(at, reason) for at, reason in told if reason in reasons]

    until(heard, within_s, lambda: f"told; {running.told[-3:]}")
    at, reason = heard()[0]
    return {"reason": str(reason), "told_s": round(at - since_s, 2)}


MOVING = mjpeg(jpegs(10), RATE_HZ)
STREAM = encoded(250, key_every=10)


def paced(stall_after: int | None = None) -> Route:
    return body(STREAM, length=False, bytes_per_s=len(STREAM) / 10, stall_after=stall_after)


def halting(pictures: int) -> Route:
    """Serve so many pictures of motion JPEG, and then nothing, with the connection open."""

    def answer(request: Request) -> None:
        mjpeg(jpegs(pictures), RATE_HZ, repeat=False)(request)
        request.wait()

    return answer


@pytest.mark.parametrize(
    ("name", "bad", "good", "reasons"),
    [
        ("motion JPEG stops", halting(20), MOVING, {Reason.NO_DATA}),
        ("MPEG-TS over HTTP stops", paced(stall_after=30_000), paced(), {Reason.NO_DATA}),
        ("503 for a while", status(503), MOVING, {Reason.FAILED}),
        ("a page of HTML", page("<html>camera</html>"), MOVING, {Reason.NOT_MEDIA}),
    ],
)
def test_http(name: str, bad: Route, good: Route, reasons: set[Reason]) -> None:
    before = Footprint.now()
    with HttpServer({"/video": bad}) as server:
        start_s = time.monotonic()
        running = Running(server.url("/video"))
        told = told_of(running, reasons, start_s, 3.0 + KEEPER.stall_s + SLACK_S)
        server.routes["/video"] = good
        again_s = running.plays(AGAIN_S)
        running.stop(5.0)
        left_s = before_is_back(before, server)
    record(name, reader="stream", **told, again_s=round(again_s, 2), left_s=round(left_s, 2))


def test_a_live_playlist_that_stands_still() -> None:
    before = Footprint.now()
    live = Playlist(segments(30), 1.0, window=4)
    with HttpServer({"/a.m3u8": live.playlist, "/": live.segments}) as server:
        running = Running(server.url("/a.m3u8"))
        moving = threading.Event()
        ended = threading.Event()
        moving.set()

        def advance() -> None:
            while not ended.wait(1.0):
                if moving.is_set():
                    live.advance()

        ticker = threading.Thread(target=advance, name="ticker")
        ticker.start()
        running.plays(10.0, frames=75)
        moving.clear()
        start_s = time.monotonic()
        told = told_of(running, {Reason.NO_DATA}, start_s, 10.0 + KEEPER.stall_s)
        moving.set()
        again_s = running.plays(AGAIN_S, frames=50)
        ended.set()
        ticker.join()
        running.stop(5.0)
        left_s = before_is_back(before, server)
    record(
        "HLS playlist stands still",
        reader="stream",
        **told,
        again_s=round(again_s, 2),
        left_s=round(left_s, 2),
    )


def before_is_back(before: Footprint, server: HttpServer) -> float:
    """Wait until only the server's own threads and sockets are left, then close it and compare."""
    start_s = time.monotonic()
    until(lambda: not readers(), HTTP_SILENCE_S + SLACK_S, lambda: f"readers are gone; {readers()}")
    seconds = time.monotonic() - start_s
    server.close()
    before.assert_same_again(SLACK_S)
    return seconds


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("-reader")]
