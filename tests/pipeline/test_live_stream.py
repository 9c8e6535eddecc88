"""A live stream as a whole: its source comes and goes, and everything behind it goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.backoff import KeeperOptions
from pipeline.condition import Reason, SourceState
from pipeline.config.schema import PluginConfig
from pipeline.errors import ConfigError, SourceError
from pipeline.event import Event
from pipeline.frame import Frame, Gap
from pipeline.picture import BgrPicture
from pipeline.plugin import Options, Source, StreamInfo
from pipeline.stream import State, Stream
from tests.pipeline.cameras import PATIENCE_S, Camera
from tests.pipeline.parts import ListSink, WorkOptions, WorkStage, stream_config

QUICK = KeeperOptions(retry_s=0.001, retry_most_s=0.002, refused_retry_s=0.002)


class Resized(Camera):
    """Delivers pictures of 16 x 12 px instead of 8 x 6."""

    def open(self) -> StreamInfo:
        return replace(super().open(), width=16, height=12)

    def read(self) -> Iterator[Frame | Gap]:
        for item in super().read():
            if isinstance(item, Frame):
                item.picture = BgrPicture(np.zeros((12, 16, 3), np.uint8))
            yield item


class Recorder(ListSink):
    """Takes what comes before the stream is open, too, and ends the stream after so many frames."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.infos: list[StreamInfo] = []
        self.enough = threading.Event()
        self._frames_left = frames
        self.got["gate"] = []

    def open_stream(self, info: StreamInfo) -> None:
        self.infos.append(info)

    def on_frame(self, frame: Frame) -> None:
        super().on_frame(frame)
        self._frames_left -= 1
        if self._frames_left == 0:
            self.enough.set()

    def events(self, kind: str) -> list[Event]:
        return [item for item in self.got["gate"] if isinstance(item, Event) and item.kind == kind]


def play(*cameras: Source, frames: int, work: Any = None) -> tuple[Stream, Recorder]:
    """Run a stream over these connections until so many frames are through; then nobody answers any more."""
    left = list(cameras)

    def connect(url: object, options: object, stream: str) -> Source:
        return left.pop(0) if left else Camera(["silent"])

    source = PluginConfig("source", "camera", connect, Options())  # type: ignore[arg-type]
    config = replace(stream_config(*work or ()), source=source, keeper=QUICK)
    sink, done = Recorder(frames), threading.Event()
    stream = Stream(config, [("record", sink)], None, done.set)
    stream.start()
    assert sink.enough.wait(PATIENCE_S)
    stream.stop()
    assert done.wait(PATIENCE_S)
    assert stream.ledger.entry().in_flight == 0
    return stream, sink


def test_a_camera_that_comes_back_goes_on_with_its_gap_told() -> None:
    first = Camera(["connect", "open", 0.0, 0.1, SourceError("the cable is out", Reason.NO_DATA)])
    stream, sink = play(first, Camera(["connect", "open", 7.0, 7.1, "silent"]), frames=4)
    times_s = [item.moment.pts_s for item in sink.got["gate"] if isinstance(item, Frame)]
    assert times_s == sorted(times_s)
    assert len(sink.infos) == 1, "stages and sinks stay open"
    (gap,) = sink.events("stream.gap")
    assert (gap.data["cause"], gap.data["after_s"], gap.data["detail"]) == (
        "no data",
        0.1,
        "the cable is out",
    )
    assert stream.state is State.STOPPED
    assert stream.error is None


def test_the_states_of_its_source_are_events_with_the_reason() -> None:
    refused = SourceError("nothing listens there", Reason.CONNECTION_REFUSED)
    cut = SourceError("cut", Reason.NO_DATA)
    _, sink = play(
        Camera([refused]),
        Camera([refused]),
        Camera(["connect", "open", 0.0, cut]),
        Camera(["connect", "open", 0.0, "silent"]),
        frames=2,
    )
    told = [(event.data["state"], event.data["reason"]) for event in sink.events("source.state")]
    assert told[:4] == [
        ("lost", "connection refused"),
        ("playing", None),
        ("lost", "no data"),
        ("playing", None),
    ]
    ids = [event.id for event in sink.events("source.state")]
    assert len(set(ids)) == len(ids)


def test_news_comes_also_of_a_camera_that_was_never_there() -> None:
    sink, done, told = Recorder(1), threading.Event(), threading.Event()

    class Absent(Camera):
        def __init__(self, url: object, options: object, stream: str) -> None:
            super().__init__([SourceError("the password is wrong", Reason.UNAUTHORIZED)], stream)

    source = PluginConfig("source", "absent", Absent, Options())
    stream = Stream(replace(stream_config(), source=source, keeper=QUICK), [("record", sink)], None, done.set)
    on_event = sink.on_event
    sink.on_event = lambda event: (on_event(event), told.set())[0]  # type: ignore[method-assign]
    stream.start()
    assert told.wait(PATIENCE_S)
    assert stream.state is State.OPENING
    assert stream.source is not None
    assert stream.source.reason in (Reason.UNAUTHORIZED, None)
    stream.stop()
    assert done.wait(PATIENCE_S)
    (event,) = sink.events("source.state")
    assert (event.data["state"], event.data["detail"]) == ("refused", "the password is wrong")
    assert sink.infos == []
    assert stream.source.state is SourceState.ENDED


def test_another_picture_size_opens_stages_and_sinks_anew() -> None:
    sizes: list[tuple[int, int]] = []
    work = WorkOptions(
        work=lambda frame: sizes.append((frame.picture.width, frame.picture.height)), last_words=True
    )
    _, sink = play(
        Camera(["connect", "open", 0.0, 0.1]),
        Resized(["connect", "open", 0.0, 0.1, "silent"]),
        frames=4,
        work=[work],
    )
    assert [(info.width, info.height) for info in sink.infos] == [(8, 6), (16, 12)]
    assert sizes == [(8, 6)] * 2 + [(16, 12)] * 2
    assert sink.closed == ["gate", "gate"]
    order = [item.kind if isinstance(item, Event) else item.picture.width for item in sink.got["gate"]]
    without_news = [item for item in order if item != "source.state"]
    assert without_news == [8, 8, "test.finish", "stream.gap", 16, 16, "test.finish"]


class Picky(WorkStage):
    """Cannot be opened for pictures of another size than the first."""

    def open(self, info: StreamInfo) -> None:
        if info.width != 8:
            raise ConfigError("a line lies outside the picture")


@pytest.mark.parametrize("batch", [1, 8])
def test_frames_of_another_size_that_no_stage_takes_are_accounted_for(batch: int) -> None:
    cameras = [Camera(["connect", "open", 0.0]), Resized(["connect", "open", *[k / 10 for k in range(5)]])]
    source = PluginConfig("source", "camera", lambda *_: cameras.pop(0), Options())  # type: ignore[arg-type]
    stage = PluginConfig("stage", "picky", Picky, WorkOptions(batch=batch))
    config = replace(stream_config(), source=source, stages=(stage,), policy="every", keeper=QUICK)
    done = threading.Event()
    stream = Stream(config, [], None, done.set)
    stream.start()
    assert done.wait(PATIENCE_S)
    assert isinstance(stream.error, ConfigError)
    assert stream.ledger.entry().in_flight == 0


def test_frames_of_two_sizes_in_one_batch_are_accounted_for_when_the_first_fails() -> None:
    first, held = threading.Event(), threading.Event()

    def fail(frame: Frame) -> None:
        first.set()
        held.wait(PATIENCE_S)
        if frame.sequence:
            raise ZeroDivisionError

    cameras = [
        Camera(["connect", "open", 0.0, lambda: first.wait(PATIENCE_S), 0.1, 0.2]),
        Resized(["connect", "open", 0.0, 0.1, held.set, "silent"]),
    ]
    source = PluginConfig("source", "camera", lambda *_: cameras.pop(0), Options())  # type: ignore[arg-type]
    work = WorkOptions(work=fail, batch=8)
    config = replace(stream_config(work), source=source, policy="every", keeper=QUICK)
    done = threading.Event()
    stream = Stream(config, [], None, done.set)
    stream.start()
    assert done.wait(PATIENCE_S)
    assert stream.ledger.entry().captured == 5
    assert stream.ledger.entry().in_flight == 0


def test_a_recording_on_a_server_loses_nothing_however_slow_we_are() -> None:
    held = threading.Event()
    work = WorkOptions(work=lambda frame: held.wait(0.001))
    camera = Camera(["connect", "open", *[k / 10 for k in range(50)]], recorded=True)
    source = PluginConfig("source", "camera", lambda *_: camera, Options())  # type: ignore[arg-type]
    sink, done = ListSink(), threading.Event()
    sink.got["gate"] = []
    stream = Stream(replace(stream_config(work), source=source), [("list", sink)], None, done.set)
    stream.start()
    assert done.wait(PATIENCE_S)
    assert sink.frames() == list(range(50))
    assert stream.ages.spreads() == {}, "what was recorded has no age"
    assert stream.state is State.ENDED


def test_the_ages_of_live_frames_are_known_at_each_step() -> None:
    stream, _ = play(Camera(["connect", "open", 0.0, 0.1, "silent"]), frames=2)
    assert list(stream.ages.spreads()) == ["capture", "compute", "output"]
    assert all(sum(spread.counts) == 2 for spread in stream.ages.spreads().values())
