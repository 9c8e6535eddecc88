"""Minimum-cost matching of the few candidate pairs that are left after gating."""

from __future__ import annotations

import numpy as np

from stages.track.boxes import FloatArray, IntArray
from stages.track.kernels import replaceable

# A pair at the limit is still better than none; the reference implementation's margin.
_MARGIN = 1e-5
# Up to this many cells one dense matrix is quicker to solve than its components are to find.
_SMALL = 2_500


@replaceable
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
    open_pairs = (cost <= limit).nonzero()[0]
    if len(open_pairs) < 2:
        return open_pairs
    r, n = _numbered(rows.take(open_pairs))
    c, m = _numbered(columns.take(open_pairs))
    if n == m == len(open_pairs):
        return open_pairs
    gain = (limit + _MARGIN) - cost.take(open_pairs)
    if n * m <= _SMALL:
        return open_pairs.take(_hungarian(r, n, c, m, gain))
    return open_pairs.take(_sparse(r, n, c, m, gain))


def _sparse(r: IntArray, n: int, c: IntArray, m: int, gain: FloatArray) -> IntArray:
    """Return the pairs of a best matching of many rows and columns, ascending."""
    chosen: list[IntArray] = []
    pairs = np.arange(len(gain))
    row_free, column_free = np.ones(n, np.bool_), np.ones(m, np.bool_)
    while len(pairs):
        part = r.take(pairs), c.take(pairs), gain.take(pairs)
        sure = pairs.take(_undisputed(*part))
        if not len(sure):
            chosen.extend(pairs.take(best) for best in _components(*part))
            break
        chosen.append(sure)
        row_free[r.take(sure)] = False
        column_free[c.take(sure)] = False
        pairs = pairs[row_free.take(part[0]) & column_free.take(part[1])]
    return np.sort(np.concatenate(chosen))


def with_contested(
    sure: IntArray, contested: IntArray, rows: IntArray, columns: IntArray, gain: FloatArray
) -> IntArray:
    """Return the sure pairs and the best matching of the contested ones, in no promised order."""
    best = _components(rows.take(contested), columns.take(contested), gain.take(contested))
    return np.concatenate([sure, *(contested.take(part) for part in best)])


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


def _components(rows: IntArray, columns: IntArray, gain: FloatArray) -> list[IntArray]:
    """Return the pairs of a best matching, one array for each part that was solved by itself."""
    r, n = _numbered(rows)
    c, m = _numbered(columns)
    if n * m <= _SMALL:
        return [_hungarian(r, n, c, m, gain)]
    from scipy.sparse import csr_array  # loaded in large crowds only, see `best_columns`
    from scipy.sparse.csgraph import connected_components

    graph = csr_array((np.ones(len(r), np.int8), (r, c + n)), shape=(n + m, n + m))
    component = connected_components(graph, directed=False)[1][r]
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [
        part[_hungarian(*_numbered(r[part]), *_numbered(c[part]), gain[part])] if len(part) > 1 else part
        for part in parts
    ]


def _hungarian(r: IntArray, n: int, c: IntArray, m: int, gain: FloatArray) -> IntArray:
    """Return the pairs of a best matching of `n` rows and `m` columns, ascending."""
    dense = np.zeros((n, m))
    dense[r, c] = gain
    chosen: IntArray = (best_columns(dense).take(r) == c).nonzero()[0]
    return chosen


@replaceable
def best_columns(gain: FloatArray) -> IntArray:
    """Return the one-to-one assignment of rows to columns with the largest sum of gains.

    Args:
        gain: (n, m) float64, finite.

    Returns:
        (n,) column of each row; -1 for a row without one, as there are when n > m.
    """
    # Loaded where nothing was compiled only: for this one function it holds 40 MB.
    from scipy.optimize import linear_sum_assignment

    row, column = linear_sum_assignment(gain, maximize=True)
    columns = np.full(len(gain), -1)
    columns[row] = column
    return columns


def _numbered(names: IntArray) -> tuple[IntArray, int]:
    """Return (P,) the names' ranks among all different ones, and how many there are."""
    rank = (np.bincount(names) > 0).cumsum()
    return rank.take(names) - 1, int(rank[-1])
