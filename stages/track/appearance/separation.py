"""How well embeddings tell objects apart: the figures of re-identification."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from stages.track.boxes import FloatArray, IntArray
from stages.track.gallery import BoolArray, F32Array


@dataclass(frozen=True)
class Separation:
    """What comparing each query with the whole gallery shows.

    Attributes:
        rank1: share of queries whose nearest gallery entry is of the same identity.
        mean_ap: mean average precision of the ranked gallery, 0..1 (Zheng et al. 2015).
        auc: chance that a pair of one identity is nearer than a pair of two.
        eer: share of wrong decisions at the limit where both kinds of mistake are equally frequent.
        limit: the cosine distance that best separates pairs of one identity from pairs of two: there the
            share of pairs of one within it, less the share of pairs of two within it, is largest.
        queries: how many there were.
    """

    rank1: float
    mean_ap: float
    auc: float
    eer: float
    limit: float
    queries: int

    def to_dict(self) -> dict[str, float | int]:
        """Return the figures by name, rounded to what can be believed."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def separation(
    embedding: F32Array, identity: npt.NDArray[np.integer], query: BoolArray, gallery: BoolArray
) -> Separation | None:
    """Compare queries with a gallery.

    Args:
        embedding: (N, D) unit rows; rows of 0 are at distance 1 of everything.
        identity: (N,) whole numbers.
        query: (N,) which rows are looked for.
        gallery: (N,) which rows they are compared with.

    Returns:
        The figures over all queries with an entry of their identity in the gallery; None when no query has
        one, or the gallery holds nothing else.
    """
    same = identity[query][:, None] == identity[gallery][None, :]
    distance = 1.0 - np.asarray(embedding[query] @ embedding[gallery].T, np.float64)
    known = np.asarray(same.any(axis=1))
    same, distance = same[known], distance[known]
    if not same.size or same.all():
        return None
    # Of equally near entries the wrong one counts first: embeddings that are all alike get no credit.
    order = np.lexsort((same, distance), axis=1)
    hits = np.take_along_axis(same, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    mean_ap = float(((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean())
    auc, eer, limit = _pairs(distance[same], distance[~same])
    return Separation(float(hits[:, 0].mean()), mean_ap, auc, eer, limit, len(hits))


def _pairs(same: FloatArray, different: FloatArray) -> tuple[float, float, float]:
    """Return AUC, EER and the best limit of the distances of two kinds of pairs."""
    rank = rankdata(np.concatenate([same, different]))[: len(same)]
    lower = float(rank.sum()) - len(same) * (len(same) + 1) / 2
    auc = 1.0 - lower / (len(same) * len(different))
    limits = np.unique(np.concatenate([same, different]))
    missed = 1.0 - np.searchsorted(np.sort(same), limits, side="right") / len(same)
    taken = np.searchsorted(np.sort(different), limits, side="right") / len(different)
    crossing = int(np.argmin(np.abs(missed - taken)))
    eer = float(missed[crossing] + taken[crossing]) / 2
    best = int(np.argmin(missed + taken))
    following = limits[min(best + 1, len(limits) - 1)]
    return auc, eer, float((limits[best] + following) / 2)


def ends(identity: IntArray) -> tuple[BoolArray, BoolArray]:
    """Return the last and the first third of each identity's rows, as query and gallery, (N,) each.

    Rows of an identity are in order of time. The middle third is left out: neighbours in time look so much
    alike that anything would recognise them.
    """
    query, gallery = np.zeros(len(identity), np.bool_), np.zeros(len(identity), np.bool_)
    for one in np.unique(identity):
        rows = np.flatnonzero(identity == one)
        third = max(len(rows) // 3, 1)
        gallery[rows[:third]] = True
        query[rows[max(len(rows) - third, third) :]] = True
    return query, gallery
