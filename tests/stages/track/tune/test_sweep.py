"""What is tried, and when it is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from stages.track.tune.knobs import Knob
from stages.track.tune.sweep import Changes, Sweep, standard_error, sweep

AGE = Knob("max_age_s", 2.0, (1.0, 2.0, 5.0, 10.0))
INIT = Knob("n_init", 3, (2, 3, 5))


@dataclass(frozen=True, eq=False)
class Fixed:
    total: float
    leave_one_out: np.ndarray


def judge_of(
    gains: dict[tuple[str, float], float], noise: float = 0.0, together: float = 0.0
) -> Callable[[Changes], Fixed]:
    """60 points and the gains of the changes; `noise` makes each gain uncertain in its own way."""

    def judge(changes: Changes) -> Fixed:
        total = 60 + sum(gains.get((key, value), 0.0) for key, value in changes.items())
        total += together if len(changes) > 1 else 0.0
        rng = np.random.default_rng(len(str(sorted(changes.items()))))
        spread = noise * rng.normal(size=8) if changes else np.zeros(8)
        return Fixed(total, total + spread)

    return judge


CASES: dict[str, tuple[Callable[[Changes], Fixed], dict[str, float]]] = {
    "nothing matters": (judge_of({}), {}),
    "all is worse": (judge_of({("max_age_s", 1.0): -5, ("n_init", 2): -9}), {}),
    "one is better": (judge_of({("max_age_s", 5.0): 4}), {"max_age_s": 5.0}),
    "too little to bother": (judge_of({("max_age_s", 5.0): 0.9}), {}),
    "within chance": (judge_of({("max_age_s", 5.0): 4}, noise=3.0), {}),
    "as good and nearer": (judge_of({("max_age_s", 5.0): 4, ("max_age_s", 10.0): 4}), {"max_age_s": 5.0}),
    "further and better": (judge_of({("max_age_s", 5.0): 4, ("max_age_s", 10.0): 6}), {"max_age_s": 10.0}),
    "two add up": (
        judge_of({("max_age_s", 5.0): 4, ("n_init", 5): 3}),
        {"max_age_s": 5.0, "n_init": 5},
    ),
    "two get in each other's way": (
        judge_of({("max_age_s", 5.0): 4, ("n_init", 5): 3}, together=-5),
        {"max_age_s": 5.0},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_recommended(name: str) -> None:
    judge, wanted = CASES[name]
    assert sweep((AGE, INIT), judge).recommended == wanted


def test_each_value_is_tried_once_and_the_defaults_first() -> None:
    told: list[str] = []
    found = sweep((AGE, INIT), judge_of({}), progress=told.append)
    assert told == ["defaults", "max_age_s 1", "max_age_s 5", "max_age_s 10", "n_init 2", "n_init 5"]
    assert [each.changes for each in found.singles] == [
        {"max_age_s": 1.0}, {"max_age_s": 5.0}, {"max_age_s": 10.0}, {"n_init": 2}, {"n_init": 5},
    ]  # fmt: skip


@pytest.mark.parametrize(("again", "wanted"), [(4.0, {"max_age_s": 5.0}), (0.5, {}), (-3.0, {})])
def test_luck_does_not_hold_on_fresh_draws(again: float, wanted: dict[str, float]) -> None:
    lucky, fresh = judge_of({("max_age_s", 5.0): 4}), judge_of({("max_age_s", 5.0): again})
    found = sweep((AGE,), lucky, fresh)
    assert found.recommended == wanted
    assert found.confirmed is not None
    assert found.confirmed.gain == pytest.approx(again)


def test_one_group_of_evidence_proves_nothing() -> None:
    def judge(changes: Changes) -> Fixed:
        return Fixed(60 + 20 * len(changes), np.array([60.0]))

    assert isinstance(found := sweep((AGE,), judge), Sweep)
    assert found.recommended == {}


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=12)
    means = np.array([np.delete(values, k).mean() for k in range(12)])
    assert standard_error(means, np.zeros(12)) == pytest.approx(values.std(ddof=1) / np.sqrt(12))
