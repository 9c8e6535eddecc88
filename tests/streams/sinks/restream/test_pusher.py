"""The pusher without a network: what it sends when, by a clock of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pipeline.condition import Reason
from pipeline.errors import SinkError
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from streams.sinks.encoder import Encoder, Encoding
from streams.sinks.restream.connection import Refused
from streams.sinks.restream.inbox import Inbox, Waiting
from streams.sinks.restream.makers import CopyMaker, Taken
from streams.sinks.restream.pusher import Manner, Pusher
from tests.servers.footprint import until

GOP = 5


class Line:
    """A connection that writes down what it is given."""

    is_established = True

    def __init__(self, bench: Bench, form: PacketFormat) -> None:
        self.form = form
        self.packets: list[Packet] = []
        self.is_closed = False
        self._bench = bench

    def write(self, packet: Packet) -> None:
        if self._bench.failure is not None:
            raise self._bench.failure
        self.packets.append(packet)

    def close(self) -> None:
        self.is_closed = True

    def cut(self) -> None:
        pass


class Bench:
    def __init__(self, **manner: Any) -> None:
        self.now_s = 1000.0
        self.failure: SinkError | None = None
        self.tries = 0
        self.lines: list[Line] = []
        self.told: list[Mapping[str, Any]] = []
        self.inbox = Inbox[Taken](most_items=100, most_bytes=10**9, most_s=100)
        self.pusher = Pusher(
            "gate", "rtsp://media:554", self.inbox, CopyMaker(), self._connect,
            Manner(**{"live": True, "stand_in_after_s": 2.0, **manner}), lambda taken: taken.packet.moment,
            self.told.append, clock=lambda: self.now_s, draw=lambda: 1.0, look_s=0.002,
        )  # fmt: skip
        self._encoder: Encoder | None = None
        self.form: PacketFormat | None = None
        self.pusher.start()

    def _connect(self, form: PacketFormat) -> Line:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        self.lines.append(Line(self, form))
        return self.lines[-1]

    def run(self, run: str, size: tuple[int, int] = (64, 48), **changes: Any) -> None:
        self._encoder = Encoder("gate", run, *size, Encoding())
        self.form = replace(self._encoder.form, **changes)

    def give(self, *numbers: int) -> None:
        """Hand over packets, of which every fifth is a key frame, and wait until they are dealt with."""
        assert self._encoder is not None
        assert self.form is not None
        for number in numbers:
            moment = Moment(number * 0.04, number * 40_000_000, Clock.ARRIVAL)
            grey = np.full((48, 64, 3), 40 + number, np.uint8)
            packet = self._encoder.encode(grey, moment, key=number % GOP == 0)
            waiting = Waiting(Taken(self.form, packet), moment.pts_s, 1, packet.is_key)
            self.inbox.put(waiting)
            self.settle()

    def settle(self) -> None:
        handled = threading.Event()
        forward = self.pusher._tell_losses  # the last thing of each round

        def tell() -> None:
            forward()
            handled.set()

        for _ in range(2):
            handled.clear()
            self.pusher._tell_losses = tell  # type: ignore[method-assign]
            assert handled.wait(10)

    def sent(self, line: int = -1) -> list[float]:
        """Return the times of what a connection was given, s."""
        return [round(packet.pts / 90_000, 2) for packet in self.lines[line].packets]

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.pusher.stop(5)
        assert not self.pusher.is_alive
        assert all(line.is_closed for line in self.lines)


def test_it_begins_at_a_key_frame_with_the_parameter_sets() -> None:
    with Bench() as bench:
        bench.run("a")
        bench.give(0, 1)
        bench.pusher._close_line()
        bench.give(2, 3, 4, 5, 6)
        assert [line.packets[0].is_key for line in bench.lines] == [True, True]
        assert bench.sent(0) == [0, 0.04]
        assert bench.sent(1) == [0, 0.04]
        assert bench.lines[0].form.extradata.startswith(b"\0\0")


def test_a_server_that_is_away_is_tried_with_longer_and_longer_pauses_and_told_once() -> None:
    with Bench() as bench:
        bench.run("a")
        bench.failure = SinkError("rtsp://media:554: nothing listens there")
        bench.give(0, 1, 2)
        assert bench.tries == 1
        bench.now_s += 0.5
        bench.give(3, 4, 5)
        assert bench.tries == 2
        bench.now_s += 0.9
        bench.give(6, 7, 8, 9, 10)
        assert bench.tries == 2
        bench.failure = None
        bench.now_s += 0.2
        bench.give(11, 12, 13, 14, 15, 16)
        assert bench.tries == 3
        assert bench.sent() == [0, 0.04]
        assert bench.told == [
            {"sink": "push", "state": "failed", "detail": "rtsp://media:554: nothing listens there",
             "lost_packets": 1},
            {"sink": "push", "state": "working", "detail": "", "lost_packets": 15},
        ]  # fmt: skip


def test_a_wrong_password_is_not_tried_every_second() -> None:
    with Bench() as bench:
        bench.run("a")
        bench.failure = Refused("401", Reason.UNAUTHORIZED)
        bench.give(0)
        bench.now_s += 59
        bench.give(5)
        assert bench.tries == 1
        bench.now_s += 2
        bench.give(10)
        assert bench.tries == 2


def test_a_line_that_breaks_is_made_anew() -> None:
    with Bench() as bench:
        bench.run("a")
        bench.give(0, 1)
        bench.failure = SinkError("it closed the connection")
        bench.give(2)
        bench.failure = None
        bench.now_s += 1
        bench.give(3, 4, 5)
        assert bench.sent(0) == [0, 0.04]
        assert bench.sent(1) == [0]
        assert [data["state"] for data in bench.told] == ["failed", "working"]


def test_a_picture_stands_in_until_the_source_has_a_key_frame() -> None:
    with Bench() as bench:
        bench.run("a")
        bench.give(0, 1, 2)
        bench.now_s += 1.9
        bench.settle()
        assert bench.sent() == [0, 0.04, 0.08]
        bench.now_s += 0.1
        bench.settle()
        bench.now_s += 0.25
        bench.settle()
        bench.run("b")
        bench._encoder.encode(np.zeros((48, 64, 3), np.uint8), Moment(-1.0, 0, Clock.ARRIVAL))
        bench.now_s += 0.25
        bench.give(3, 4)  # none of them a key frame
        bench.give(5, 6)
        assert bench.sent() == [0, 0.04, 0.08, 2.08, 2.33, 2.58, 2.62, 2.66]
        keys = [packet.is_key for packet in bench.lines[0].packets]
        assert keys == [True, False, False, True, False, False, True, False]
        assert (len(bench.lines), bench.told) == (1, [])


def test_the_stand_in_connects_too_when_a_server_comes_back_before_the_camera() -> None:
    with Bench() as bench:
        bench.run("a")
        bench.give(0)
        bench.failure = SinkError("gone")
        bench.give(1)
        bench.now_s += 5
        bench.settle()
        bench.failure = None
        bench.now_s += 5
        bench.settle()
        assert len(bench.lines) == 2
        assert bench.lines[1].packets[0].is_key


@pytest.mark.parametrize(
    ("manner", "changes"),
    [({"live": False}, {}), ({"stands_in": False}, {}), ({}, {"codec": "mjpeg"})],
)
def test_none_stands_in_where_it_cannot_or_shall_not(manner: dict[str, Any], changes: dict[str, Any]) -> None:
    with Bench(**manner) as bench:
        bench.run("a", **changes)
        bench.give(0)
        bench.now_s += 100
        bench.settle()
        assert bench.sent() == [0]


def test_another_size_is_another_connection_and_another_run_is_not() -> None:
    with Bench() as bench:
        bench.run("a")
        bench.give(0, 1)
        bench.now_s += 0.5
        bench.run("b")
        bench.give(0, 1)
        bench.run("c", (128, 96))
        bench.give(0)
        assert bench.sent(0) == [0, 0.04, 0.54, 0.58]
        assert bench.sent(1) == [0]
        assert [(line.form.width, line.is_closed) for line in bench.lines] == [(64, True), (128, False)]


def test_a_line_that_is_too_slow_is_told_each_minute_and_so_is_its_end() -> None:
    with Bench(stands_in=False) as bench:
        bench.run("a")
        bench.give(0)
        for seconds, lost in ((5, 5), (10, 7), (15, 8), (30, 9), (75, 10), (80, 0), (140, 0), (150, 0)):
            bench.inbox._dropped += lost
            bench.now_s = 1000.0 + seconds
            bench.settle()
        assert [data["state"] for data in bench.told] == ["behind", "behind", "working"]
        assert " 7 packets or pictures were dropped" in bench.told[0]["detail"]
        assert " 27 packets or pictures were dropped" in bench.told[1]["detail"]


def test_a_recording_keeps_its_pace() -> None:
    waited: list[float] = []
    with Bench(live=False) as bench:
        bench.pusher._stopping.wait = lambda s=None: waited.append(round(s, 2)) or False  # type: ignore
        bench.run("a", time_base=Fraction(1, 90_000), live=False)
        bench.give(0, 1)
        bench.now_s += 0.07
        bench.give(2, 3)
        assert bench.sent() == [0, 0.04, 0.08, 0.12]
        assert waited == [0.04, 0.01, 0.05]
        bench.pusher.finish(5)
        assert bench.lines[0].is_closed


def test_a_defect_ends_it_and_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with Bench() as bench:
        bench.run("a")
        bench.failure = ZeroDivisionError("what a bug")  # type: ignore[assignment]
        bench.inbox.put(Waiting(Taken(bench.form, None), 0.0, 1, can_start=True))  # type: ignore[arg-type]
        until(lambda: not bench.pusher.is_alive, 5, "still there")
    assert "ended by a defect" in caplog.text
