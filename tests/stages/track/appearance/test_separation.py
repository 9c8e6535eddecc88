"""The figures of re-identification, against plain loops and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.track.appearance.separation import ends, separation

ALL = np.ones(4, np.bool_)
FIRST, LAST = np.array([1, 0, 1, 0], np.bool_), np.array([0, 1, 0, 1], np.bool_)
WHO = np.array([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("what", "angles_deg", "rank1", "mean_ap", "auc", "eer"),
    [
        ("perfect", [0, 5, 90, 95], 1.0, 1.0, 1.0, 0.0),
        ("everybody is taken for the other", [0, 90, 92, 3], 0.0, 0.5, 0.0, 1.0),
        ("all alike: no credit for ties", [0, 0, 0, 0], 0.0, 0.5, 0.5, 0.5),
        ("one of two", [0, 5, 4, 60], 0.5, 0.75, 0.5, 0.5),
    ],
)
def test_known_cases(
    what: str, angles_deg: list[float], rank1: float, mean_ap: float, auc: float, eer: float
) -> None:
    radians = np.deg2rad(angles_deg)
    embedding = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    found = separation(embedding, WHO, LAST, FIRST)
    assert found is not None, what
    assert (found.rank1, found.mean_ap, found.queries) == (rank1, mean_ap, 2), what
    assert found.auc == pytest.approx(auc), what
    assert found.eer == pytest.approx(eer), what


def test_the_limit_lies_between_same_and_different() -> None:
    radians = np.deg2rad([0, 10, 90, 95])
    embedding = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    found = separation(embedding, WHO, LAST, FIRST)
    assert found is not None
    assert 1 - np.cos(np.deg2rad(10)) < found.limit < 1 - np.cos(np.deg2rad(80))


@pytest.mark.parametrize(
    ("what", "identity"), [("nobody else", [0, 0, 0, 0]), ("nobody twice", [0, 1, 2, 3])]
)
def test_nothing_to_compare(what: str, identity: list[int]) -> None:
    assert separation(np.eye(4, dtype=np.float32), np.array(identity), LAST, FIRST) is None, what


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), people=st.integers(2, 5), each=st.integers(2, 6))
def test_against_plain_loops(seed: int, people: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(people), each)
    embedding = rng.normal(size=(len(identity), 3)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    query, gallery = ends(identity)
    found = separation(embedding, identity, query, gallery)
    assert found is not None
    first, precisions, same, different = [], [], [], []
    for q in np.flatnonzero(query):
        near = sorted((1 - float(embedding[q] @ embedding[g]), int(g)) for g in np.flatnonzero(gallery))
        right = [identity[g] == identity[q] for _, g in near]
        first.append(right[0])
        precisions.append(np.mean([sum(right[: k + 1]) / (k + 1) for k, hit in enumerate(right) if hit]))
        for (gap, _), hit in zip(near, right, strict=True):
            (same if hit else different).append(gap)
    assert found.rank1 == pytest.approx(np.mean(first))
    assert found.mean_ap == pytest.approx(np.mean(precisions))
    assert found.auc == pytest.approx(np.mean([a < b for a in same for b in different]), abs=1e-6)
    # Everything is compared 1e-6 later, as the last bits of two ways to multiply differ.
    kept, *tried = (
        np.mean(np.array(same) <= limit + 1e-6) - np.mean(np.array(different) <= limit + 1e-6)
        for limit in (found.limit, *same, *different)
    )
    assert kept == pytest.approx(max(tried), abs=1e-9)


@pytest.mark.parametrize(
    ("count", "gallery", "query"), [(2, [0], [1]), (3, [0], [2]), (6, [0, 1], [4, 5]), (1, [0], [])]
)
def test_ends(count: int, gallery: list[int], query: list[int]) -> None:
    asked, kept = ends(np.zeros(count, np.intp))
    assert np.flatnonzero(kept).tolist() == gallery
    assert np.flatnonzero(asked).tolist() == query
