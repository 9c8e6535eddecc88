from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.journal_clock import JournalClock

HOUR_NS = 3600 * 10**9
NOW_NS = 1_772_352_000 * 10**9


class Clocks:
    """A wall clock that may be set, and a steady one."""

    def __init__(self, wall_ns: int) -> None:
        self.wall_ns = wall_ns
        self.steady_ns = 5 * HOUR_NS

    def go_on(self, ns: int) -> None:
        self.wall_ns += ns
        self.steady_ns += ns

    def clock(self, newest_ns: int = 0) -> JournalClock:
        return JournalClock(newest_ns, lambda: self.wall_ns, lambda: self.steady_ns)


def test_it_goes_with_the_wall_clock_and_follows_it_where_it_is_set() -> None:
    clocks = Clocks(NOW_NS)
    clock = clocks.clock(NOW_NS - HOUR_NS)
    clocks.go_on(HOUR_NS)
    assert (clock.leap_ns(), clock.now_ns()) == (0, NOW_NS + HOUR_NS)
    clocks.wall_ns += 10**9  # NTP at work
    assert clock.leap_ns() == 0
    clocks.wall_ns += 3 * HOUR_NS
    assert clock.leap_ns() == 3 * HOUR_NS + 10**9
    assert (clock.leap_ns(), clock.now_ns()) == (0, clocks.wall_ns)
    clocks.wall_ns -= HOUR_NS
    assert clock.leap_ns() == -HOUR_NS
    assert clock.now_ns() == clocks.wall_ns


def test_a_clock_behind_the_newest_event_is_wrong() -> None:
    clocks = Clocks(60 * 10**9)
    clock = clocks.clock(NOW_NS)
    clocks.go_on(2 * HOUR_NS)
    assert (clock.leap_ns(), clock.now_ns()) == (0, NOW_NS + 2 * HOUR_NS)
    clocks.wall_ns = NOW_NS + 10 * HOUR_NS
    assert clock.leap_ns() == 8 * HOUR_NS
    assert clock.now_ns() == clocks.wall_ns


@given(st.lists(st.tuples(st.integers(0, 100 * HOUR_NS), st.integers(0, 2 * NOW_NS)), max_size=20))
def test_ages_within_a_run_are_right_whatever_the_wall_clock_does(steps: list[tuple[int, int]]) -> None:
    clocks = Clocks(NOW_NS)
    clock = clocks.clock(NOW_NS)
    dated: list[tuple[int, int]] = []  # steady time, and the date that the journal has for it
    for passed_ns, wall_ns in steps:
        clocks.go_on(passed_ns)
        clocks.wall_ns = wall_ns
        leap_ns = clock.leap_ns()
        dated = [(steady_ns, date_ns + leap_ns) for steady_ns, date_ns in dated]
        dated.append((clocks.steady_ns, clock.now_ns()))
        assert clock.now_ns() >= NOW_NS
        for steady_ns, date_ns in dated:
            assert clock.now_ns() - date_ns == clocks.steady_ns - steady_ns
