"""Trains the appearance network by metric learning, and measures it on identities it has never seen."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.track.appearance import builtin
from stages.track.appearance.batches import augmented, balanced_batches
from stages.track.appearance.cropset import CropSet
from stages.track.appearance.loss import make_loss
from stages.track.appearance.network import LENGTH, as_input, embed_patches, make_network
from stages.track.appearance.patches import U8Array
from stages.track.appearance.recipe import Recipe
from stages.track.appearance.separation import Separation, ends, separation
from stages.track.boxes import IntArray
from stages.track.gallery import F32Array

MAX_VALIDATION_CROPS = 1000
"""Bounds what a look at the held-out identities costs: 10 s of one CPU core."""

_FEWEST_TO_HOLD_OUT = 4
_WEIGHT_DECAY = 1e-4
_SMOOTHING = 0.9


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        done: share of the training that is over, 0..1.
        epoch: from 1.
        loss: smoothed over the last ten batches or so.
        latest: figures of the latest look at the held-out identities, None before the first.
        best: figures of what would be kept now, likewise.
    """

    done: float
    epoch: int
    loss: float
    latest: Separation | None
    best: Separation | None


@dataclass(frozen=True, eq=False)
class Trained:
    """What came out.

    Attributes:
        network: ready for use, on the CPU.
        before: figures of the untrained network on the held-out identities; None when none were held out.
        after: figures of `network` on them. The best of several looks was kept, so they are a little kind.
        builtin: figures of the embedding without weights on them.
        limit: recommended limit of the cosine distance, None without held-out identities.
        trained, held_out: how many identities.
        epochs: of training, counting the one it stopped in.
        seconds: of training.
        loss: at the end.
        stopped: True when it was asked to stop before its end.
    """

    network: Any
    before: Separation | None
    after: Separation | None
    builtin: Separation | None
    limit: float | None
    trained: int
    held_out: int
    epochs: int
    seconds: float
    loss: float
    stopped: bool


def train(
    crops: CropSet,
    recipe: Recipe,
    *,
    device: Any = "cpu",
    report: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train a network for crops of this size and keep the best one seen on held-out identities.

    The same crops and recipe give the same network on one kind of machine with one number of threads, unless
    `minutes` end it. Without held-out identities (fewer than 4 in all) the last network is kept.

    Args:
        crops: at least two identities of two crops.
        recipe: how.
        device: a torch device.
        report: called after each batch.
        stop: asked before each batch; True ends the training with the best network so far.
        clock: monotonic seconds.

    Raises:
        ValueError: if the patches' sides are no multiples of 8.
    """
    import torch

    height, width = crops.patches.shape[1:3]
    seen, unseen = split(crops.identity, recipe)
    network = make_network(recipe.seed, width=width, height=height).to(device)
    validation = _Validation(crops, unseen)
    before = validation.look(lambda patches: embed_patches(network, patches, device))
    rng = np.random.default_rng([recipe.seed, 1])
    _, numbers = np.unique(crops.identity[seen], return_inverse=True)
    identities = int(numbers.max()) + 1
    loss_of, extra = make_loss(recipe.loss, identities, LENGTH, recipe.seed, device)
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(
        [{"params": learned, "weight_decay": _WEIGHT_DECAY}, {"params": extra}], lr=recipe.learning_rate
    )
    batches = balanced_batches(numbers, recipe.identities_per_batch, recipe.crops_per_identity, rng)
    per_batch = min(recipe.identities_per_batch, identities) * recipe.crops_per_identity
    steps_per_epoch = max(math.ceil(len(seen) / per_batch), 1)
    best = _Best()
    began = clock()
    step, loss, looks, stopped = 0, math.nan, 0, False
    latest: Separation | None = None
    with _repeatable(recipe.seed):
        while (done := _done(recipe, step / steps_per_epoch, (clock() - began) / 60)) < 1:
            if stop():
                stopped = True
                break
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * (0.505 + 0.495 * math.cos(math.pi * done))
            rows = next(batches)
            network.train()
            embedding = network(as_input(augmented(crops.patches[seen[rows]], rng), device))
            now = loss_of(embedding, torch.from_numpy(numbers[rows]).to(device))
            optimiser.zero_grad()
            now.backward()
            optimiser.step()
            step += 1
            loss = now.item() if step == 1 else _SMOOTHING * loss + (1 - _SMOOTHING) * now.item()
            done = _done(recipe, step / steps_per_epoch, (clock() - began) / 60)
            if done * recipe.validations >= looks + 1 or done >= 1:
                looks = int(done * recipe.validations)
                latest = validation.look(lambda patches: embed_patches(network, patches, device))
                best.consider(network, latest)
            report(Progress(min(done, 1.0), math.ceil(step / steps_per_epoch), loss, latest, best.figures))
    best.restore(network)
    return Trained(
        network=network.cpu().eval(),
        before=before,
        after=best.figures,
        builtin=validation.look(_builtin),
        limit=None if best.figures is None else min(max(best.figures.limit, 0.001), 1.0),
        trained=identities,
        held_out=len(np.unique(crops.identity)) - identities,
        epochs=math.ceil(step / steps_per_epoch),
        seconds=clock() - began,
        loss=loss,
        stopped=stopped,
    )


def split(identity: IntArray, recipe: Recipe) -> tuple[IntArray, IntArray]:
    """Return the rows for training and those of the identities held out, by the seed.

    At least two are held out and two are left, or none is held out where there are fewer than four.
    """
    known = np.unique(identity)
    count = round(recipe.held_out * len(known))
    if recipe.held_out == 0 or len(known) < _FEWEST_TO_HOLD_OUT:
        count = 0
    else:
        count = min(max(count, 2), len(known) - 2)
    held = np.random.default_rng([recipe.seed, 0]).permutation(known)[:count]
    out = np.isin(identity, held)
    return np.flatnonzero(~out), np.flatnonzero(out)


def _done(recipe: Recipe, epochs: float, minutes: float) -> float:
    """Return which share of a training is over; 1 and more at its end."""
    by_epochs = 0.0 if recipe.epochs is None else epochs / recipe.epochs
    by_minutes = 0.0 if recipe.minutes is None else minutes / recipe.minutes
    return max(by_epochs, by_minutes)


class _Validation:
    """The held-out crops, at most `MAX_VALIDATION_CROPS` of them."""

    def __init__(self, crops: CropSet, rows: IntArray) -> None:
        query, gallery = ends(crops.identity[rows])
        used = np.flatnonzero(query | gallery)
        if len(used) > MAX_VALIDATION_CROPS:
            used = used[np.linspace(0, len(used) - 1, MAX_VALIDATION_CROPS).astype(np.intp)]
        self._identity = crops.identity[rows[used]]
        self._query, self._gallery = query[used], gallery[used]
        self._patches = crops.patches[rows[used]]

    def look(self, embed: Callable[[U8Array], F32Array]) -> Separation | None:
        """Return the figures of an embedding of patches; None when nothing is held out."""
        if not len(self._patches):
            return None
        return separation(embed(self._patches), self._identity, self._query, self._gallery)


class _Best:
    """The weights that did best so far; until there are figures, the latest."""

    def __init__(self) -> None:
        self._weights: dict[str, Any] | None = None
        self.figures: Separation | None = None

    def consider(self, network: Any, figures: Separation | None) -> None:
        if figures is None:
            return
        if self.figures is None or (figures.mean_ap, figures.auc) > (self.figures.mean_ap, self.figures.auc):
            self._weights, self.figures = copy.deepcopy(network.state_dict()), figures

    def restore(self, network: Any) -> None:
        if self._weights is not None:
            network.load_state_dict(self._weights)


def _builtin(patches: U8Array) -> F32Array:
    height, width = patches.shape[1:3]
    whole = np.array([[0, 0, width, height]], np.float32)
    return np.concatenate([builtin.embed(patch, whole) for patch in patches])


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Seed torch, for dropout, and ask it for repeatable sums; leave it as it was."""
    import torch

    strict = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=lenient)
