"""What metric learning makes small: one object's looks close to each other, those of different ones apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stages.track.appearance.recipe import LossName


def batch_hard_triplet(embedding: Any, identity: Any) -> Any:
    """Return the batch-hard triplet loss with a soft margin, a scalar tensor.

    For each row the farthest one of the same identity and the nearest one of another form the triplet; the
    loss is the mean of log(1 + exp(far - near)) over Euclidean distances. Rows without a second of their
    kind, or without one of another, have no triplet. Hermans, Beyer and Leibe, "In defense of the triplet
    loss for person re-identification" (2017), equation 5 and section 2.3.

    Args:
        embedding: (N, D) float tensor.
        identity: (N,) integer tensor.
    """
    import torch
    from torch.nn import functional

    square = embedding.square().sum(dim=1)
    squares = square[:, None] + square[None, :] - 2 * embedding @ embedding.T
    # The root has no slope at 0, where a row is compared with itself or its double.
    distance = squares.clamp_min(1e-12).sqrt()
    same = identity[:, None] == identity[None, :]
    itself = torch.eye(len(identity), dtype=torch.bool, device=identity.device)
    positive, negative = same & ~itself, ~same
    far = distance.masked_fill(~positive, -torch.inf).amax(dim=1)
    near = distance.masked_fill(~negative, torch.inf).amin(dim=1)
    usable = positive.any(dim=1) & negative.any(dim=1)
    if not usable.any():
        return embedding.sum() * 0
    return functional.softplus(far[usable] - near[usable]).mean()


def cosine_softmax(embedding: Any, identity: Any, directions: Any, log_scale: Any) -> Any:
    """Return the cross entropy of a softmax over cosines, a scalar tensor.

    p(k | x) is proportional to exp(scale * cos(x, w_k)): each identity has a direction w_k, and the learned
    scale says how sure a given angle makes. Wojke and Bewley, "Deep cosine metric learning for person
    re-identification" (2018), equation 4.

    Args:
        embedding: (N, D) float tensor of unit rows.
        identity: (N,) integer tensor, rows of `directions`.
        directions: (K, D) float tensor of any length.
        log_scale: scalar tensor, logarithm of the scale.
    """
    from torch.nn import functional

    cosine = embedding @ functional.normalize(directions).T
    return functional.cross_entropy(log_scale.exp() * cosine, identity)


def make_loss(
    name: LossName, identities: int, length: int, seed: int, device: Any
) -> tuple[Callable[[Any, Any], Any], list[Any]]:
    """Return the loss as a function of embedding and identity, and what is learned besides the network.

    Args:
        name: which one.
        identities: how many there are to tell apart.
        length: of the embeddings.
        seed: of the directions' first values.
        device: where the tensors live.
    """
    if name is LossName.TRIPLET:
        return batch_hard_triplet, []
    import torch

    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(identities, length, generator=generator).to(device).requires_grad_()
    log_scale = torch.tensor(2.0, device=device, requires_grad=True)
    return (lambda x, k: cosine_softmax(x, k, directions, log_scale)), [directions, log_scale]
