"""Bounded ring buffers of embeddings, and the nearest cosine distance."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track import gallery as gallery_module
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


@pytest.mark.parametrize("few", [0, 100], ids=["gathered", "in place"])
@pytest.mark.parametrize("budget", [1, 3, 10, 100])
def test_distance_is_the_smallest_over_the_latest(
    budget: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_module, "_FEW", few)
    gallery, slots, seen = filled(budget, [1, 2, 5, 40, 0])
    query = unit_rows(np.random.default_rng(1).standard_normal((5, 8)))
    truth = [
        1 - (track[-budget:] @ q).max() if len(track) else 1.0 for track, q in zip(seen, query, strict=True)
    ]
    assert gallery.distance(slots, query) == pytest.approx(truth, abs=1e-6)


@pytest.mark.parametrize("limit", [0.2, 0.4, 0.7, 1.0])
@pytest.mark.parametrize("pairs", [1, 500])
def test_within_decides_like_the_distance(pairs: int, limit: float) -> None:
    gallery, slots, _ = filled(30, list(range(40)))
    rng = np.random.default_rng(2)
    chosen = slots[rng.integers(0, 40, pairs)]
    query = unit_rows(rng.standard_normal((pairs, 8)))
    within = gallery.within(chosen, query, limit)
    assert within.tolist() == (gallery.distance(chosen, query) <= limit).tolist()
    assert pairs == 1 or 20 < within.sum() <= 500


def test_within_finds_any_of_those_kept() -> None:
    """One of the latest 30 of 75 embeddings is like the question; the newest and the eight newest are not."""
    gallery = Gallery(30)
    slots = gallery.acquire(60)
    near, far = (
        np.tile(np.eye(1, 8, dtype=np.float32), (60, 1)),
        np.tile(np.eye(8, dtype=np.float32)[1], (60, 1)),
    )
    gallery.check(near)
    for k in range(75):
        alike = np.arange(60) == 74 - k  # slot a saw it a embeddings before the last
        gallery.add(slots, np.where(alike[:, None], near, far))
    assert gallery.within(slots, near, 0.2).tolist() == [age < 30 for age in range(60)]


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


def test_unit_rows_have_length_one_or_none() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [1e-6, 0.0], [1e15, 0.0]])
    np.testing.assert_allclose(unit_rows(rows), [[0.6, 0.8], [0, 0], [1, 0], [1, 0]], rtol=1e-6)
    unit = np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)
    assert unit_rows(unit) is unit
    assert unit_rows(np.zeros((0, 4))).shape == (0, 4)


def test_slots_are_lent_to_one_owner_at_a_time() -> None:
    rng = np.random.default_rng(4)
    gallery, owned = Gallery(2), set()
    for _ in range(300):
        new = gallery.acquire(int(rng.integers(0, 6))).tolist()
        assert not owned & set(new)
        owned |= set(new)
        back = rng.permutation(sorted(owned))[: rng.integers(0, 7)]
        gallery.release(back)
        owned -= set(back.tolist())
    assert len(owned) <= gallery.capacity < 500


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        unit_rows(np.array([[1.0, value]]))


def test_a_budget_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 embedding, got 0"):
        Gallery(0)
