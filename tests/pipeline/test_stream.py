"""One stream: order, gaps, batches, failures in every part; and the books always balance."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import StreamConfig
from pipeline.errors import ConfigError, SinkError, SourceError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import Sink
from pipeline.stream import State, Stream
from tests.pipeline.parts import ListSink, WorkOptions, WorkStage, stream_config

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


def fail_at(sequence: int, error: Exception) -> WorkOptions:
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
