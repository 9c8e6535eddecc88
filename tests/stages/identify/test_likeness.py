from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.identify.likeness import Likeness, separation
from stages.identify.running import Running


def taught(same: float = 0.8, other: float = 0.3, width: float = 0.1, count: int = 200) -> Likeness:
    likeness = Likeness()
    rng = np.random.default_rng(1)
    for _ in range(count):
        likeness.see_within(float(rng.normal(same, width)), tuple(rng.normal(other, width, 3).tolist()))
    return likeness


def test_it_says_nothing_before_it_has_seen_anything():
    assert Likeness().ratio(0.9) == 1.0
    assert separation(Likeness()) is None
    assert taught().ratio(None) == 1.0


def test_where_all_look_alike_looks_say_nothing():
    assert taught(same=0.5, other=0.5).ratio(0.9) < 1.5


def test_more_alike_is_more_evidence_and_never_beyond_100_to_1():
    likeness = taught()
    assert likeness.ratio(0.25) < 0.2
    assert likeness.ratio(0.8) > 20
    assert 0.0099 <= likeness.ratio(-1.0) < likeness.ratio(1.0) <= 100.0001


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-0.5, 0.9),
    st.floats(-0.5, 0.9),
    st.floats(0.02, 0.3),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), max_size=20),
)
def test_it_never_falls_with_the_cosine(same, other, width, pairs):
    likeness = taught(same, other, width, count=10)
    for cosine, probability in pairs:
        likeness.learn(cosine, probability)
    ratios = [likeness.ratio(cosine) for cosine in np.linspace(-1, 1, 41)]
    assert all(later >= earlier * (1 - 1e-9) for earlier, later in pairwise(ratios))


def test_matches_teach_how_much_less_alike_one_is_across_cameras():
    likeness = taught(same=0.9, other=0.3)
    rng = np.random.default_rng(2)
    for _ in range(300):
        likeness.learn(float(rng.normal(0.6, 0.05)), 0.97)
        likeness.learn(float(rng.normal(0.2, 0.05)), 0.01)
    same, _, other, _ = likeness.distributions
    assert same == pytest.approx(0.6, abs=0.03)
    assert other == pytest.approx(0.2, abs=0.03)


def test_running_mean_and_deviation_are_those_of_numpy():
    values = np.random.default_rng(0).normal(3, 2, 50)
    weights = np.random.default_rng(1).uniform(0.1, 1, 50)
    running = Running(1000.0)
    for value, weight in zip(values, weights, strict=True):
        running.add(float(value), float(weight))
    mean = np.average(values, weights=weights)
    assert running.mean == pytest.approx(mean)
    assert running.deviation == pytest.approx(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


def test_a_guess_is_as_good_as_so_many_numbers():
    running = Running(1000.0)
    for value in (1.0, 3.0):
        running.add(value, 1.0)
    both = running.with_guess(5.0, 1.0, 2.0)
    assert (both.mean, both.deviation) == (3.5, pytest.approx(np.std([1, 3, 4, 6])))
