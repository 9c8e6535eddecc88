"""Which found moments belong to which true ones: one to one, within a tolerance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

_Array = npt.NDArray[np.float64]
_Index = npt.NDArray[np.intp]

_MOST_DENSE = 4_000_000
"""Largest table of distances, 32 MB. Above it the pairs are as many as possible, but not the nearest ones."""


def paired(
    found_s: Sequence[float],
    true_s: Sequence[float],
    tolerance_s: float,
    *,
    found_labels: Sequence[str | None] | None = None,
    true_labels: Sequence[str | None] | None = None,
) -> list[tuple[int, int]]:
    """Pair as many found moments with true ones as possible, each at most once.

    Of all ways with the most pairs it takes the one whose differences in time are the smallest in sum, where
    a pair of two classes counts as much as one tolerance more.

    Args:
        found_s: seconds, in any order.
        true_s: seconds, in any order.
        tolerance_s: two moments further apart are no pair.
        found_labels: classes of the found ones; None for one that is not known.
        true_labels: classes of the true ones.

    Returns:
        Pairs (place in `found_s`, place in `true_s`), by the time of the found one.
    """
    found, true = np.asarray(found_s, np.float64), np.asarray(true_s, np.float64)
    pairs: list[tuple[int, int]] = []
    for rows, columns in _apart(found, true, tolerance_s):
        distance = np.abs(found[rows][:, None] - true[columns])
        near = distance <= tolerance_s
        if distance.size > _MOST_DENSE:
            match = maximum_bipartite_matching(csr_array(near), perm_type="column")
            chosen = np.flatnonzero(match >= 0)
            pairs += zip(rows[chosen].tolist(), columns[match[chosen]].tolist(), strict=True)
            continue
        if found_labels is not None and true_labels is not None:
            other = [[_differ(found_labels[row], true_labels[column]) for column in columns] for row in rows]
            distance = distance + tolerance_s * np.array(other, np.float64)
        # More than all pairs together could save, so that no pair is given up for better fits of the others.
        never = (2.0 * tolerance_s + 1.0) * (1 + min(distance.shape))
        first, second = linear_sum_assignment(np.where(near, distance, never))
        kept = near[first, second]
        pairs += zip(rows[first[kept]].tolist(), columns[second[kept]].tolist(), strict=True)
    return sorted(pairs, key=lambda pair: (found_s[pair[0]], pair))


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _apart(found: _Array, true: _Array, tolerance_s: float) -> Iterator[tuple[_Index, _Index]]:
    """Yield what can be paired with each other: groups between which more than the tolerance lies."""
    if not len(found) or not len(true):
        return
    moment = np.concatenate([found, true])
    order = np.argsort(moment, kind="stable")
    cuts = np.flatnonzero(np.diff(moment[order]) > tolerance_s) + 1
    for group in np.split(order, cuts):
        rows, columns = group[group < len(found)], group[group >= len(found)] - len(found)
        if len(rows) and len(columns):
            yield rows, columns
