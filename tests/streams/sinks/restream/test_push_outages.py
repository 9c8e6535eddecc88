"""The sink `push` while servers are killed, hang, and come back."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.servers import rtsp
from tests.servers.daemons import rtmp
from tests.streams.sinks.restream.scene import Stage, wait_for


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
            wait_for(lambda: stage.states() == ["failed", "working"])
            wait_for(lambda: len(player.seen) > 10, player)
            server.restart()
            wait_for(lambda: stage.states() == ["failed", "working"] * 2)
            count = len(player.seen)
            wait_for(lambda: len(player.seen) > count + 10, player)
            stage.camera.noise = True  # a server's socket must be full before it is seen to hang
            server.signal(signal.SIGSTOP)
            wait_for(lambda: len(stage.states()) > 4)
            stage.camera.noise = False
            server.signal(signal.SIGCONT)
            wait_for(lambda: stage.states()[-1] == "working")
            count = len(player.seen)
            wait_for(lambda: len(player.seen) > count + 10, player)
            assert stage.camera.slowest_s < 0.5  # nobody ever waited for the server


@pytest.mark.slow
def test_rtsp_likewise(tmp_path: Path) -> None:
    door = socket.create_server(("127.0.0.1", 0))
    mount = rtsp.record(door.getsockname()[1])
    with door, rtsp.RtspServer({"/rec": mount}) as server, Stage(tmp_path, server.url("/rec")) as stage:
        player = stage.player(door, "mpegts")
        stage.camera.start()
        wait_for(lambda: len(player.seen) > 20, player)
        server.restart()
        wait_for(lambda: stage.states() == ["failed", "working"])
        count = len(player.seen)
        wait_for(lambda: len(player.seen) > count + 20, player)
        stage.camera.noise = True
        server.stall()
        wait_for(lambda: len(stage.states()) > 2, seconds=40)
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
        assert stage.camera.slowest_s < 0.5
