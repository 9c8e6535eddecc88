from __future__ import annotations

from pipeline.steady import SteadyClock

S = 10**9
YEAR_S = 365 * 86_400


class Clocks:
    def __init__(self) -> None:
        self.utc_s = 1_800_000_000.0
        self.up_s = 50.0
        self.steady = SteadyClock(lambda: round(self.utc_s * S), lambda: self.up_s)

    def go_on(self, seconds: float) -> None:
        self.utc_s += seconds
        self.up_s += seconds


def test_it_is_steady_after_an_hour() -> None:
    clocks = Clocks()
    clocks.go_on(3599)
    assert not clocks.steady.is_steady()
    clocks.go_on(1)
    assert clocks.steady.is_steady()


def test_a_leap_begins_the_hour_anew_and_so_does_the_way_back() -> None:
    clocks = Clocks()
    clocks.go_on(4000)
    clocks.utc_s += YEAR_S
    assert clocks.steady.look() == YEAR_S * S
    assert clocks.steady.look() == 0
    clocks.go_on(1800)
    assert not clocks.steady.is_steady()
    clocks.utc_s -= YEAR_S
    assert not clocks.steady.is_steady()
    clocks.go_on(3600)
    assert clocks.steady.is_steady()


def test_a_clock_that_is_moved_slowly_does_not_leap() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.go_on(40)
        clocks.utc_s += 20
        assert clocks.steady.look() == 0
    assert clocks.steady.is_steady()


def test_what_was_stored_lately_vouches_for_it() -> None:
    for ago_s, is_steady in ((0, True), (86_400, True), (3 * 86_400, False), (-60, False)):
        clocks = Clocks()
        clocks.steady.vouch(round((clocks.utc_s - ago_s) * S))
        assert clocks.steady.is_steady() is is_steady
        clocks.utc_s += 61
        assert not clocks.steady.is_steady()
        clocks.steady.vouch(round(clocks.utc_s * S))  # stored since
        assert not clocks.steady.is_steady()
