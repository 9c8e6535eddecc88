"""Packets through all of sightline: what the source sent, byte for byte, with the clocks of the frames."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy.typing as npt
import pytest

from pipeline.backoff import KeeperOptions
from pipeline.config.load import load_config
from pipeline.config.schema import Config, PluginConfig
from pipeline.engine import Engine
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import Options, SinkOptions
from streams.sinks.copying.copier import Copier
from tests.media import write_crossing_video
from tests.packets import hashes, hashes_in, packets_of
from tests.pipeline.messages import wait_until
from tests.servers.http import HttpServer, files
from tests.servers.rtsp import RtspServer, clip, pattern

PATIENCE_S = 30.0


class KeepOptions(SinkOptions):
    """Where the test looks."""

    kept: Any = None


class Kept:
    """What a sink was given."""

    def __init__(self) -> None:
        self.forms: list[PacketFormat] = []
        self.packets: list[Packet] = []
        self.frames: list[Frame] = []
        self.events: list[Event] = []
        self.closed = 0
        self.fail: Mapping[int, Exception] = {}


class Keeping(PacketSink):
    """Keeps all that comes."""

    Options: ClassVar[type[Options]] = KeepOptions

    @property
    def kept(self) -> Kept:
        found: Kept = self.options.kept
        return found

    def open_packets(self, form: PacketFormat) -> None:
        self.kept.forms.append(form)

    def on_packet(self, packet: Packet) -> None:
        if packet.sequence in self.kept.fail:
            raise self.kept.fail[packet.sequence]
        self.kept.packets.append(packet)

    def close_packets(self, stream: str) -> None:
        assert stream == "gate"
        self.kept.closed += 1

    def on_frame(self, frame: Frame) -> None:
        self.kept.frames.append(frame)

    def on_event(self, event: Event) -> None:
        self.kept.events.append(event)


def configured(folder: Path, source: str | Path, kept: Kept) -> Config:
    (folder / "c.yaml").write_text(f"streams: {{gate: {{source: '{source}'}}}}\nsinks: [events]\n")
    config = load_config(folder / "c.yaml", out=folder / "out")
    keep = PluginConfig("sink", "keep", Keeping, KeepOptions(kept=kept))
    return replace(config, sinks=(*config.sinks, keep))


def check_clocks(kept: Kept) -> None:
    """Every frame has a packet that says the same of its time."""
    (form,) = kept.forms
    by_ticks = {packet.pts: packet.moment for packet in kept.packets}
    for frame in kept.frames:
        assert frame.ticks is not None
        moment = by_ticks[frame.ticks]
        assert moment.pts_s == pytest.approx(frame.moment.pts_s, abs=1e-4)
        assert abs(moment.time_ns - frame.moment.time_ns) < 100_000_000
    assert form.stream == "gate"
    assert {form.run} == {frame.run for frame in kept.frames}


def test_a_files_packets_are_all_there(tmp_path: Path) -> None:
    path = write_crossing_video(tmp_path / "clip.mp4")
    kept = Kept()
    with Engine(configured(tmp_path, path, kept)) as engine:
        report = engine.run()
    assert hashes(kept.packets) == hashes_in(path)
    check_clocks(kept)
    assert not kept.forms[0].live
    assert kept.closed == 1
    assert report["streams"]["gate"]["packets"]["keep"]["taken"] == 80
    form, packets = packets_of(path)
    assert (form.codec, form.width, form.extradata) == ("h264", 320, kept.forms[0].extradata)
    assert [p.dts for p in packets] == [p.dts for p in kept.packets]


def test_a_sink_that_fails_is_told_and_makes_a_file_run_fail(tmp_path: Path) -> None:
    path = write_crossing_video(tmp_path / "clip.mp4")
    kept = Kept()
    kept.fail = {30: OSError(28, "No space left on device")}
    with Engine(configured(tmp_path, path, kept)) as engine:
        report = engine.run()
    assert report["streams"]["gate"]["frames"]["finished"] == 80, "analytics goes on"
    (told,) = [event for event in kept.events if event.kind == "sink.state"]
    assert told.data["sink"] == "keep"
    assert told.data["state"] == "failed"
    assert "No space left" in told.data["detail"]
    assert engine.exit_code() == 1
    assert "sink 'keep' failed" in report["streams"]["gate"]["error"]


def test_a_recording_on_a_server(tmp_path: Path) -> None:
    path = write_crossing_video(tmp_path / "clip.mp4")
    kept = Kept()
    with (
        HttpServer({"/clip.mp4": files(tmp_path)}) as server,
        Engine(configured(tmp_path, server.url("/clip.mp4"), kept)) as engine,
    ):
        engine.run()
    assert hashes(kept.packets) == hashes_in(path)
    check_clocks(kept)


def test_a_camera_can_be_copied_into_a_file(tmp_path: Path) -> None:
    kept = Kept()
    with (
        RtspServer({"/cam": pattern(320, 240, 25, key_every=10)}) as server,
        Engine(configured(tmp_path, server.url("/cam"), kept)) as engine,
    ):
        thread = threading.Thread(target=engine.run)
        thread.start()
        wait_until(lambda: len(kept.frames) > 40, PATIENCE_S)
        engine.stop()
        thread.join(PATIENCE_S)
    check_clocks(kept)
    assert kept.forms[0].live
    assert kept.packets[0].is_key
    target = tmp_path / "copy.mp4"
    with Copier(target, kept.forms[0], container="mp4") as copier:
        for packet in kept.packets:
            copier.write(packet)
    with av.open(target) as copy:
        shown = [frame.time for frame in copy.decode(video=0)]
    assert len(shown) == len(kept.packets)
    assert shown[0] == 0.0


def test_a_lost_camera_ends_the_copy_at_once_and_the_next_begins_with_its_return(tmp_path: Path) -> None:
    kept = Kept()
    with RtspServer({"/cam": pattern(320, 240, 25, key_every=10)}) as server:
        config = configured(tmp_path, server.url("/cam"), kept)
        quick = KeeperOptions(retry_s=0.1, retry_most_s=0.2)
        config = replace(config, streams=tuple(replace(each, keeper=quick) for each in config.streams))
        with Engine(config) as engine:
            thread = threading.Thread(target=engine.run)
            thread.start()
            wait_until(lambda: len(kept.packets) > 10, PATIENCE_S)
            server.kill()
            wait_until(lambda: kept.closed == 1, PATIENCE_S)
            server.restart()
            wait_until(lambda: len(kept.forms) == 2 and kept.packets[-1].run == kept.forms[1].run, PATIENCE_S)
            engine.stop()
            thread.join(PATIENCE_S)
    assert kept.closed == 2
    first, second = kept.forms
    assert first.run != second.run
    assert next(p for p in kept.packets if p.run == second.run).is_key


@pytest.mark.slow
def test_b_frames_over_rtsp_are_copied_in_order(tmp_path: Path) -> None:
    path = write_crossing_video(tmp_path / "clip.mp4", frames=60)
    kept = Kept()
    with (
        RtspServer({"/clip": clip(path)}) as server,
        Engine(configured(tmp_path, server.url("/clip"), kept)) as engine,
    ):
        thread = threading.Thread(target=engine.run)
        thread.start()
        wait_until(lambda: len(kept.frames) > 45, PATIENCE_S)
        engine.stop()
        thread.join(PATIENCE_S)
    target = tmp_path / "copy.mp4"
    with Copier(target, kept.forms[0], container="mp4") as copier:
        for packet in kept.packets:
            copier.write(packet)
    with av.open(target) as copy:
        copied = [digest(frame.to_ndarray()[: frame.height]) for frame in copy.decode(video=0)]
    seen = [digest(frame.picture.luma()) for frame in kept.frames]
    assert copied[: len(seen) - 5] == seen[: len(seen) - 5]


def digest(luma: npt.NDArray[Any]) -> bytes:
    return blake2b(luma.tobytes(), digest_size=8).digest()
