"""`sightline run` with the sink `push`: what arrives at a server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.picture import U8Array
from tests.media import write_crossing_video
from tests.servers import rtsp
from tests.servers.daemons import free_port, rtmp
from tests.servers.footprint import until
from tests.streams.sinks.restream.scene import Player

pytestmark = pytest.mark.slow


@contextmanager
def running(folder: Path, source: str, *sinks: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Run sightline as a process of its own, as users do."""
    config = {
        "out": str(folder / "out"),
        "streams": {"gate": {"source": {"url": source}}},
        "stages": [{"motion": {}}, {"draw": {}}],
        "sinks": ["events", *({"push": options} for options in sinks)],
    }
    (folder / "run.json").write_text(json.dumps(config))
    start = "from pipeline.cli.entry import main; main()"
    words = [sys.executable, "-c", start, "run", str(folder / "run.json")]
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said)
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0, (folder / "said.txt").read_text()
        finally:
            process.kill()
            process.wait()


def pictures(path: Path) -> list[U8Array]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]


def times(path: Path) -> list[float]:
    with av.open(path) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "out" / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def test_a_recording_arrives_whole_and_at_its_own_pace(tmp_path: Path) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4")  # 4 s, with B frames
    (tmp_path / "server").mkdir()
    with rtmp(tmp_path / "server", record=True) as server:
        server.start()
        begun_s = time.monotonic()
        with running(
            tmp_path,
            str(clip),
            {"url": f"rtmp://127.0.0.1:{server.port}/live/copy-{{stream}}"},
            {"url": f"rtmp://127.0.0.1:{server.port}/live/drawn-{{stream}}", "video": "annotated", "crf": 10},
        ) as process:
            assert process.wait(40) == 0, (tmp_path / "said.txt").read_text()
        assert 3.9 < time.monotonic() - begun_s < 40
        copied, drawn = (tmp_path / "server" / f"{name}-gate.flv" for name in ("copy", "drawn"))
        wanted = pictures(clip)
        until(lambda: len(pictures(copied)) == len(wanted), 20, lambda: len(pictures(copied)))
        assert all(map(np.array_equal, pictures(copied), wanted))  # not encoded anew
        assert np.allclose(np.diff(times(copied)), np.diff(times(clip)), atol=0.0011)  # FLV has milliseconds
        assert len(pictures(drawn)) == len(wanted)
        first = np.abs(pictures(drawn)[0].astype(int) - wanted[0])
        assert first.mean() < 5


def test_a_camera_that_goes_and_comes_is_one_stream_to_a_player(tmp_path: Path) -> None:
    with (
        rtmp(tmp_path) as server,
        rtsp.RtspServer({"/cam": rtsp.barcode(320, 240, 25, key_every=10)}) as camera,
    ):
        server.start()
        url = f"rtmp://127.0.0.1:{server.port}/live"
        with running(
            tmp_path,
            camera.url("/cam"),
            {"url": f"{url}/copy?key=pa55", "stub_after_s": 0.5},
            {"url": f"{url}/drawn", "video": "annotated", "stub_after_s": 0.5, "keyframe_s": 0.5},
        ):
            players = [Player(f"{url}/{name}", patience_s=5) for name in ("copy", "drawn")]
            try:
                until(lambda: all(len(player.seen) > 30 for player in players), 20, "nothing arrives")
                camera.kill()
                gone = [len(player.seen) for player in players]
                until(
                    lambda: all(
                        p.has(lambda seen: seen.stamp is None, n) for p, n in zip(players, gone, strict=True)
                    ),
                    15,
                    "nothing stands in",
                )
                camera.restart()
                back = [len(player.seen) for player in players]
                until(
                    lambda: all(
                        p.has(lambda seen: seen.stamp is not None, n)
                        for p, n in zip(players, back, strict=True)
                    ),
                    20,
                    "the camera does not come back",
                )
                until(
                    lambda: all(len(p.seen) > n + 60 for p, n in zip(players, back, strict=True)),
                    20,
                    "too few",
                )
            finally:
                for player in players:
                    player.stop()
        for player in players:
            assert player.connections == 1
            times_s = [seen.pts_s for seen in player.seen]
            # The test's camera stamps pictures when they are made: on a busy machine some at once.
            assert (np.diff(times_s) >= 0).all()
        assert [event for event in events(tmp_path, "sink.state") if event["data"]["state"] == "failed"] == []
        assert (
            "pa55" not in (tmp_path / "said.txt").read_text() + (tmp_path / "out" / "report.json").read_text()
        )


@pytest.mark.parametrize("video", ["original", "annotated"])
def test_a_recording_that_nobody_takes_is_a_failed_run(tmp_path: Path, video: str) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=30)
    target = f"rtmp://127.0.0.1:{free_port()}/live/pa55"
    with running(tmp_path, str(clip), {"url": target, "video": video}) as process:
        assert process.wait(40) == 1
        said = (tmp_path / "said.txt").read_text()
        assert re.search(r"error: stream 'gate'.*push.*: nothing listens there", said)
        assert "pa55" not in said
        process.returncode = 0  # as wanted
