from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from streams.sinks.restream.timeline import TICKS_PER_S, Timeline

MS = Fraction(1, 1000)


def test_within_a_run_distances_stay_and_it_begins_at_zero() -> None:
    line = Timeline()
    placed = [line.place("a", 5000 + ms, 5000 + ms, MS, 10.0 + ms / 1000) for ms in (0, 40, 95)]
    assert placed == [(0, 0), (3600, 3600), (8550, 8550)]


def test_b_frames_begin_with_the_time_of_decoding() -> None:
    line = Timeline()
    placed = [line.place("a", pts, dts, MS, 0.0) for pts, dts in ((80, 0), (200, 40), (120, 80))]
    assert placed == [(7200, 0), (18000, 3600), (10800, 7200)]


def test_what_follows_comes_as_much_later_as_it_came() -> None:
    line = Timeline()
    line.place("a", 900_000, None, MS, 50.0)
    assert line.place("stub", 7, None, MS, 51.5) == (135_000, None)
    assert line.place("stub", 257, None, MS, 51.75) == (157_500, None)
    assert line.place("b", 3, None, MS, 51.751) == (157_500 + 3600, None)  # at least a picture later


def test_a_clock_that_leaps_within_a_run_did_not_run() -> None:
    line = Timeline()
    line.place("a", 0, 0, MS, 0.0)
    assert line.place("a", 3_600_000, 3_600_000, MS, 0.04) == (3600, 3600)
    assert line.place("a", 3_600_040, 3_600_040, MS, 0.08) == (7200, 7200)
    assert line.place("a", 0, 0, MS, 0.12) == (10_800, 10_800)


parts = st.lists(
    st.tuples(
        st.integers(-(10**9), 10**9),  # where its clock begins, ms
        st.lists(st.integers(1, 2000), min_size=1, max_size=20),  # distances, ms
        st.floats(0, 100),  # break before it, s
    ),
    min_size=1,
    max_size=6,
)


@given(parts=parts)
def test_time_always_goes_on_and_never_jumps_further_than_it_took(
    parts: list[tuple[int, list[int], float]],
) -> None:
    line, now_s, last, last_s = Timeline(), 0.0, None, 0.0
    for number, (begin, distances, pause_s) in enumerate(parts):
        now_s += pause_s
        pts = begin
        for distance in distances:
            placed, decoded = line.place(number, pts, pts, MS, now_s)
            assert decoded == placed
            if last is not None:
                assert placed > last
                assert placed - last <= max((now_s - last_s) * TICKS_PER_S, TICKS_PER_S // 25) + 1
            last, last_s = placed, now_s
            pts += distance
            now_s += distance / 1000
