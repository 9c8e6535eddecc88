"""A common shift among wrong pairs and noise, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.sightline.shift import common_shift

HEIGHT = 100.0
Votes = tuple[np.ndarray, np.ndarray, np.ndarray]


def votes(
    n: int,
    by: tuple[float, float],
    seed: int,
    *,
    wrong: int = 2,
    noise: float = 2.0,
    right: float = 0.9,
    height: float = HEIGHT,
) -> Votes:
    """n tracks; most have the right offset among their pairs, and all of them have wrong ones."""
    rng = np.random.default_rng(seed)
    track, offset = [], []
    for t in range(n):
        pairs = rng.uniform(-1.6 * height, 1.6 * height, (wrong, 2))
        if rng.random() < right:
            pairs = np.concatenate([pairs, [np.array(by) + rng.normal(0, noise, 2)]])
        track += [t] * len(pairs)
        offset.extend(pairs)
    return np.array(track), np.array(offset).reshape(-1, 2).T, np.full(len(track), height)


@pytest.mark.parametrize(
    ("px", "height"), [(10, 50), (20, 50), (20, 100), (40, 100), (80, 100), (120, 100), (120, 400)]
)
@pytest.mark.parametrize("n", [8, 20, 60])
@pytest.mark.parametrize("seed", range(4))
def test_a_common_shift_is_found(px: int, height: float, n: int, seed: int) -> None:
    angle = 0.3 + seed * np.pi / 2
    by = px * np.array([np.cos(angle), np.sin(angle)])
    found = common_shift(*votes(n, tuple(by), seed, height=height, noise=0.02 * height))
    assert found is not None
    np.testing.assert_allclose(found, by, atol=0.05 * height)


@pytest.mark.parametrize("px", [3, 10])
def test_what_is_small_against_the_objects_is_left_to_the_filter(px: int) -> None:
    assert common_shift(*votes(30, (px, 0), 0)) is None


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_still_scene_has_none(noise: float, seed: int) -> None:
    assert common_shift(*votes(30, (0, 0), seed, noise=noise)) is None


@pytest.mark.parametrize("seed", range(10))
def test_pairs_that_are_all_wrong_agree_on_nothing(seed: int) -> None:
    assert common_shift(*votes(20, (0, 0), seed, right=0.0)) is None


@pytest.mark.parametrize(("n", "found"), [(0, False), (1, False), (4, False), (5, True), (6, True)])
def test_few_do_not_speak_for_all(n: int, found: bool) -> None:
    by = (50.0, -20.0)
    assert (common_shift(*votes(n, by, 0, wrong=0, right=1.0)) is not None) is found


def test_a_minority_that_walks_together_is_no_camera() -> None:
    """A third of the objects moves, the others stay."""
    track = np.arange(30)
    offset = np.where(np.arange(30) % 3 == 0, 40.0, 0.0) * np.array([[1.0], [0.0]])
    offset += np.random.default_rng(0).normal(0, 1, offset.shape)
    assert common_shift(track, offset, np.full(30, HEIGHT)) is None


def test_agreement_is_in_heights() -> None:
    """Offsets of 30 px that differ by 5 px agree for large objects, not for small ones."""
    rng = np.random.default_rng(1)
    offset = np.array([[30.0], [0.0]]) + rng.uniform(-5, 5, (2, 20))
    assert common_shift(np.arange(20), offset, np.full(20, HEIGHT)) is not None
    assert common_shift(np.arange(20), offset, np.full(20, 15.0)) is None


@pytest.mark.parametrize("n", [150, 500, 2000])
def test_more_votes_than_are_compared(n: int) -> None:
    table = votes(n, (60.0, 25.0), 0, wrong=3)
    assert len(table[0]) > 400
    found = common_shift(*table)
    assert found is not None
    np.testing.assert_allclose(found, (60, 25), atol=2)


def test_many_votes_of_every_second_track() -> None:
    track, offset, height = votes(200, (60.0, 25.0), 0, wrong=2)
    assert common_shift(2 * track + 1, offset, height) is not None
