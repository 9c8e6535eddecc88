"""Disks that take no results for a while: a live stream goes on, a recording ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.errors import SinkError, Unwritable
from pipeline.event import Event
from pipeline.file_sink import FileSink
from pipeline.frame import Frame
from pipeline.metrics import MetricsServer
from pipeline.outages import Outages
from pipeline.plugin import Sink, StreamInfo
from pipeline.stream import State
from tests.pipeline.cameras import FakeClock
from tests.pipeline.parts import ListSink, stream_config
from tests.pipeline.test_metrics import asked
from tests.pipeline.test_stream import run
from tests.servers.footprint import until

FULL = Unwritable("cannot write out/a: No space left on device; free space there")


class Disk(FileSink):
    """Leaves out what comes while its disk is full; `full` is changed by frame number."""

    def __init__(self, full: range = range(0), tries: int = 0, error: Exception = FULL) -> None:
        self.kept: list[int] = []
        self.events: list[Event] = []
        self.lost: Counter[str] = Counter()
        self.tries = tries
        self.opened = self.closed = 0
        self._full = full
        self._error = error

    def open_stream(self, info: StreamInfo) -> None:
        self.opened += 1
        if 0 in self._full:
            raise self._error

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_frame(self, frame: Frame) -> None:
        if frame.sequence in self._full:
            self.lost["pictures"] += 1
            raise self._error
        self.kept.append(frame.sequence)

    def retry(self, stream: str) -> None:
        self.tries -= 1
        if self.tries >= 0:
            raise self._error

    def losses(self, stream: str) -> Mapping[str, int]:
        return dict(self.lost)

    def close_stream(self, stream: str) -> None:
        self.closed += 1


def states(sink: Disk) -> list[tuple[str, Any]]:
    return [(event.data["state"], event.data["lost"]) for event in sink.events if event.kind == "sink.state"]


def until_told(sink: Disk) -> list[Any]:
    """Ten frames, and no end before the sink was told of both ends of an outage."""
    return ["frame"] * 10 + [lambda: until(lambda: len(states(sink)) == 2, 10, lambda: states(sink))]


def test_a_live_stream_goes_on_and_tells_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.outages.Backoff.after", lambda *_, **__: 0.0)
    sink, other = Disk(range(3, 6), tries=3), ListSink()
    stream = run(stream_config(live=True, policy="every", script=until_told(sink)), sink, other)
    assert (stream.state, stream.error) == (State.ENDED, None)
    assert sink.kept == [0, 1, 2, 6, 7, 8, 9]
    assert other.frames() == list(range(10))
    assert stream.ledger.entry().finished == 10
    assert states(sink) == [("failed", {}), ("working", {"pictures": 3})]
    assert stream.file_statistics() == {"sink0": {"error": None, "outages": 1, "lost": {"pictures": 3}}}
    assert (sink.opened, sink.closed) == (1, 1)


def test_a_sink_that_could_not_even_be_opened_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.outages.Backoff.after", lambda *_, **__: 0.0)
    sink = Disk(range(2), tries=2)
    stream = run(stream_config(live=True, policy="every", script=until_told(sink)), sink)
    assert stream.state is State.ENDED
    assert sink.kept == list(range(2, 10))
    assert [state for state, _ in states(sink)] == ["failed", "working"]
    assert sink.closed == 1


def test_the_end_of_a_stream_is_the_last_try() -> None:
    stream = run(stream_config(live=True, policy="every"), Disk(range(8, 10)))
    assert stream.file_statistics()["sink0"] == {"error": None, "outages": 1, "lost": {"pictures": 2}}
    stream = run(stream_config(live=True, policy="every"), Disk(range(8, 10), tries=1))
    assert stream.file_statistics()["sink0"]["error"] == str(FULL)
    assert stream.state is State.FAILED
    assert str(stream.error) == f"sink 'sink0' could not write at the end: {FULL}"


def test_a_recording_ends_at_once_with_the_reason() -> None:
    sink = Disk(range(3, 6))
    stream = run(stream_config(), sink)
    assert stream.state is State.FAILED
    assert str(stream.error) == str(FULL)
    assert sink.kept == [0, 1, 2]


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        (Disk(range(3, 6), error=SinkError("a defect")), "a defect"),
        (Disk(range(3, 6), error=ValueError("a defect")), "sink 'sink0' failed: ValueError: a defect"),
        (ListSink(fail_at=3, error=FULL), str(FULL)),  # does not say that it can go on
    ],
)
def test_anything_else_ends_a_live_stream_as_before(sink: Sink, message: str) -> None:
    stream = run(stream_config(live=True, policy="every"), sink)
    assert stream.state is State.FAILED
    assert str(stream.error) == message


def test_the_pauses_grow_and_each_outage_is_told_once() -> None:
    told: list[Mapping[str, Any]] = []
    clock = FakeClock()
    outages = Outages("gate", told.append, clock, draw=lambda: 1.0)
    sink = Disk(tries=4)
    outages.watch("video", sink)
    outages.watch("video", sink)
    tried = []
    for _ in range(2):
        for _ in range(3):
            with outages.enduring(sink):
                raise FULL
        assert outages.failing == 1
        begun_s = clock()
        while outages.failing:
            clock.pause(0.5)
            before = sink.tries
            outages.retry()
            if sink.tries != before:
                tried.append(clock() - begun_s)
    assert tried == [1.0, 3.0, 7.0, 15.0, 25.0, 1.0]
    assert [data["state"] for data in told] == ["failed", "working"] * 2
    assert all(data["sink"] == "video" for data in told)
    assert outages.statistics()["video"]["outages"] == 2


def test_two_sinks_of_one_name_are_told_apart() -> None:
    outages = Outages("gate", lambda _: None)
    outages.watch("events", Disk())
    outages.watch("events", Disk())
    outages.watch("live", ListSink())
    assert list(outages.statistics()) == ["events", "events#2"]


def test_prometheus_learns_of_it() -> None:
    stream = run(stream_config(live=True, policy="every"), Disk(range(8, 10), tries=1))
    server = MetricsServer("127.0.0.1:0", [stream])
    try:
        samples = asked(server)
    finally:
        server.close()
    assert samples["sightline_sink_failing", ("gate", "sink0")] == 1
    assert samples["sightline_sink_lost_total", ("gate", "sink0", "pictures")] == 2
