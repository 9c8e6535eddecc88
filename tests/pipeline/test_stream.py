"""One stream: order, gaps, batches, failures in every part; and the books always balance."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captured import _LOT_PICTURES
from pipeline.config.schema import StreamConfig
from pipeline.errors import ConfigError, FrameLost, SinkError, SourceError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import Sink, StreamInfo
from pipeline.stopwatch import Stopwatch
from pipeline.stream import State, Stream
from tests.pipeline.parts import ListSink, ScriptSource, WorkOptions, WorkStage, stream_config

PATIENCE_S = 20.0


def run(config: StreamConfig, *sinks: Sink) -> Stream:
    done = threading.Event()
    stream = Stream(config, [(f"sink{i}", sink) for i, sink in enumerate(sinks)], None, done.set)
    assert stream.state is State.OPENING
    stream.start()
    assert done.wait(PATIENCE_S)
    stream.join(PATIENCE_S)
    assert stream.ledger.entry().in_flight == 0
    return stream


def stages_of(stream: Stream) -> list[WorkStage]:
    return [stage for _, stage in stream._stages if isinstance(stage, WorkStage)]


def fail_at(sequence: int, error: BaseException) -> WorkOptions:
    def work(frame: Frame) -> None:
        if frame.sequence == sequence:
            raise error

    return WorkOptions(work=work)


def test_every_frame_of_a_file_reaches_the_sink_in_order() -> None:
    sink = ListSink()
    stream = run(stream_config(WorkOptions(), WorkOptions()), sink)
    assert sink.frames() == list(range(10))
    assert stream.state is State.ENDED
    assert stream.media_span_s == (0.0, 0.9)
    assert (stream.ledger.entry().finished, stream.ledger.entry().dropped) == (10, {})
    assert sink.closed == ["gate"]
    assert all(stage.closed == 1 for stage in stages_of(stream))


def test_a_gap_is_an_event_before_the_frame_that_follows_it() -> None:
    sink = ListSink()
    stream = run(stream_config(script=["frame", "gap", "gap", "frame"]), sink)
    _, event, second = sink.got["gate"]
    assert isinstance(event, Event)
    assert isinstance(second, Frame)
    assert event.kind == "stream.gap"
    assert event.data == {"cause": "decode error", "after_s": 0.0, "seconds": 0.6, "detail": "bad packet"}
    assert event.moment.pts_s == 0.0
    assert second.gap is not None
    assert stream.tally.gaps()[0] == 1


def test_a_gap_at_the_end_is_told_although_no_frame_follows() -> None:
    sink = ListSink()
    run(stream_config(script=["frame", "frame", "gap"]), sink)
    assert sink.frames() == [0, 1]
    assert sink.kinds() == ["stream.gap"]


def test_what_a_stage_knows_only_at_the_end_comes_last() -> None:
    sink = ListSink()
    run(stream_config(WorkOptions(last_words=True), script=["frame", "frame", "gap"]), sink)
    assert sink.kinds() == ["stream.gap", "test.finish"]
    assert isinstance(sink.got["gate"][-1], Event)


@pytest.mark.parametrize(("batch", "expected"), [(1, [1] * 10), (4, [4, 4, 2]), (10, [10]), (64, [10])])
def test_batches_of_a_file_do_not_depend_on_timing(batch: int, expected: list[int]) -> None:
    sink = ListSink()
    stream = run(stream_config(WorkOptions(batch=batch), WorkOptions(batch=1)), sink)
    assert stages_of(stream)[0].batches == expected
    assert stages_of(stream)[1].batches == [1] * 10
    assert sink.frames() == list(range(10))


def test_a_source_that_fails_leaves_what_it_delivered_counted() -> None:
    sink = ListSink()
    script = [*["frame"] * 5, "gap", SourceError("clip.mp4: ends early")]
    stream = run(stream_config(WorkOptions(last_words=True), script=script), sink)
    assert stream.state is State.FAILED
    assert str(stream.error) == "clip.mp4: ends early"
    assert sink.frames() == list(range(5))
    assert sink.kinds() == ["stream.gap", "test.finish"]


def test_a_source_that_cannot_be_opened_opens_no_sink() -> None:
    sink = ListSink()
    stream = run(stream_config(open_error=SourceError("clip.mp4: no such file")), sink)
    assert (stream.state, str(stream.error)) == (State.FAILED, "clip.mp4: no such file")
    assert sink.got == {}
    assert sink.closed == []


def test_a_stage_that_refuses_the_stream_opens_no_sink() -> None:
    sink = ListSink()
    stream = run(stream_config(WorkOptions(open_error=ConfigError("line 'a' lies outside"))), sink)
    assert isinstance(stream.error, ConfigError)
    assert sink.got == {}


@pytest.mark.parametrize("frames", [3, 200])
def test_a_failing_stage_names_itself_the_frame_and_the_reason(frames: int) -> None:
    sink = ListSink()
    broken = fail_at(2, ZeroDivisionError("division by zero"))
    stream = run(stream_config(WorkOptions(), broken, script=["frame"] * frames), sink)
    assert (
        str(stream.error) == "stage 'work1' failed at frame 2 (0.20 s): ZeroDivisionError: division by zero"
    )
    assert sink.frames() == [0, 1]
    assert stream.ledger.entry().dropped["work1"] == {"error": 1}


@pytest.mark.parametrize("batch", [1, 4])
def test_a_frame_that_a_stage_loses_is_a_gap_and_the_stream_goes_on(batch: int) -> None:
    sink = ListSink()

    def work(frame: Frame) -> None:
        if frame.sequence in (3, 4, 9):
            raise FrameLost("model hung", f"at {frame.sequence}")

    stream = run(stream_config(WorkOptions(work=work, batch=batch), WorkOptions(last_words=True)), sink)
    assert stream.state is State.ENDED
    assert sink.frames() == [0, 1, 2, 5, 6, 7, 8]
    assert stream.ledger.entry().dropped == {"work0": {"model hung": 3}}
    gaps = [item for item in sink.got["gate"] if isinstance(item, Event) and item.kind == "stream.gap"]
    assert [gap.data["after_s"] for gap in gaps] == [0.2, 0.8]
    assert [gap.data["seconds"] for gap in gaps] == [pytest.approx(0.2), None]
    assert gaps[0].data["detail"] == "at 3; at 4"
    assert sink.got["gate"].index(gaps[0]) == 3
    assert sink.kinds()[-1] == "test.finish"


def test_a_stage_may_lose_a_whole_batch() -> None:
    class Hanging(WorkStage):
        def process_batch(self, frames: Sequence[Frame]) -> None:
            if frames[0].sequence == 4:
                raise FrameLost("model hung")

    config = stream_config(WorkOptions(batch=4))
    step = replace(config.stages[0], plugin=Hanging)
    sink = ListSink()
    stream = run(replace(config, stages=(step,)), sink)
    assert sink.frames() == [0, 1, 2, 3, 8, 9]
    assert stream.ledger.entry().dropped == {"work0": {"model hung": 4}}


@pytest.mark.parametrize("error", [SinkError("disk full"), OSError("disk full")])
@pytest.mark.parametrize("frames", [3, 200])
def test_a_failing_sink_ends_the_stream_and_the_books_balance(frames: int, error: Exception) -> None:
    good = ListSink()
    stream = run(stream_config(script=["frame"] * frames), good, ListSink(fail_at=2, error=error))
    assert stream.state is State.FAILED
    assert "disk full" in str(stream.error)
    entry = stream.ledger.entry()
    assert entry.finished == 2
    assert entry.dropped["output"]["error"] == 1
    assert good.closed == ["gate"]


def test_stop_finishes_what_is_on_its_way() -> None:
    sink = ListSink()
    done = threading.Event()
    stream = Stream(stream_config(script=["frame", "frame", "wait"]), [("list", sink)], None, done.set)
    stream.start()
    stream.stop()
    assert done.wait(PATIENCE_S)
    assert stream.state is State.STOPPED
    assert sink.frames() == [0, 1]


@pytest.mark.parametrize(
    ("config", "sink", "culprit"),
    [
        (stream_config(close_error=OSError("stuck")), ListSink(), "the source"),
        (stream_config(WorkOptions(close_error=OSError("stuck"))), ListSink(), "stage 'work0'"),
        (stream_config(), ListSink(close_error=OSError("stuck")), "sink 'sink0'"),
    ],
)
def test_a_part_that_cannot_be_closed_is_told_and_holds_nothing_up(
    config: StreamConfig, sink: ListSink, culprit: str
) -> None:
    other = ListSink()
    stream = run(config, sink, other)
    assert stream.state is State.FAILED
    assert str(stream.error) == f"closing {culprit} failed: OSError: stuck"
    assert sink.frames() == list(range(10))
    assert other.closed == ["gate"]


@pytest.mark.parametrize("close_error", [None, OSError("stuck")])
@pytest.mark.parametrize("stage_fails", [True, False])
def test_a_failing_stage_or_sink_ends_the_stream_even_if_its_source_cannot_be_closed(
    stage_fails: bool, close_error: Exception | None
) -> None:
    script = ["frame"] * 200
    stages = [fail_at(2, RuntimeError("bug"))] if stage_fails else []
    sink = ListSink(fail_at=None if stage_fails else 2)
    stream = run(stream_config(*stages, script=script, close_error=close_error), sink)
    assert sink.frames() == [0, 1]
    assert str(stream.error).startswith("stage 'work0' failed" if stage_fails else "sink 'sink0' failed")


@pytest.mark.parametrize("script", [[SystemExit(3)], ["frame", "frame", "wait"]])
def test_a_plug_in_that_wants_to_exit_ends_its_stream_only(script: list[Any]) -> None:
    stream = run(stream_config(fail_at(1, SystemExit(3)), script=script), ListSink())  # type: ignore[arg-type]
    assert str(stream.error) == "unexpected SystemExit: 3"


def test_an_unexpected_error_is_one_line_that_names_the_part_and_no_password() -> None:
    error = ValueError("cannot reach\n  rtsp://admin:secret@camera/1")
    stream = run(stream_config(open_error=error))
    assert str(stream.error) == "the source failed: ValueError: cannot reach rtsp://***@camera/1"
    stream = run(stream_config(script=["frame"]), ListSink(fail_at=0))
    assert str(stream.error) == "sink 'sink0' failed: OSError: disk on fire"


def test_a_frame_that_finds_no_room_until_the_stop_is_not_said_to_have_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.keeper._PATIENCE_AT_END_S", 0.01)
    held, done = threading.Event(), threading.Event()
    work = WorkOptions(work=lambda frame: held.wait(PATIENCE_S) and None)
    stream = Stream(stream_config(work, script=["frame"] * 100), [], None, done.set)
    stream.start()
    deadline_s = time.monotonic() + PATIENCE_S
    room = 2 * _LOT_PICTURES  # one lot is worked on, one waits
    while stream.ledger.entry().captured <= room and time.monotonic() < deadline_s:
        time.sleep(0.001)
    stream.stop()
    while not stream.ledger.entry().dropped and time.monotonic() < deadline_s:
        time.sleep(0.001)
    held.set()
    assert done.wait(PATIENCE_S)
    assert stream.state is State.STOPPED
    assert stream.ledger.entry().dropped == {"capture": {"stopped": 1}}
    assert stream.ledger.entry().in_flight == 0


def test_what_is_done_is_shown_while_the_rest_of_a_lot_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.compute._HOLD_S", 0.0)
    shown = threading.Event()

    class Watching(ListSink):
        def on_frame(self, frame: Frame) -> None:
            super().on_frame(frame)
            shown.set()

    in_time: list[bool] = []
    work = WorkOptions(work=lambda frame: in_time.append(frame.sequence == 0 or shown.wait(PATIENCE_S)))
    stream = run(stream_config(work, script=["frame"] * 4), Watching())
    assert stream.error is None
    assert in_time == [True] * 4


def test_stop_while_the_source_opens_is_no_failure() -> None:
    """A source whose `open` is cut short by `close` has to raise: there is no stream to tell of."""

    class Slow(ScriptSource):
        def open(self) -> StreamInfo:
            opening.set()
            assert self.closed.wait(PATIENCE_S)
            raise SourceError("was closed while it was opened")

    opening, done = threading.Event(), threading.Event()
    config = stream_config()
    config = replace(config, source=replace(config.source, plugin=Slow))
    stream = Stream(config, [], None, done.set)
    stream.start()
    assert opening.wait(PATIENCE_S)
    stream.stop()
    assert done.wait(PATIENCE_S)
    assert (stream.state, stream.error) == (State.STOPPED, None)


def test_seconds_end_with_the_stream() -> None:
    now = iter(range(100, 200, 5))
    done = threading.Event()
    stream = Stream(stream_config(), [], None, done.set, clock=lambda: next(now))
    assert stream.seconds == 0.0
    stream.start()
    assert done.wait(PATIENCE_S)
    assert stream.seconds == stream.seconds == 5


def test_a_live_stream_does_not_wait_for_a_full_batch() -> None:
    """The source goes on only after its first frame has come out, so a wait for more would never end."""
    arrived = threading.Event()

    class Watch(ListSink):
        def on_frame(self, frame: Frame) -> None:
            super().on_frame(frame)
            arrived.set()

    def wait() -> None:
        assert arrived.wait(2.0)

    script = ["frame", wait, "frame"]
    stream = run(stream_config(WorkOptions(batch=4), script=script, live=True, policy="every"), Watch())
    assert stream.error is None


def test_the_time_per_frame_is_of_the_frames_that_a_step_has_seen() -> None:
    stopwatch = Stopwatch(clock=iter([0.0, 0.03, 1.0, 1.01, 2.0, 2.5]).__next__)
    with stopwatch.measure("slow", frames=2):
        pass
    with stopwatch.measure("slow"):
        pass
    with stopwatch.measure("end"):
        pass
    assert stopwatch.per_frame_ms() == {"slow": 20.0}


def test_a_live_stream_drops_the_oldest_and_hands_its_gap_on() -> None:
    gate = threading.Event()
    sink = ListSink()

    def hold(frame: Frame) -> None:
        if frame.sequence == 0:
            gate.wait(PATIENCE_S)

    script: Sequence[Any] = ["frame", "gap", *["frame"] * 30, gate.set]
    stream = run(stream_config(WorkOptions(work=hold), script=script, live=True), sink)
    frames = sink.frames()
    assert frames == sorted(frames)
    assert frames[-1] == 30
    entry = stream.ledger.entry()
    assert entry.dropped["capture"]["newer frame"] == 31 - entry.finished > 0
    assert sink.kinds() == ["stream.gap"]


def test_a_live_stream_may_be_told_to_keep_every_frame() -> None:
    sink = ListSink()
    run(stream_config(script=["frame"] * 50, live=True, policy="every"), sink)
    assert sink.frames() == list(range(50))


STEPS = st.one_of(st.just("frame"), st.just("gap"), st.just(SourceError("cut")), st.just(ValueError("bug")))


@settings(deadline=None, max_examples=40)
@given(
    script=st.lists(STEPS, max_size=30),
    batch=st.integers(1, 5),
    stage_fails=st.none() | st.integers(0, 30),
    sink_fails=st.none() | st.integers(0, 30),
    live=st.booleans(),
)
def test_the_books_balance_and_all_threads_end_whatever_fails(
    script: list[Any], batch: int, stage_fails: int | None, sink_fails: int | None, live: bool
) -> None:
    stages = [WorkOptions(batch=batch)]
    if stage_fails is not None:
        stages.append(fail_at(stage_fails, RuntimeError("bug")))
    sink = ListSink(fail_at=sink_fails)
    stream = run(stream_config(*stages, script=script, live=live), sink)
    assert stream.ledger.entry().finished == len(sink.frames()) if sink.got else True
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gate-")]
