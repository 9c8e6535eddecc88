"""Bounded ring buffers of embeddings, and the nearest cosine distance."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.gallery import Gallery, unit_rows


def filled(budget: int, per_track: list[int], seed: int = 0) -> tuple[Gallery, np.ndarray, list[np.ndarray]]:
    """A gallery whose k-th track has seen `per_track[k]` embeddings, and all that each has seen."""
    rng = np.random.default_rng(seed)
    gallery = Gallery(budget)
    slots = gallery.acquire(len(per_track))
    seen = [unit_rows(rng.standard_normal((count, 8))) for count in per_track]
    for k in range(max(per_track)):
        rows = np.flatnonzero(np.array(per_track) > k)
        new = np.array([seen[row][k] for row in rows])
        gallery.check(new)
        gallery.add(slots[rows], new)
    return gallery, slots, seen


@pytest.mark.parametrize("budget", [1, 3, 10, 100])
def test_distance_is_the_smallest_over_the_latest(budget: int) -> None:
    gallery, slots, seen = filled(budget, [1, 2, 5, 40, 0])
    query = unit_rows(np.random.default_rng(1).standard_normal((5, 8)))
    truth = [
        1 - (track[-budget:] @ q).max() if len(track) else 1.0 for track, q in zip(seen, query, strict=True)
    ]
    assert gallery.distance(slots, query) == pytest.approx(truth, abs=1e-6)


def test_distance_up_to_decides_like_the_exact_distance() -> None:
    gallery, slots, _ = filled(30, list(range(40)))
    rng = np.random.default_rng(2)
    pairs = rng.integers(0, 40, 500)
    query = unit_rows(rng.standard_normal((500, 8)))
    enough = rng.uniform(0, 1, 500)
    exact = gallery.distance(slots[pairs], query)
    lazy = gallery.distance_up_to(slots[pairs], query, enough)
    assert ((lazy <= enough) == (exact <= enough)).all()
    assert lazy[lazy > enough] == pytest.approx(exact[lazy > enough])
    assert 50 < (lazy <= enough).sum() < 450


def test_a_released_slot_is_used_again_and_empty() -> None:
    gallery, slots, seen = filled(4, [3, 3])
    gallery.release(slots[:1])
    again = gallery.acquire(1)
    assert again.tolist() == slots[:1].tolist()
    assert gallery.distance(again, seen[0][:1]) == pytest.approx([1.0])
    assert gallery.distance(slots[1:], seen[1][:1]) == pytest.approx([0.0], abs=1e-6)
    assert gallery.capacity == 2


def test_zero_rows_resemble_nothing() -> None:
    gallery, slots, _ = filled(4, [2])
    assert gallery.distance(slots, np.zeros((1, 8), np.float32)) == pytest.approx([1.0])
    assert unit_rows(np.zeros((2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("length", [0, 7, 9])
def test_the_length_must_stay(length: int) -> None:
    gallery, _, _ = filled(4, [2])
    with pytest.raises(ValueError, match=f"must keep their length: it was 8, now {length}"):
        gallery.check(np.ones((1, length), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        unit_rows(np.array([[1.0, value]]))


def test_a_budget_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 embedding, got 0"):
        Gallery(0)
