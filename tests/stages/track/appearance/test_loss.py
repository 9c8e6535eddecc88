"""The losses against plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs the extra "train"')

from stages.track.appearance.loss import batch_hard_triplet, cosine_softmax, make_loss  # noqa: E402
from stages.track.appearance.recipe import LossName  # noqa: E402


def slow_triplet(embedding: np.ndarray, identity: np.ndarray) -> float:
    losses = []
    for a in range(len(identity)):
        gaps = [float(np.linalg.norm(embedding[a] - embedding[b])) for b in range(len(identity))]
        far = [gaps[b] for b in range(len(identity)) if b != a and identity[b] == identity[a]]
        near = [gaps[b] for b in range(len(identity)) if identity[b] != identity[a]]
        if far and near:
            losses.append(math.log1p(math.exp(max(far) - min(near))))
    return sum(losses) / len(losses) if losses else 0.0


def slow_softmax(embedding: np.ndarray, identity: np.ndarray, directions: np.ndarray, scale: float) -> float:
    losses = []
    for x, k in zip(embedding, identity, strict=True):
        powers = [math.exp(scale * float(x @ w) / float(np.linalg.norm(w))) for w in directions]
        losses.append(-math.log(powers[k] / sum(powers)))
    return sum(losses) / len(losses)


def rows(seed: int, count: int, length: int = 6) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(count, length))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "identity",
    [
        [0, 0, 1, 1],
        [0, 1, 0, 2, 1, 2, 2, 0],
        [3, 3, 3, 3],  # nobody else
        [0, 1, 2, 3],  # everybody once
        [0, 0, 0, 7],  # one without a second
    ],
)
def test_triplet(identity: list[int]) -> None:
    who, embedding = np.array(identity), rows(len(identity), len(identity))
    value = batch_hard_triplet(torch.tensor(embedding), torch.tensor(who))
    assert value.item() == pytest.approx(slow_triplet(embedding, who), abs=1e-6)


def test_triplet_of_equal_rows_has_finite_slopes() -> None:
    embedding = torch.ones(4, 3, requires_grad=True)
    batch_hard_triplet(embedding, torch.tensor([0, 0, 1, 1])).backward()
    assert torch.isfinite(embedding.grad).all()


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_cosine_softmax(scale: float) -> None:
    who = np.array([0, 2, 1, 1, 2])
    embedding, directions = rows(1, 5), 3 * rows(2, 3)
    value = cosine_softmax(
        torch.tensor(embedding), torch.tensor(who), torch.tensor(directions), torch.tensor(math.log(scale))
    )
    assert value.item() == pytest.approx(slow_softmax(embedding, who, directions, scale), rel=1e-6)


@pytest.mark.parametrize(("name", "learned"), [(LossName.TRIPLET, 0), (LossName.COSINE_SOFTMAX, 2)])
def test_each_loss_falls_when_it_is_followed(name: LossName, learned: int) -> None:
    who = torch.tensor([0, 0, 1, 1, 2, 2])
    loss_of, extra = make_loss(name, 3, 6, 0, "cpu")
    assert len(extra) == learned
    free = torch.tensor(rows(5, 6), dtype=torch.float32, requires_grad=True)

    def loss() -> Any:
        return loss_of(torch.nn.functional.normalize(free), who)

    first = loss().item()
    for _ in range(50):  # by hand: importing torch.optim takes seconds
        for values, slope in zip((free, *extra), torch.autograd.grad(loss(), (free, *extra)), strict=True):
            values.data -= 0.5 * slope
    assert loss().item() < 0.7 * first
