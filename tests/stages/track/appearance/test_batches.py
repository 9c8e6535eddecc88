"""Batches of P identities with K crops each, and what augmentation may do."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from stages.track.appearance.batches import augmented, balanced_batches
from tests.stages.track.appearance.patterns import person


@pytest.mark.parametrize(
    ("sizes", "identities", "crops"),
    [([4, 4, 4, 4, 4], 2, 3), ([2, 50, 3], 2, 4), ([5, 5], 16, 4), ([9] * 7, 3, 2)],
)
def test_every_identity_comes_equally_often(sizes: list[int], identities: int, crops: int) -> None:
    who = np.repeat(np.arange(len(sizes)), sizes)
    batches = list(islice(balanced_batches(who, identities, crops, np.random.default_rng(0)), 60))
    per_batch = min(identities, len(sizes))
    for rows in batches:
        shares = Counter(who[rows].tolist())
        assert set(shares.values()) == {crops}
        assert len(shares) == per_batch
        for one in shares:
            mine = rows[who[rows] == one]
            assert len(set(mine.tolist())) == crops or sizes[one] < crops
    total = Counter(np.concatenate([who[rows] for rows in batches]).tolist())
    assert max(total.values()) - min(total.values()) <= crops


def test_the_seed_decides() -> None:
    who = np.repeat(np.arange(5), 6)
    made = [
        np.stack(list(islice(balanced_batches(who, 3, 2, np.random.default_rng(seed)), 5)))
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    assert (made[0] != made[2]).any()


def test_augmented_crops_differ_and_stay_alike() -> None:
    crops = np.stack([person(who, 0, 32, 64) for who in range(6)])
    before = crops.copy()
    changed = augmented(crops, np.random.default_rng(0))
    np.testing.assert_array_equal(crops, before)
    assert changed.shape == crops.shape
    assert changed.dtype == np.uint8
    assert (changed != crops).any(axis=(1, 2, 3)).all()
    gap = np.abs(changed.astype(float) - crops).mean(axis=(1, 2, 3))
    assert (gap < 64).all()
    np.testing.assert_array_equal(changed, augmented(crops, np.random.default_rng(0)))


def test_black_stays_dark_and_white_stays_bright() -> None:
    dark = augmented(np.zeros((40, 16, 8, 3), np.uint8), np.random.default_rng(1))
    bright = augmented(np.full((40, 16, 8, 3), 255, np.uint8), np.random.default_rng(1))
    assert np.median(dark) <= 16
    assert np.median(bright) >= 185
