"""Pictures are handed on when they are due."""

from __future__ import annotations

import threading
import time

from streams.sources.network.pacer import Pacer


class Sleeper:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.stopped = False

    def now(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return self.stopped


def paced(sleeper: Sleeper) -> Pacer:
    return Pacer(threading.Event(), sleeper.now, sleeper.wait)


def test_a_lump_is_spread_over_its_time() -> None:
    sleeper = Sleeper()
    pacer = paced(sleeper)
    due = []
    for k in range(5):
        assert pacer(k * 0.04)
        due.append(round(sleeper.now_s - 100.0, 6))
    assert due == [0.0, 0.04, 0.08, 0.12, 0.16]


def test_a_slow_taker_is_not_held_up_further() -> None:
    sleeper = Sleeper()
    pacer = paced(sleeper)
    for k in range(10):
        sleeper.now_s += 0.03
        assert pacer(k * 0.04)
    assert round(sleeper.now_s - 100.0, 6) == 0.03 + 9 * 0.04


def test_who_ran_dry_goes_on_later_by_as_much() -> None:
    sleeper = Sleeper()
    pacer = paced(sleeper)
    pacer(0.0)
    sleeper.now_s += 3.0
    pacer(0.04)
    assert sleeper.now_s == 103.0
    pacer(0.08)
    assert round(sleeper.now_s, 6) == 103.04


def test_a_leap_of_media_time_is_not_waited_for() -> None:
    sleeper = Sleeper()
    pacer = paced(sleeper)
    pacer(0.0)
    pacer(1000.0)
    assert sleeper.now_s == 100.0


def test_stopping_ends_the_waiting_at_once() -> None:
    stop = threading.Event()
    pacer = Pacer(stop)
    assert pacer(0.0)
    threading.Timer(0.05, stop.set).start()
    start_s = time.monotonic()
    assert not pacer(25.0)
    assert time.monotonic() - start_s < 5
