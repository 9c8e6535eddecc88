"""Minimum-cost matching of the few candidate pairs that are left after gating."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from stages.track.boxes import FloatArray, IntArray

# A pair at the limit is still better than none; the reference implementation's margin.
_MARGIN = 1e-5
# Up to this many rows one dense matrix is quicker to solve than its components are to find.
_SMALL = 48


def match_pairs(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> IntArray:
    """Choose the pairs of the best one-to-one matching.

    Best is what the Hungarian method finds on the dense cost matrix with everything above `limit` capped at
    `limit` + 1e-5, as DeepSORT does: the largest sum of gains, where a pair gains what it stays below
    that cap.

    Most pairs need no search. A pair that gains at least as much as the best other pair of its row and the
    best other pair of its column together belongs to a best matching, because whatever replaces it touches
    at most those two. The rest is solved for each connected component.

    Args:
        rows: (P,) row of each candidate pair, no pair twice.
        columns: (P,) its column.
        cost: (P,) its cost.
        limit: pairs that cost more are never chosen.

    Returns:
        Indices of the chosen pairs, ascending.
    """
    open_pairs = np.flatnonzero(cost <= limit)
    if len(open_pairs) < 2:
        return open_pairs
    gain = limit + _MARGIN - cost
    chosen: list[IntArray] = []
    while len(open_pairs):
        r, c, g = rows[open_pairs], columns[open_pairs], gain[open_pairs]
        sure = open_pairs[_undisputed(r, c, g)]
        if not len(sure):
            chosen.extend(open_pairs[part] for part in _solve(r, c, g))
            break
        chosen.append(sure)
        row_taken, column_taken = np.zeros(r.max() + 1, np.bool_), np.zeros(c.max() + 1, np.bool_)
        row_taken[rows[sure]] = True
        column_taken[columns[sure]] = True
        open_pairs = open_pairs[~(row_taken[r] | column_taken[c])]
    return np.sort(np.concatenate(chosen))


def _undisputed(rows: IntArray, columns: IntArray, gain: FloatArray) -> IntArray:
    """Return the pairs whose gain reaches that of the best rivals in their row and column together."""
    order = np.argsort(-gain, kind="stable")[::-1]  # of equal gains the first pair comes last, and wins
    row_best, row_rival = _best_two(rows, gain, order)
    column_best, column_rival = _best_two(columns, gain, order)
    leaders = row_best[row_best == column_best[columns[row_best]]]
    sure: IntArray = leaders[gain[leaders] >= row_rival[rows[leaders]] + column_rival[columns[leaders]]]
    return sure


def _best_two(groups: IntArray, gain: FloatArray, order: IntArray) -> tuple[IntArray, FloatArray]:
    """Return for each group its best pair (-1 without any) and the gain of its second best (0 without)."""
    size = int(groups.max()) + 1
    best = np.full(size, -1)
    best[groups[order]] = order  # of several pairs the last, the one with the largest gain, stays
    others = order[best[groups[order]] != order]
    rival = np.zeros(size)
    rival[groups[others]] = gain[others]
    return best, rival


def _solve(rows: IntArray, columns: IntArray, gain: FloatArray) -> list[IntArray]:
    """Return the pairs of a best matching, one array for each part that was solved by itself."""
    row_names, r = np.unique(rows, return_inverse=True)
    column_names, c = np.unique(columns, return_inverse=True)
    n, m = len(row_names), len(column_names)
    if min(n, m) <= _SMALL:
        return [_hungarian(r, c, gain)]
    graph = csr_array((np.ones(len(r), np.int8), (r, c + n)), shape=(n + m, n + m))
    component = connected_components(graph, directed=False)[1][r]
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [part[_hungarian(r[part], c[part], gain[part])] for part in parts]


def _hungarian(rows: IntArray, columns: IntArray, gain: FloatArray) -> IntArray:
    row_names, r = np.unique(rows, return_inverse=True)
    column_names, c = np.unique(columns, return_inverse=True)
    dense, pair = (
        np.zeros((len(row_names), len(column_names))),
        np.full((len(row_names), len(column_names)), -1),
    )
    dense[r, c], pair[r, c] = gain, np.arange(len(r))
    matched: IntArray = pair[linear_sum_assignment(dense, maximize=True)]
    return matched[matched >= 0]
