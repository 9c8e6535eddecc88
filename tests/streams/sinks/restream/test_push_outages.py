"""The sink `push` while servers are killed, hang, and come back."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import av
import pytest

from pipeline.picture import U8Array
from tests.servers import rtsp
from tests.servers.barcode import read_barcode
from tests.servers.daemons import binary, free_port, rtmp
from tests.streams.sinks.restream.scene import Camera, Stage, wait_for


@pytest.mark.slow
def test_rtmp_a_server_that_is_killed_or_hangs_is_found_again(tmp_path: Path) -> None:
    with rtmp(tmp_path) as server:
        url = f"rtmp://127.0.0.1:{server.port}/live/gate"
        with Stage(tmp_path, url, keyframe_s=0.4, video="annotated") as stage:
            stage.camera.start()  # before the server is there
            wait_for(lambda: stage.states() == ["failed"])
            assert stage.told[0]["detail"] == f"rtmp://127.0.0.1:{server.port}: nothing listens there"
            server.start()
            player = stage.player(url)
            wait_for(lambda: stage.states()[-1:] == ["working"])
            wait_for(lambda: len(player.seen) > 10, player)
            told = len(stage.states())
            server.restart()
            wait_for(lambda: len(stage.states()) > told and stage.states()[-1] == "working")
            count = len(player.seen)
            wait_for(lambda: len(player.seen) > count + 10, player)
            stage.camera.noise = True  # a server's socket must be full before it is seen to hang
            server.signal(signal.SIGSTOP)
            wait_for(lambda: stage.states()[-1] == "failed")
            stage.camera.noise = False
            server.signal(signal.SIGCONT)
            wait_for(lambda: stage.states()[-1] == "working")
            count = len(player.seen)
            wait_for(lambda: len(player.seen) > count + 10, player)
            stage.assert_held_up_nobody()


@pytest.mark.slow
def test_rtsp_likewise(tmp_path: Path) -> None:
    door = socket.create_server(("127.0.0.1", 0))
    mount = rtsp.record(door.getsockname()[1])
    with door, rtsp.RtspServer({"/rec": mount}) as server, Stage(tmp_path, server.url("/rec")) as stage:
        player = stage.player(door, "mpegts")
        stage.camera.start()
        wait_for(lambda: len(player.seen) > 20, player)
        server.restart()
        wait_for(lambda: stage.states()[-1:] == ["working"])
        count = len(player.seen)
        wait_for(lambda: len(player.seen) > count + 20, player)
        stage.camera.noise = True
        server.stall()
        wait_for(lambda: len(stage.states()) > 2 and stage.states()[-1] == "failed", seconds=40)
        stage.camera.noise = False
        server.resume()
        wait_for(lambda: stage.states()[-1] == "working")
        count = len(player.seen)
        wait_for(lambda: len(player.seen) > count + 20, player)
        stage.camera.stop()
        wait_for(lambda: player.has(lambda seen: seen.stamp is None), player)
        count = len(player.seen)
        stage.camera.start()
        wait_for(lambda: player.has(lambda seen: seen.stamp is not None, count), player)
        stage.assert_held_up_nobody()


@pytest.mark.slow
def test_rtsp_a_wrong_password_is_told_and_not_tried_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        mount = rtsp.record(door.getsockname()[1])
        with rtsp.RtspServer({"/rec": mount}, user="publisher", password="right") as server:
            with Stage(tmp_path, server.url("/rec", "publisher:pa55")) as stage:
                stage.camera.start()
                wait_for(lambda: len(stage.told) > 0)
                assert stage.told[0]["detail"] == (
                    f"rtsp://127.0.0.1:{server.port}: it refuses the user or password (401); correct url"
                )
                assert stage.pusher()._retry_s - time.monotonic() > 20
            with Stage(tmp_path, server.url("/rec", "publisher:right"), timeout_s=5) as stage:
                player = stage.player(door, "mpegts")
                stage.camera.start()
                wait_for(lambda: len(player.seen) > 5, player)
                assert stage.told == []


@pytest.mark.slow
def test_rtsp_with_pictures_over_udp(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        mount = rtsp.record(door.getsockname()[1])
        with (
            rtsp.RtspServer({"/rec": mount}) as server,
            Stage(tmp_path, server.url("/rec"), transport="udp") as stage,
        ):
            player = stage.player(door, "mpegts")
            stage.camera.start()
            wait_for(lambda: len(player.seen) > 5, player)
            server.kill()
            wait_for(lambda: stage.states()[-1:] == ["failed"])
            server.restart()
            wait_for(lambda: stage.states()[-1:] == ["working"])
            stage.assert_held_up_nobody()


@pytest.mark.slow
def test_rtsp_h265_has_a_stand_in_too(tmp_path: Path) -> None:
    port, got = free_port(), tmp_path / "got.ts"
    words = f"-v error -rtsp_flags listen -timeout 20 -i rtsp://127.0.0.1:{port}/gate -c copy {got}"
    command = [binary("ffmpeg", "ffmpeg"), *words.split()]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        # Late enough that a camera which the box holds up does not pass for one that is gone.
        with Stage(tmp_path, f"rtsp://127.0.0.1:{port}/gate", stub_after_s=2, timeout_s=5) as stage:
            stage.camera = Camera(stage.sink, codec="hevc")
            stage.camera.start()
            wait_for(lambda: "gate" in stage.sink._copied and stage.pusher()._sent > 20)
            stage.camera.stop()
            wait_for(lambda: stage.pusher()._stand_in is not None)
            stood_in = stage.pusher()._sent
            wait_for(lambda: stage.pusher()._sent > stood_in + 3)
            stage.camera.start()
            wait_for(lambda: stage.pusher()._stand_in is None)
            sent = stage.pusher()._sent
            wait_for(lambda: stage.pusher()._sent > sent + 20)
        server.wait(20)
    numbers = [stamp.number if stamp and stamp.time_ns else None for stamp in map(read_barcode, lumas(got))]
    first, last = numbers.index(None), len(numbers) - numbers[::-1].index(None)
    assert last - first >= 3
    assert numbers[first:last] == [None] * (last - first)
    assert len(numbers[:first]) >= 20
    assert len(numbers[last:]) >= 20
    whole = [*numbers[:first], *numbers[last:]]
    assert whole == list(range(whole[0], whole[0] + len(whole)))  # nothing is missing, also around the break


def lumas(path: Path) -> list[U8Array]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
def test_a_server_that_never_answers_holds_up_no_other_thread(tmp_path: Path, scheme: str) -> None:
    stop, longest = threading.Event(), [0.0]

    def tick() -> None:  # anything else that the process does
        last_s = time.monotonic()
        while not stop.wait(0.01):
            now_s = time.monotonic()
            longest[0], last_s = max(longest[0], now_s - last_s), now_s

    ticking = threading.Thread(target=tick, daemon=True)
    with socket.create_server(("127.0.0.1", 0)) as door:  # the kernel accepts, nobody reads
        url = f"{scheme}://127.0.0.1:{door.getsockname()[1]}/live/gate"
        ticking.start()
        with Stage(tmp_path, url, timeout_s=2.0) as stage:
            stage.camera.start()
            wait_for(lambda: len(stage.told) > 0)
            assert re.search(r"no answer within (2|4) s", str(stage.told[0]["detail"]))
            time.sleep(1.5)  # the next try is under way when all ends
        stop.set()
        ticking.join()
    assert longest[0] < 1.8
