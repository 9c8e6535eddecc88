"""The sparse matching equals the Hungarian method on the dense, capped cost matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from stages.track import assignment
from stages.track.assignment import match_pairs

LIMIT = 0.7


def dense(
    rows: np.ndarray, columns: np.ndarray, cost: np.ndarray, shape: tuple[int, int]
) -> tuple[int, float]:
    """How many pairs DeepSORT's own recipe matches, and their cost."""
    matrix = np.full(shape, LIMIT + 1e-5)
    matrix[rows, columns] = np.minimum(cost, LIMIT + 1e-5)
    chosen = matrix[linear_sum_assignment(matrix)]
    return int((chosen <= LIMIT).sum()), float(chosen[chosen <= LIMIT].sum())


@pytest.mark.parametrize("small", [assignment._SMALL, 0], ids=["dense rest", "components"])
@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 0.6), st.integers(0, 2**32 - 1))
def test_same_cost_and_cardinality_as_dense(small: int, n: int, m: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((n, m)) < density)
    cost = rng.random(len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "_SMALL", small)
        chosen = match_pairs(rows, columns, cost, LIMIT)
    assert (cost[chosen] <= LIMIT).all()
    assert len(set(rows[chosen])) == len(set(columns[chosen])) == len(chosen)
    pairs, total = dense(rows, columns, cost, (n, m))
    assert len(chosen) == pairs
    assert cost[chosen].sum() == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize(
    ("pairs", "chosen"),
    [
        ({}, []),
        ({(0, 0): 0.3}, [(0, 0)]),
        ({(0, 0): 0.70001}, []),
        ({(0, 0): 0.7}, [(0, 0)]),
        ({(0, 0): 0.3, (0, 1): 0.2}, [(0, 1)]),
        ({(0, 0): 0.3, (1, 0): 0.2}, [(1, 0)]),
        ({(0, 0): 0.1, (0, 1): 0.2, (1, 0): 0.2, (1, 1): 0.6}, [(0, 1), (1, 0)]),
        ({(0, 0): 0.1, (0, 1): 0.2, (1, 0): 0.2, (1, 1): 0.2}, [(0, 0), (1, 1)]),
        # One excellent pair beats two that barely pass: the cap of the reference implementation.
        ({(0, 0): 0.0, (0, 1): 0.69, (1, 0): 0.69}, [(0, 0)]),
        ({(0, 0): 0.5, (1, 0): 0.5, (2, 5): 0.1}, [(0, 0), (2, 5)]),
    ],
)
def test_matching(pairs: dict[tuple[int, int], float], chosen: list[tuple[int, int]]) -> None:
    rows, columns = (np.array([pair[k] for pair in pairs], np.intp) for k in (0, 1))
    picked = match_pairs(rows, columns, np.array(list(pairs.values())), LIMIT)
    assert [list(pairs)[k] for k in picked] == chosen


def test_equal_costs_still_give_one_to_one_pairs() -> None:
    rows, columns = np.divmod(np.arange(100), 10)
    chosen = match_pairs(rows, columns, np.full(100, 0.5), LIMIT)
    assert sorted(rows[chosen]) == sorted(columns[chosen]) == list(range(10))
