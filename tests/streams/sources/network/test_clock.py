"""Media time from time stamps that wrap, jump, repeat, go back or are missing."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.network.clock import MediaTime, Placed

TICK_S = 1 / 90_000
STEP = 3600  # 25 pictures per second


def run(
    stamps: list[int | None], arrivals: list[float] | None = None, tick_s: float = TICK_S
) -> list[Placed]:
    clock = MediaTime(tick_s)
    arrivals = arrivals or [0.04 * k for k in range(len(stamps))]
    return [clock.place(stamp, at) for stamp, at in zip(stamps, arrivals, strict=True)]


def times(placed: list[Placed]) -> list[float | None]:
    return [each.pts_s for each in placed]


def test_time_begins_at_the_first_stamp() -> None:
    assert times(run([7200, 10800, 14400])) == [0.0, 0.04, 0.08]


def test_pictures_without_a_stamp_have_no_time() -> None:
    placed = run([None, None, 3600, None, 10800])
    assert times(placed) == [None, None, 0.0, None, 0.08]
    assert "no time stamp" in placed[0].detail


@pytest.mark.parametrize("wrap", [1 << 32, 1 << 33])
def test_a_wrap_is_no_jump(wrap: int) -> None:
    placed = run([wrap - 2 * STEP, wrap - STEP, 0, STEP])
    assert times(placed) == [0.0, 0.04, 0.08, 0.12]
    assert all(each.cause == "" for each in placed)


def test_milliseconds_of_rtmp_wrap_too() -> None:
    wrap = 1 << 32
    assert times(run([wrap - 40, 0, 40], tick_s=1e-3)) == [0.0, 0.04, 0.08]


@pytest.mark.parametrize(
    ("stamps", "refused"),
    [
        ([0, STEP, STEP, 2 * STEP], [2]),
        ([0, 2 * STEP, STEP, 3 * STEP], [2]),
        ([0, STEP, 0, 0, 0, 2 * STEP], [2, 3, 4]),
    ],
    ids=["repeats", "one goes back", "stays back"],
)
def test_what_does_not_advance_gets_no_time(stamps: list[int | None], refused: list[int]) -> None:
    placed = run(stamps)
    assert [k for k, each in enumerate(placed) if each.pts_s is None] == refused
    assert all(each.cause == "" for each in placed)


def test_a_clock_that_was_set_back_goes_on_by_the_time_that_passed_here() -> None:
    placed = run([900_000, 903_600, 0, 3600, 7200, 10800])
    assert times(placed) == [0.0, 0.04, None, None, pytest.approx(0.16), pytest.approx(0.2)]
    assert placed[4].cause == "timestamp jump"
    assert placed[4].missing_s is None
    assert placed[5].cause == ""


def test_a_clock_that_was_set_ahead_goes_on_by_the_time_that_passed_here() -> None:
    placed = run([0, 3600, 90_000 * 3600, 90_000 * 3600 + 3600])
    assert times(placed) == [0.0, 0.04, pytest.approx(0.08), pytest.approx(0.12)]
    assert [each.cause for each in placed] == ["", "", "timestamp jump", ""]


def test_a_pause_that_this_box_saw_too_is_missing_media() -> None:
    placed = run([0, 3600, 7200, 7200 + 90_000 * 5], [0, 0.04, 0.08, 5.08])
    assert times(placed) == [0.0, 0.04, 0.08, 5.08]
    assert (placed[3].cause, placed[3].missing_s) == ("no data", pytest.approx(4.96))


def test_a_camera_of_one_picture_a_minute_has_no_pauses() -> None:
    minute = 90_000 * 60
    placed = run([0, minute, 2 * minute], [0.0, 60.0, 120.0])
    assert [each.cause for each in placed] == ["", "", ""]


def test_a_frozen_clock_is_told() -> None:
    clock = MediaTime(TICK_S)
    clock.place(0, 0.0)
    clock.place(3600, 0.04)
    for k in range(100):
        clock.place(3600, 0.08 + 0.04 * k)
    assert clock.frozen_s(4.04) == pytest.approx(4.0)
    clock.place(7200, 4.08)
    assert clock.frozen_s(4.08) == 0.0


@given(
    st.lists(
        st.one_of(st.none(), st.integers(0, (1 << 33) - 1)),
        max_size=60,
    ),
    st.lists(st.floats(0, 5, allow_nan=False), min_size=60, max_size=60),
    st.sampled_from([1 / 90_000, 1e-3, 1e-6, 1 / 25]),
)
def test_whatever_comes_time_only_goes_on(
    stamps: list[int | None], waits: list[float], tick_s: float
) -> None:
    arrivals = list(itertools.accumulate(waits))[: len(stamps)]
    placed = run(stamps, arrivals, tick_s) if stamps else []
    known = [each.pts_s for each in placed if each.pts_s is not None]
    assert all(later > earlier for earlier, later in itertools.pairwise(known))
    assert all(each.cause in ("", "timestamp jump", "no data") for each in placed)


@given(
    st.sampled_from([1 << 32, 1 << 33]),
    st.integers(-3_000_000, 10_000),
    st.lists(st.integers(1, 100_000), min_size=1, max_size=50),
)
def test_true_stamps_keep_their_true_distances_over_a_wrap(wrap: int, before: int, steps: list[int]) -> None:
    start = wrap + before
    ticks = [start, *(start + sum(steps[: k + 1]) for k in range(len(steps)))]
    arrivals = [tick * TICK_S for tick in ticks]
    placed = run([tick % wrap for tick in ticks], arrivals)
    for each, tick in zip(placed, ticks, strict=True):
        assert each.pts_s == pytest.approx((tick - start) * TICK_S, abs=1e-6)
    assert all(each.cause == "" for each in placed)


@given(st.integers(2, 40), st.integers(-(1 << 31), 1 << 31))
def test_after_any_jump_time_follows_the_stamps_again(pictures: int, jump: int) -> None:
    stamps: list[int | None] = [(1 << 32) + k * STEP for k in range(pictures)]
    stamps += [(1 << 32) + pictures * STEP + jump + k * STEP for k in range(6)]
    known = run(stamps)[-2:]
    assert known[0].pts_s is not None
    assert known[1].pts_s is not None
    assert known[1].pts_s - known[0].pts_s == pytest.approx(0.04)
