"""The gate finds what the formula finds, and the cascade matches what the reference's lists match."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from pipeline.objects import Detections
from stages.track import association
from stages.track.association import GATE, Association, Measured, gated_pairs
from stages.track.boxes import paired_iou, xyah_to_xyxy
from stages.track.gallery import Gallery, unit_rows
from stages.track.kalman import ConstantVelocity
from stages.track.population import Population

MOTION = ConstantVelocity()
COSINE, IOU = 0.2, 0.7


def crowd(seed: int, embeddings: bool = True) -> tuple[Population, Gallery, Measured]:
    """Tracks seen 1 to 4 frames ago with their galleries, and detections of most of them, very crowded."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    xyah = np.column_stack([rng.uniform(0, 250, (n, 2)), np.full(n, 0.4), rng.uniform(60, 120, n)])
    identity = rng.standard_normal((n, 16)) + 1.0
    gallery = Gallery(5)
    slots = gallery.acquire(n)
    if embeddings:
        for _ in range(int(rng.integers(1, 8))):
            looks = unit_rows(identity + 0.5 * rng.standard_normal(identity.shape))
            gallery.check(looks)
            gallery.add(slots, looks)
    state = MOTION.initiate(xyah)
    for _ in range(3):
        state = MOTION.update(MOTION.predict(state, 1 / 30), xyah)
    score, label = np.ones(n, np.float32), np.full(n, "car")
    tracks = Population.born(state, 1, 0.0, np.arange(n), score, label, slots)
    tracks.confirmed[:] = rng.random(n) < 0.8
    missed = np.where(tracks.confirmed, rng.choice([1, 1, 1, 2, 4], n), 1)
    tracks.seen_s[:] = 10.0 - missed
    for row, frames in enumerate(missed):
        for _ in range(frames):
            tracks.state[:, [row]] = MOTION.predict(tracks.state[:, [row]], 1 / 30)
    seen = rng.permutation(n)[: int(rng.integers(0, n + 1))]
    found = np.concatenate([xyah[seen] + rng.normal(0, 3, (len(seen), 4)) * [1, 1, 0, 1], xyah[:2] + 7])
    looks = np.concatenate([identity[seen], rng.standard_normal((min(n, 2), 16))])
    looks = (looks + 0.5 * rng.standard_normal(looks.shape)) if embeddings else None
    boxes, m = xyah_to_xyxy(found), len(found)
    return tracks, gallery, Measured.of(Detections(boxes, np.ones(m), np.full(m, "car"), looks))


def reference(tracks: Population, gallery: Gallery, measured: Measured) -> list[int]:
    """DeepSORT's lists: one dense, capped matrix for each age, then one for the overlap."""
    n, m = len(tracks), len(measured)
    t, d = (pairs.ravel() for pairs in np.indices((n, m)))
    iou = 1 - paired_iou(xyah_to_xyxy(tracks.state[0])[t], measured.xyxy[d]).reshape(n, m)
    look, limit = iou, IOU
    if measured.embedding is not None:
        look, limit = gallery.distance(tracks.slot[t], measured.embedding[d]).reshape(n, m), COSINE
    gate = MOTION.gating_distance(tracks.state[:, t], measured.xyah[d]).reshape(n, m)
    look = np.where(gate > GATE, 1e5, look)
    detection_of = np.full(n, -1)

    def match(rows: np.ndarray, cost: np.ndarray, limit: float) -> None:
        columns = np.setdiff1d(np.arange(m), detection_of)
        capped = np.where(cost > limit, limit + 1e-5, cost)[np.ix_(rows, columns)]
        for i, j in zip(*linear_sum_assignment(capped), strict=True):
            if capped[i, j] <= limit:
                detection_of[rows[i]] = columns[j]

    for seen_s in np.unique(tracks.seen_s)[::-1]:
        match(np.flatnonzero(tracks.confirmed & (tracks.seen_s == seen_s)), look, limit)
    match(np.flatnonzero((detection_of < 0) & (tracks.seen_s == 9.0)), iou, IOU)
    return detection_of.tolist()


@pytest.mark.parametrize("embeddings", [True, False])
@pytest.mark.parametrize("sweep", [True, False])
def test_matches_are_those_of_the_references_lists(
    embeddings: bool, sweep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association, "_DENSE_CELLS", -1 if sweep else 10**6)
    stages = np.zeros(2, int)
    for seed in range(60):
        tracks, gallery, measured = crowd(seed, embeddings)
        matching = Association(tracks, measured, 9.0)
        matching.cascade(MOTION.innovation_variance(tracks.state), gallery, COSINE, IOU)
        first = (matching.detection_of >= 0).sum()
        matching.overlap(IOU)
        stages += first, (matching.detection_of >= 0).sum() - first
        assert matching.detection_of.tolist() == reference(tracks, gallery, measured), seed
        left = np.setdiff1d(np.arange(len(measured)), matching.detection_of)
        assert matching.unmatched.tolist() == left.tolist()
    assert (stages > 50).all()


@pytest.mark.parametrize("seed", range(10))
def test_the_gate_is_the_formula_however_pairs_are_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks, _, measured = crowd(seed)
    position, spread = tracks.state[0], MOTION.innovation_variance(tracks.state)
    t, d = (pairs.ravel() for pairs in np.indices((len(tracks), len(measured))))
    inside = MOTION.gating_distance(tracks.state[:, t], measured.xyah[d]) <= GATE
    truth = set(zip(t[inside].tolist(), d[inside].tolist(), strict=True))
    for cells in (-1, 10**6):
        monkeypatch.setattr(association, "_DENSE_CELLS", cells)
        found = [pair.tolist() for pair in gated_pairs(position, spread, measured.xyah)]
        assert len(found[0]) == len(truth)
        assert set(zip(*found, strict=True)) == truth


def test_boxes_too_small_to_measure_are_left_out() -> None:
    xyxy = [(0, 0, 10, 20), (5, 5, 5, 9), (0, 0, 0.5, 30), (3, 3, 4, 4)]
    detections = Detections(np.array(xyxy), np.arange(4) / 4, np.array(list("abcd")), np.eye(4) * 2)
    measured = Measured.of(detections)
    assert measured.row.tolist() == [0, 3]
    assert measured.label.tolist() == ["a", "d"]
    assert measured.score.tolist() == [0, 0.75]
    assert measured.xyah.tolist() == [[5, 10, 0.5, 20], [3.5, 3.5, 1, 1]]
    assert measured.embedding is not None
    assert measured.embedding.tolist() == np.eye(4)[[0, 3]].tolist()
    assert len(Measured.of(Detections.empty())) == 0
