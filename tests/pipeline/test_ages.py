from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ages import BOUNDS_S, Ages


def test_without_frames_there_is_nothing() -> None:
    assert Ages().summary_ms() == {}


@given(st.lists(st.floats(0, 90), min_size=1, max_size=200), st.sampled_from([50.0, 99.0, 100.0]))
def test_a_percentile_is_within_a_bucket_of_the_true_one(ages_s: list[float], percent: float) -> None:
    ages = Ages()
    for age_s in ages_s:
        ages.note("output", age_s)
    rank = max(1, -(-len(ages_s) * int(percent) // 100))
    true_s = sorted(ages_s)[rank - 1]
    found_s = ages.spreads()["output"].percentile_s(percent)
    assert found_s <= max(true_s * 1.34, BOUNDS_S[0]) + 1e-9
    assert found_s >= true_s / 1.34 - BOUNDS_S[0]


def test_what_is_older_than_all_bounds_is_counted() -> None:
    ages = Ages()
    ages.note("output", 1e6)
    assert ages.spreads()["output"].counts[-1] == 1
    assert ages.summary_ms()["output"] == {"p50": 100_000.0, "p99": 100_000.0, "latest": 1e9}


def test_the_bounds_are_what_they_say() -> None:
    assert BOUNDS_S[0] == pytest.approx(1e-3)
    assert BOUNDS_S[-1] == pytest.approx(100)
