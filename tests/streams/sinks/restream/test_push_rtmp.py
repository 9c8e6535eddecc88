"""The sink `push` against nginx-rtmp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.servers.daemons import rtmp
from tests.streams.sinks.restream.scene import Stage, wait_for


@pytest.mark.slow
def test_the_camera_s_packets_arrive_and_a_stand_in_bridges_its_absence(tmp_path: Path) -> None:
    with rtmp(tmp_path) as server:
        server.start()
        url = f"rtmp://127.0.0.1:{server.port}/live/gate"
        with Stage(tmp_path, url, timeout_s=5, stub_after_s=1.5) as stage:
            stage.camera.start()
            player = stage.player(url, patience_s=5)
            wait_for(lambda: player.has(lambda seen: seen.stamp is not None), player)
            wait_for(lambda: len(player.seen) > 20, player)
            stage.camera.stop()
            wait_for(lambda: player.has(lambda seen: seen.stamp is None), player)
            stage.camera.start()
            stub = player.numbers().index(None)
            wait_for(lambda: player.has(lambda seen: seen.stamp is not None, stub), player)
            wait_for(lambda: len(player.seen) > 60, player)
            numbers = player.numbers()
            assert player.connections == 1  # it never had to connect again
            times = np.diff([seen.pts_s for seen in player.seen])
            assert times.min() >= 0
            assert times.max() < 3
            whole = [number for number in numbers if number is not None]
            assert whole == sorted(whole)
            assert np.count_nonzero(np.diff(whole) > 1) <= 2  # only around the break
            assert stage.told == []
