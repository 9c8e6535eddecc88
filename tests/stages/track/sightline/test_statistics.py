"""Learned normal distributions against numpy, and what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.track.sightline.statistics import Normal, log_ratio, terms_of


def pooled(opinion: tuple[float, float, float], samples: np.ndarray) -> tuple[float, float]:
    """Mean and variance of the samples and an opinion that is worth so many."""
    mean, deviation, weight = opinion
    total = weight + len(samples)
    middle = (weight * mean + samples.sum()) / total
    spread = weight * (deviation**2 + (mean - middle) ** 2) + np.square(samples - middle).sum()
    return middle, spread / total


def learned(batches: list[np.ndarray], weight: float = 10.0, memory: float = 1e9) -> Normal:
    normal = Normal(0.5, 0.2, weight, memory)
    for batch in batches:
        normal.learn(batch)
    return normal


@pytest.mark.parametrize("sizes", [[1], [7], [200], [1, 1, 1, 1], [30, 2, 11]])
def test_it_is_the_mean_and_variance_of_all_samples_and_the_opinion(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(0.1, 0.05, k) for k in sizes]
    normal = learned(batches)
    mean, variance = pooled((0.5, 0.2, 10.0), np.concatenate(batches))
    assert normal.mean == pytest.approx(mean, rel=1e-9)
    assert normal.variance == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_many_samples_outweigh_the_opinion(k: int) -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(0.1, 0.05, 8000)
    normal = learned(list(samples.reshape(-1, k)))
    assert normal.mean == pytest.approx(samples.mean(), abs=0.005)
    assert math.sqrt(normal.variance) == pytest.approx(samples.std(), abs=0.02)


@pytest.mark.parametrize("k", [1, 10, 100])
def test_old_samples_fade(k: int) -> None:
    rng = np.random.default_rng(2)
    normal = learned([rng.normal(0.2, 0.05, (100, k)).ravel()], memory=300)
    for _ in range(4000 // k):
        normal.learn(rng.normal(0.8, 0.1, k))
    assert normal.mean == pytest.approx(0.8, abs=0.03)
    assert math.sqrt(normal.variance) == pytest.approx(0.1, abs=0.03)
    assert normal.samples == 300


def test_no_samples_teach_nothing() -> None:
    normal = learned([np.zeros(0)])
    assert (normal.mean, normal.variance, normal.samples) == (0.5, pytest.approx(0.04), 0)


def test_it_counts_samples_up_to_its_memory() -> None:
    normal = Normal(0.5, 0.2, 10, 25)
    counts = []
    for _ in range(4):
        normal.learn(np.full(10, 0.5))
        counts.append(normal.samples)
    assert counts == [10, 20, 25, 25]


NORMAL = st.tuples(st.floats(-1, 1), st.floats(0.02, 1))


@settings(max_examples=60, deadline=None)
@given(low=NORMAL, gap=st.floats(0.01, 2), above=st.floats(0.02, 1), floor=st.floats(0, 0.2))
def test_a_larger_value_never_speaks_more_for_the_small_hypothesis(low, gap, above, floor) -> None:
    small, large = Normal(*low, 1, 1), Normal(low[0] + gap, above, 1, 1)
    terms = terms_of(small, large, floor)
    between = log_ratio(np.linspace(small.mean, large.mean, 50), terms)
    everywhere = log_ratio(np.linspace(small.mean - 3, large.mean + 3, 500), terms)
    assert (np.diff(between) < 0).all()
    assert (np.diff(everywhere) <= 1e-12).all()


def test_between_the_means_it_is_the_ratio_of_the_densities() -> None:
    low, high = Normal(0.2, 0.1, 1, 1), Normal(0.6, 0.2, 1, 1)
    x = np.linspace(0.2, 0.6, 9)

    def log_density(mean: float, deviation: float) -> np.ndarray:
        return -(((x - mean) / deviation) ** 2) / 2 - math.log(deviation)

    np.testing.assert_allclose(
        log_ratio(x, terms_of(low, high, 0.0)), log_density(0.2, 0.1) - log_density(0.6, 0.2), rtol=1e-12
    )
