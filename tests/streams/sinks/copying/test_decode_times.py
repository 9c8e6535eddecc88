from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.sinks.copying.decode_times import DecodeTimes


def placed(times: list[int], reorder: int, step: int) -> list[tuple[int, int]]:
    maker = DecodeTimes(reorder)
    return [maker.place(pts, None, step) for pts in times]


@st.composite
def with_b_frames(draw: st.DrawFn) -> tuple[list[int], int]:
    """Times of showing in the order of decoding, and how deep they are reordered."""
    count = draw(st.integers(1, 40))
    depth = draw(st.integers(0, 4))
    steps = draw(st.lists(st.integers(1, 5000), min_size=count, max_size=count))
    shown = [sum(steps[: n + 1]) for n in range(count)]
    order = [shown.pop(0)]  # a key frame, nothing of before it
    while shown:  # a reference picture overtakes up to `depth` that are shown before it
        ahead = min(draw(st.integers(0, depth)), len(shown) - 1)
        order.append(shown.pop(ahead))
        order += [shown.pop(0) for _ in range(ahead)]
    return order, depth


@given(with_b_frames())
def test_known_reordering_leaves_every_time_alone(case: tuple[list[int], int]) -> None:
    times, depth = case
    found = placed(times, depth, 1000)
    assert [pts for pts, _ in found] == times
    assert all(dts <= pts for pts, dts in found)
    assert all(a < b for (_, a), (_, b) in pairwise(found))


@given(with_b_frames())
def test_whatever_comes_muxers_can_take_it(case: tuple[list[int], int]) -> None:
    found = placed(case[0], 0, 0)
    assert all(dts <= pts for pts, dts in found)
    assert all(a < b for (_, a), (_, b) in pairwise(found))


def test_unknown_reordering_is_learned() -> None:
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
    times = [1000 * number for number in order]
    late = [given - pts for pts, (given, _) in zip(times, placed(times, 0, 1000), strict=True)]
    assert late[:2] == [0, 0]
    assert late[4:] == [0] * len(late[4:])


def test_without_reordering_packets_are_decoded_when_they_are_shown() -> None:
    assert placed([0, 40, 80], 0, 40) == [(0, 0), (40, 40), (80, 80)]


def test_times_that_stand_still_go_on_by_a_tick() -> None:
    maker = DecodeTimes()
    assert [maker.place(5, 5, 1), maker.place(5, 5, 1), maker.place(6, 6, 1)] == [(5, 5), (6, 6), (7, 7)]
