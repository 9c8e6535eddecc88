"""Training: repeatable, stoppable, and better afterwards."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs the extra "train"')

from stages.track.appearance.recipe import LossName, Recipe  # noqa: E402
from stages.track.appearance.training import Progress, split, train  # noqa: E402
from tests.stages.track.appearance.patterns import crop_set  # noqa: E402

QUICK = Recipe(epochs=3, identities_per_batch=4, crops_per_identity=3, validations=2)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("loss", list(LossName))
def test_people_never_seen_are_told_apart_after_training(loss: LossName) -> None:
    """16 of 48 made-up people are held out; the place matters more than the person before training."""
    recipe = Recipe(loss=loss, epochs=15, identities_per_batch=8, held_out=1 / 3, validations=6)
    found = train(crop_set(48, 9), recipe)
    assert found.before is not None
    assert found.after is not None
    assert found.builtin is not None
    assert (found.trained, found.held_out) == (32, 16)
    assert found.before.rank1 < 0.4
    assert found.after.rank1 > 0.9
    assert found.after.mean_ap > found.builtin.mean_ap + 0.3
    assert found.limit == pytest.approx(found.after.limit)


@pytest.mark.slow
def test_a_few_batches_help_already() -> None:
    recipe = Recipe(epochs=4, identities_per_batch=8, crops_per_identity=3, held_out=1 / 3, validations=1)
    found = train(crop_set(48, 6), recipe)
    assert found.before is not None
    assert found.after is not None
    assert found.before.rank1 < 0.4
    assert found.after.rank1 > found.before.rank1 + 0.25
    assert found.after.auc > found.before.auc + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("loss", list(LossName))
def test_the_same_seed_gives_the_same_network(loss: LossName) -> None:
    crops = crop_set(6, 4)
    first, again, other = (train(crops, replace(QUICK, loss=loss, seed=seed, epochs=1)) for seed in (1, 1, 2))
    one, same, another = (found.network.state_dict() for found in (first, again, other))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["dense.weight"], another["dense.weight"])
    assert first.after == again.after


@pytest.mark.slow
def test_torch_is_left_as_it_was() -> None:
    state = torch.random.get_rng_state()
    train(crop_set(4, 3), replace(QUICK, epochs=1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
def test_a_wish_to_stop_keeps_the_best_so_far() -> None:
    seen: list[Progress] = []
    found = train(
        crop_set(6, 6),
        replace(QUICK, epochs=1000, validations=500),
        report=seen.append,
        stop=lambda: len(seen) == 7,
    )
    assert found.stopped
    assert len(seen) == 7
    assert seen[-1].best is not None
    assert found.after == seen[-1].best
    assert found.after.mean_ap == max(now.latest.mean_ap for now in seen if now.latest is not None)
    assert not found.network.training


def test_stopping_before_the_first_batch_leaves_the_untrained_network() -> None:
    found = train(crop_set(6, 3), QUICK, stop=lambda: True)
    assert (found.stopped, found.epochs, found.after, found.limit) == (True, 0, None, None)


def test_minutes_end_it() -> None:
    """A clock that goes on by 6 s at each look."""
    ticks = count(0, 6)
    seen: list[Progress] = []
    found = train(
        crop_set(5, 3),
        replace(QUICK, epochs=None, minutes=1),
        report=seen.append,
        clock=lambda: float(next(ticks)),
    )
    assert not found.stopped
    assert 3 <= len(seen) <= 10
    assert seen[-1].done == 1.0
    assert [now.done for now in seen] == sorted(now.done for now in seen)


def test_few_identities_are_all_trained_on() -> None:
    found = train(crop_set(3, 3), QUICK)
    assert (found.trained, found.held_out) == (3, 0)
    assert (found.before, found.after, found.builtin, found.limit) == (None, None, None, None)
    assert np.isfinite(found.loss)


@pytest.mark.parametrize(
    ("identities", "share", "held"),
    [(3, 0.5, 0), (4, 0.1, 2), (10, 0.2, 2), (50, 0.2, 10), (5, 0.9, 3), (9, 0, 0)],
)
def test_who_is_held_out(identities: int, share: float, held: int) -> None:
    who = np.repeat(np.arange(identities), 3)
    seen, unseen = split(who, replace(QUICK, held_out=share))
    assert len(np.unique(who[unseen])) == held
    assert not set(who[seen].tolist()) & set(who[unseen].tolist())
    assert sorted([*seen.tolist(), *unseen.tolist()]) == list(range(len(who)))


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": None, "minutes": None},
        {"epochs": 0},
        {"minutes": -1.0},
        {"minutes": float("nan")},
        {"learning_rate": 0.0},
        {"held_out": 1.0},
        {"identities_per_batch": 1},
        {"crops_per_identity": 1},
    ],
)
def test_impossible_recipes_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        Recipe(**values)
