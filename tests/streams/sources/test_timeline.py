"""Time stamps as files have them, and the media times that come of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.sources.timeline import Place, Timeline

Stamps = list[float | None]


def placed(stamps: Stamps, *, origin_s: float | None = 0.0, steady: bool = False) -> list[Place]:
    timeline = Timeline(origin_s, steady=steady)
    return [timeline.place(stamp, after) for stamp, after in pairwise([*stamps, None])]


@pytest.mark.parametrize(
    ("case", "stamps", "times"),
    [
        ("regular", [0.0, 0.1, 0.2], [0.0, 0.1, 0.2]),
        ("variable rate", [0.0, 0.1, 7.0, 7.05], [0.0, 0.1, 7.0, 7.05]),
        ("one without a stamp", [0.0, None, 0.2], [0.0, None, 0.2]),
        ("one repeated", [0.0, 0.1, 0.1, 0.2], [0.0, 0.1, None, 0.2]),
        ("one goes back", [0.0, 0.5, 0.1, 0.6], [0.0, None, 0.1, 0.6]),
        ("one goes back behind all", [0.0, 0.1, 0.2, 0.05, 0.3], [0.0, 0.1, 0.2, None, 0.3]),
        ("one runs ahead", [0.0, 0.1, 900.0, 0.3, 0.4], [0.0, 0.1, None, 0.3, 0.4]),
        ("the first runs ahead", [900.0, 0.1, 0.2], [None, 0.1, 0.2]),
        ("clock restarts", [5.0, 5.1, 0.0, 0.1, 0.2, 0.3], [5.0, 5.1, None, None, 5.2, 5.3]),
        (
            "clock restarts twice",
            [5.0, 5.1, 1.0, 1.2, 1.4, 0.0, 0.1, 0.2],
            [5.0, 5.1, None, None, 5.3, None, None, 5.4],
        ),
        ("going back step by step is no restart", [0.9, 1.0, 0.5, 0.4, 0.3], [0.9, 1.0, None, None, None]),
    ],
)
def test_times(case: str, stamps: Stamps, times: list[float | None]) -> None:
    assert [place.pts_s for place in placed(stamps)] == times


def test_the_first_good_stamp_is_the_origin_where_none_is_given() -> None:
    assert [place.pts_s for place in placed([None, 9.0, 9.5], origin_s=None)] == [None, 0.0, 0.5]


def test_every_refusal_says_why() -> None:
    for place in placed([0.0, None, 0.2, 0.2, 7.0, 0.4]):
        assert (place.pts_s is None) == (place.trouble != "")


def test_a_restarted_clock_leaves_an_unknown_break() -> None:
    place = placed([5.0, 5.1, 0.0, 0.1, 0.2])[-1]
    assert place == Place(5.2, None, "time goes back from 5.100 s to 0.000 s")


@pytest.mark.parametrize(
    ("steady", "stamps", "missing_s"),
    [
        (True, [0.0, 0.1, 0.2, 5.2], 4.9),
        (True, [0.0, 0.1, 0.2, 2.1], None),
        (True, [0.0, 1.0, 2.0, 11.0], None),
        (False, [0.0, 0.1, 0.2, 5.2], None),
        (True, [0.0, 30.0], None),
    ],
    ids=[
        "a jump",
        "under 2 s",
        "within ten times the longest step",
        "a still scene",
        "nothing to compare with",
    ],
)
def test_a_jump_is_missing_media_in_transport_streams(
    steady: bool, stamps: Stamps, missing_s: float | None
) -> None:
    last = placed(stamps, steady=steady)[-1]
    assert last.pts_s == stamps[-1]
    assert (last.missing_s if last.trouble else None) == missing_s


def test_what_is_missing_is_measured_from_the_end_of_the_last_picture() -> None:
    timeline = Timeline(0.0, steady=False)
    for stamp_s in (0.0, 0.1, 0.2):
        timeline.place(stamp_s, None)
    assert timeline.place(0.6, None, after_loss=True).missing_s == 0.3
    assert timeline.place(0.9, None, after_loss=True).missing_s == 0.2
    assert timeline.missing_until(1.5) == 0.5


@given(st.lists(st.none() | st.integers(-50, 400).map(lambda tick: tick / 25), max_size=60), st.booleans())
@settings(max_examples=100, deadline=None)
def test_times_always_increase(stamps: Stamps, steady: bool) -> None:
    times = [place.pts_s for place in placed(stamps, origin_s=None, steady=steady) if place.pts_s is not None]
    assert all(late > early for early, late in pairwise(times))
