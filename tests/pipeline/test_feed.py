from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import pytest

from pipeline.feed import Feed
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from tests.pipeline.messages import wait_until

GOP = 5


def form(run: str = "a", *, live: bool = True) -> PacketFormat:
    return PacketFormat("gate", run, "h264", 64, 48, Fraction(1, 1000), live=live)


def packet(number: int, run: str = "a", size: int = 100) -> Packet:
    moment = Moment(number * 0.04, number * 40_000_000, Clock.ARRIVAL)
    return Packet("gate", run, number, bytes(size), number * 40, None, 40, number % GOP == 0, moment)


class Keeping:
    """A sink that keeps what it is told, and fails or waits where the test says so."""

    queue_bytes = 1000
    queue_s = math.inf

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: Callable[[str], bool] = lambda _: False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def open_packets(self, form: PacketFormat) -> None:
        self._note(f"open {form.run}")

    def on_packet(self, packet: Packet) -> None:
        self.entered.set()
        self.gate.wait(10)
        self._note(f"{packet.run}{packet.sequence}")

    def on_idle(self, stream: str) -> None:
        assert stream == "gate"

    def close_packets(self, stream: str) -> None:
        assert stream == "gate"
        self._note("close")

    @property
    def numbers(self) -> list[str]:
        return [call for call in self.calls if call[0] == "a"]

    def _note(self, call: str) -> None:
        if self.fail(call):
            self.calls.append(f"fails at {call}")
            raise OSError("disk full")
        self.calls.append(call)


class Bench:
    """A feed whose clock the test sets."""

    def __init__(self, patience_s: float = 30.0) -> None:
        self.now_s = 0.0
        self.told: list[Mapping[str, Any]] = []
        self.sink = Keeping()
        self.feed = Feed(
            "record",
            "gate",
            self.sink,
            self.told.append,
            clock=lambda: self.now_s,
            draw=lambda: 1.0,
            patience_s=patience_s,
        )

    def run(self, *packets: Packet, opened: PacketFormat | None = None) -> None:
        """Hand packets over one after the other, and wait until they are taken."""
        if opened is not None:
            self.feed.begin(opened)
        for item in packets:
            self.feed.put(item)


def test_packets_come_in_order_from_the_first_key_frame() -> None:
    bench = Bench()
    bench.run(*map(packet, range(3, 9)), opened=form())
    bench.feed.over()
    bench.feed.start()
    assert bench.feed.close(10)
    assert bench.sink.calls == ["open a", "a5", "a6", "a7", "a8", "close"]
    assert bench.feed.statistics() == {"taken": 4, "lost": {"stopped": 0}, "waiting": 0, "error": None}


def test_another_connection_is_another_opening() -> None:
    bench = Bench()
    bench.run(packet(0), opened=form("a"))
    bench.run(packet(0, "b"), packet(1, "a"), opened=form("b"))
    bench.feed.start()
    assert bench.feed.close(10)
    assert bench.sink.calls == ["open a", "a0", "close", "open b", "b0", "close"]


def test_a_live_stream_drops_up_to_the_next_key_frame_and_never_waits() -> None:
    bench = Bench()
    bench.run(*(packet(n) for n in range(22)), opened=form())  # room for ten, nobody takes any
    bench.feed.start()
    assert bench.feed.close(10)
    assert bench.sink.numbers == [f"a{n}" for n in range(10)]
    assert bench.feed.statistics()["lost"]["queue full"] == 12


def test_what_may_wait_is_bounded_in_seconds_of_media_too() -> None:
    bench = Bench()
    bench.sink.queue_s = 0.2
    bench.run(*(packet(n) for n in range(9)), opened=form())
    bench.feed.start()
    assert bench.feed.close(10)
    assert bench.sink.numbers == [f"a{n}" for n in range(6)]


def test_after_a_loss_it_goes_on_with_a_key_frame() -> None:
    bench = Bench()
    bench.sink.gate.clear()
    bench.feed.start()
    bench.run(packet(0), opened=form())
    assert bench.sink.entered.wait(10)  # one is being taken, ten fit in
    bench.run(*(packet(n) for n in range(1, 14)))
    bench.sink.gate.set()
    while bench.feed.statistics()["waiting"]:
        time.sleep(0.001)
    bench.run(packet(14), packet(15), packet(16))
    assert bench.feed.close(10)
    assert bench.sink.numbers == [f"a{n}" for n in [*range(11), 15, 16]]


def test_a_recording_waits_for_room() -> None:
    bench = Bench()
    bench.feed.start()
    bench.run(*(packet(n) for n in range(200)), opened=form(live=False))
    assert bench.feed.close(10)
    assert bench.sink.numbers == [f"a{n}" for n in range(200)]


def test_a_recording_does_not_wait_for_ever() -> None:
    bench = Bench(patience_s=0.01)
    bench.now_s = 0.0
    bench.run(*(packet(n) for n in range(10)), opened=form(live=False))
    waiting = threading.Thread(target=lambda: bench.feed.put(packet(10)))
    waiting.start()
    ends_s = time.monotonic() + 10
    while waiting.is_alive() and time.monotonic() < ends_s:
        bench.now_s += 1.0  # again and again: nothing tells when it has begun to wait
        waiting.join(0.01)
    assert not waiting.is_alive()
    assert bench.feed.statistics()["lost"] == {"queue full": 1}


def test_a_failure_is_told_once_and_tried_again_at_a_key_frame_after_a_pause() -> None:
    bench = Bench()
    bench.sink.fail = lambda call: call == "a1"
    bench.feed.start()
    bench.run(*(packet(n) for n in range(10)), opened=form())
    while bench.feed.statistics()["waiting"]:
        time.sleep(0.001)
    assert bench.feed.trouble.endswith("disk full")
    bench.now_s = 2.0  # the pause is 1 s
    bench.run(*(packet(n) for n in range(11, 17)))
    assert bench.feed.close(10)
    assert bench.sink.calls == ["open a", "a0", "fails at a1", "close", "open a", "a15", "a16", "close"]
    assert [told["state"] for told in bench.told] == ["failed", "working"]
    assert "disk full" in bench.told[0]["detail"]
    assert bench.feed.statistics()["error"] is None
    assert bench.feed.statistics()["lost"]["failed"] == 2  # the one that failed, and the key frame 5


@pytest.mark.parametrize("where", ["open a", "close"])
def test_whatever_fails_harms_nobody_else(where: str) -> None:
    bench = Bench()
    bench.sink.fail = lambda call: call == where
    bench.run(packet(0), packet(1), opened=form())
    bench.feed.start()
    assert bench.feed.close(10)
    assert f"fails at {where}" in bench.sink.calls


def test_a_sink_that_hangs_while_its_camera_comes_and_goes_costs_no_memory() -> None:
    sink = Keeping()
    sink.gate.clear()
    feed = Feed("rec", "gate", sink, lambda _: None)
    feed.start()
    feed.begin(form())
    feed.put(packet(0))
    assert sink.entered.wait(10)
    for number in range(100):
        feed.over()
        feed.begin(form(f"r{number}"))
        for place in range(30):
            feed.put(packet(place, f"r{number}"))
    assert len(feed._queue) < 40
    feed.over()
    feed.begin(form("a"))
    feed.over()
    feed.over()
    feed.begin(form("a"))
    sink.gate.set()
    wait_until(lambda: not feed.statistics()["waiting"])
    feed.put(packet(0))
    assert feed.close(10)
    assert sink.calls[:2] == ["open a", "a0"]
    assert sink.calls[-3:] == ["open a", "a0", "close"]
