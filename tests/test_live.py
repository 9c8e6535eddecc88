"""Cameras and the whole of sightline: two streams of one camera on one clock, and every branch comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import av
import pytest
import zmq

from pipeline.backoff import KeeperOptions
from pipeline.config.load import load_config
from pipeline.config.schema import Config, PluginConfig
from pipeline.engine import Engine
from pipeline.frame import Frame
from pipeline.moment import Clock
from pipeline.plugin import Options, Sink, SinkOptions
from tests.pipeline.messages import wait_until
from tests.servers.barcode import read_barcode
from tests.servers.rtsp import RtspServer, barcode, pattern

PATIENCE_S = 30.0
COUNT = "{count: {lines: {middle: {start: [0, 0.5], end: [1, 0.5], anchor: center}}}}"


class WatchOptions(SinkOptions):
    """Whom to show every frame."""

    take: Any = None


class Watching(Sink):
    """Shows every frame to the test."""

    Options: ClassVar[type[Options]] = WatchOptions

    def on_frame(self, frame: Frame) -> None:
        self.options.take(frame)


def configured(folder: Path, text: str, take: Callable[[Frame], None]) -> Config:
    (folder / "live.yaml").write_text(text)
    config = load_config(folder / "live.yaml", out=folder / "out")
    watch = PluginConfig("sink", "watch", Watching, WatchOptions(take=take))
    quick = KeeperOptions(retry_s=0.1, retry_most_s=0.2)
    streams = tuple(replace(stream, keeper=quick) for stream in config.streams)
    return replace(config, streams=streams, sinks=(*config.sinks, watch))


@contextmanager
def running(config: Config) -> Iterator[Engine]:
    with Engine(config) as engine:
        thread = threading.Thread(target=engine.run)
        thread.start()
        try:
            yield engine
        finally:
            engine.stop()
            thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.mark.slow
def test_two_streams_of_one_camera_are_on_one_clock(tmp_path: Path) -> None:
    """What is found in the small stream is to be found in the large one at the same time of day."""
    off_ms: dict[str, list[float]] = {"sub": [], "main": []}

    def take(frame: Frame) -> None:
        stamp = read_barcode(frame.picture.luma())
        if stamp is not None and frame.moment.clock is Clock.CAMERA:
            off_ms[frame.stream].append((frame.moment.time_ns - stamp.time_ns) / 1e6)

    mounts = {"/sub": barcode(640, 360, 25, key_every=12), "/main": barcode(1280, 720, 25, key_every=12)}
    with RtspServer(mounts) as server:
        sources = ", ".join(f"{name}: {{source: '{server.url(f'/{name}')}'}}" for name in off_ms)
        with running(configured(tmp_path, f"streams: {{{sources}}}", take)):
            wait_until(lambda: all(len(found) >= 25 for found in off_ms.values()), PATIENCE_S)
    middle_ms = {name: sorted(found)[len(found) // 2] for name, found in off_ms.items()}
    assert abs(middle_ms["sub"] - middle_ms["main"]) < 40, f"less than a picture apart: {middle_ms} ms"
    assert max(map(abs, middle_ms.values())) < 100, f"and true: {middle_ms} ms"


def test_every_branch_comes_back_after_a_reboot(tmp_path: Path) -> None:
    frames: list[Frame] = []
    with RtspServer({"/cam": pattern(320, 240, 25, key_every=5)}) as server:
        text = (
            f"streams: {{gate: {{source: '{server.url('/cam')}'}}}}\nstages: [motion, track, {COUNT}, draw]\n"
        )
        text += "sinks: [events, counts, video]\nbus: {frames: 'tcp://127.0.0.1:*'}\n"
        with (
            running(configured(tmp_path, text, frames.append)) as engine,
            zmq.Context() as context,
            context.socket(zmq.SUB) as viewer,
        ):
            assert engine._bus is not None
            viewer.connect(engine._bus.endpoints["frames"])
            viewer.subscribe("frame/gate")
            wait_until(lambda: len(frames) > 15, PATIENCE_S)
            assert viewer.poll(10_000), "a viewer sees pictures before the reboot"
            server.kill()
            (stream,) = engine.streams
            wait_until(lambda: stream.source is not None and stream.source.failures > 0, PATIENCE_S)
            before = len(frames)
            server.restart()
            wait_until(lambda: len(frames) > before + 15, PATIENCE_S)
            while viewer.poll(0):
                viewer.recv_multipart()
            assert viewer.poll(10_000), "and after it"
    ledger = stream.ledger.entry()
    assert (ledger.in_flight, stream.error) == (0, None)
    told = (tmp_path / "out/events.jsonl").read_text()
    assert told.count('"kind":"stream.gap"') == 1
    assert told.count('"state":"playing"') == 2
    (table,) = (tmp_path / "out/counts/gate").glob("*.csv")
    assert table.read_text().count("middle") >= 2
    with av.open(tmp_path / "out/gate.mp4") as video:
        times_s = [frame.time for frame in video.decode(video=0) if frame.time is not None]
    span_s = frames[-1].moment.pts_s - frames[0].moment.pts_s
    assert len(times_s) == ledger.finished == len(frames)
    assert times_s[-1] - times_s[0] == pytest.approx(span_s, abs=0.01), (
        "one file, the break as long as it was"
    )
    assert frames[-1].run != frames[0].run
