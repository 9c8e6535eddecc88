"""Time of day: the camera's where it can be believed, else that of arrival without its jitter."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.moment import Clock
from streams.sources.network.options import ClockChoice
from streams.sources.network.wall_time import ArrivalFilter, WallTime

START_NS = 1_700_000_000_000_000_000


class Box:
    """This box's clocks: time of day is START_NS at monotonic 1000 s."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.set_by_ns = 0

    def monotonic(self) -> float:
        return self.now_s

    def utc_ns(self) -> int:
        return START_NS + round((self.now_s - 1000.0) * 1e9) + self.set_by_ns


def wall(box: Box, choice: ClockChoice = "auto") -> WallTime:
    return WallTime(choice, box.monotonic, box.utc_ns)


def test_jitter_does_not_shake_the_times() -> None:
    box, rng = Box(), random.Random(3)
    clock = wall(box)
    errors_ms = []
    for k in range(3000):
        pts_s = k / 30
        delay_s = 0.02 + rng.expovariate(1 / 0.015)
        box.now_s = max(box.now_s, 1000.0 + pts_s + delay_s)
        moment = clock.moment(pts_s, box.now_s, None)
        assert moment.clock is Clock.ARRIVAL
        errors_ms.append((moment.time_ns - START_NS) / 1e6 - pts_s * 1000 - 20)
    late = errors_ms[300:]
    assert min(late) >= 0
    assert max(late) < 2
    assert moment.uncertainty_ns is not None
    assert 0.02e9 < moment.uncertainty_ns < 0.25e9


@pytest.mark.parametrize("drift_ppm", [-200, -100, 100, 200])
def test_a_camera_whose_clock_drifts_is_followed(drift_ppm: int) -> None:
    box = Box()
    clock = wall(box)
    for k in range(3600 * 5):
        true_s = k / 5
        box.now_s = 1000.0 + true_s + 0.02
        moment = clock.moment(true_s * (1 + drift_ppm * 1e-6), box.now_s, None)
    error_s = (moment.time_ns - START_NS) / 1e9 - true_s - 0.02
    assert abs(error_s) <= 60 * abs(drift_ppm) * 1e-6 + 1e-6  # 0.72 s without the window


def test_a_correction_of_this_box_counts_at_once() -> None:
    box = Box()
    clock = wall(box)
    first = clock.moment(0.0, box.now_s, None)
    box.set_by_ns = 3_600_000_000_000
    box.now_s += 1.0
    second = clock.moment(1.0, box.now_s, None)
    assert second.time_ns - first.time_ns == 3_601_000_000_000


def test_the_window_forgets_and_is_bounded() -> None:
    arrivals = ArrivalFilter(10.0)
    assert arrivals.add(0.0, 100.0) == (100.0, 0.0)
    for k in range(1, 5000):
        least_s, spread_s = arrivals.add(k * 0.01, 100.5 + k * 0.01)
    assert (least_s, spread_s) == (pytest.approx(100.5), pytest.approx(0.0, abs=1e-9))
    assert len(arrivals._bins) <= 10


@given(st.lists(st.floats(0, 2), min_size=1, max_size=200))
def test_the_least_delay_is_never_more_than_any_of_the_last_minute(delays: list[float]) -> None:
    arrivals = ArrivalFilter()
    now_s = 0.0
    for k, delay_s in enumerate(delays):
        now_s = max(now_s, k / 10 + delay_s)
        least_s, spread_s = arrivals.add(k / 10, now_s)
        assert least_s <= now_s - k / 10 + 1e-12
        assert spread_s >= 0


@pytest.mark.parametrize(
    ("choice", "ahead_s", "clock"),
    [
        ("auto", -0.03, Clock.CAMERA),
        ("auto", 30.0, Clock.CAMERA),
        ("auto", 61.0, Clock.ARRIVAL),
        ("auto", -86400.0, Clock.ARRIVAL),
        ("camera", -86400.0, Clock.CAMERA),
        ("arrival", -0.03, Clock.ARRIVAL),
    ],
)
def test_whose_clock_is_taken(choice: ClockChoice, ahead_s: float, clock: Clock) -> None:
    box = Box()
    moment = wall(box, choice).moment(0.0, box.now_s, START_NS + round(ahead_s * 1e9))
    assert moment.clock is clock
    if clock is Clock.CAMERA:
        assert moment.time_ns == START_NS + round(ahead_s * 1e9)
        assert moment.uncertainty_ns == abs(round(ahead_s * 1e9))
    else:
        assert moment.time_ns == START_NS


def test_without_a_report_arrival_counts() -> None:
    box = Box()
    assert wall(box, "camera").moment(0.0, box.now_s, None).clock is Clock.ARRIVAL


def test_a_wrong_clock_is_told_once_and_believed_again_when_it_is_right() -> None:
    box = Box()
    clock = wall(box)
    warnings = []
    for k, ahead_s in enumerate([0, 0, 3600, 3600, 55, 49, 0, 0]):
        box.now_s = 1000.0 + k
        clock.moment(float(k), box.now_s, box.utc_ns() + ahead_s * 1_000_000_000)
        warnings.append(clock.take_warning())
    told = {k: text for k, text in enumerate(warnings) if text}
    assert list(told) == [2, 5, 6]
    assert "3600.0 s ahead of this box's" in told[2]
    assert "arrival time is used instead" in told[2]
    assert "believed again" in told[5]
    assert "jumped by -49.0 s" in told[6]
