"""The regression gate: no method may lose accuracy on real boxes without anybody noticing.

`figures.json` beside this file has HOTA and IDF1 of each method for each case below. These are commands
like

    sightline evaluate mot ../shared/data/mot15 --appearance none --method sightline

on their line COMBINED. When a method became better (or worse, for a reason that the commit tells),

    python -m tests.stages.track.evaluate.test_regression

writes the file anew and says what changed; commit it with the change. A new method gets its figures the same
way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.track.evaluate.choices import Appearance
from stages.track.evaluate.motchallenge import read_sequences
from stages.track.evaluate.run import evaluate_sequences, named_methods
from stages.track.methods import METHODS
from tests.shared_data import shared

TOLERANCE = 0.3
"""Points that a figure may be lower: other versions of numpy and scipy round differently."""

STORE = Path(__file__).with_name("figures.json")

Figures = dict[str, float]
"""HOTA and IDF1, in percent."""


@dataclass(frozen=True)
class Case:
    """What is evaluated.

    Attributes:
        sequences: of MOT15; all six when empty.
        appearance: what describes the boxes.
        methods: that are held to their figures.
    """

    sequences: tuple[str, ...]
    appearance: Appearance
    methods: tuple[str, ...]


CASES = {
    "six sequences": Case((), "none", METHODS),
    "three small sequences": Case(("KITTI-17", "TUD-Campus", "TUD-Stadtmitte"), "none", METHODS),
    "TUD with looks": Case(("TUD-Campus", "TUD-Stadtmitte"), "builtin", ("sightline", "deepsort")),
}
SLOW = {"six sequences", "TUD with looks"}

PAIRS = [
    pytest.param(case, method, marks=[pytest.mark.slow] if case in SLOW else [], id=f"{case}: {method}")
    for case, chosen in CASES.items()
    for method in chosen.methods
]


def measured(case: Case, methods: tuple[str, ...]) -> dict[str, Figures]:
    sequences = read_sequences([shared("mot15")], names=case.sequences)
    found = evaluate_sequences(sequences, named_methods(methods), appearance=case.appearance)
    return {
        name: {"HOTA": round(each.combined.hota, 2), "IDF1": round(each.combined.idf1, 2)}
        for name, each in found.items()
    }


@pytest.mark.parametrize(("case", "method"), PAIRS)
def test_no_method_lost_accuracy(case: str, method: str) -> None:
    stored = json.loads(STORE.read_text())[case][method]
    got = measured(CASES[case], (method,))[method]
    assert got.keys() == stored.keys()
    assert all(got[what] >= stored[what] - TOLERANCE for what in stored), f"{got}, stored {stored}"


def main() -> None:
    """Write the figures as they are now."""
    stored = json.loads(STORE.read_text()) if STORE.exists() else {}
    now = {name: measured(case, case.methods) for name, case in CASES.items()}
    for name, methods in now.items():
        for method, figures in methods.items():
            old = stored.get(name, {}).get(method)
            change = "" if old == figures else f", was {old}"
            print(f"{name}: {method}: {figures}{change}")  # noqa: T201 - for the person who runs it
    STORE.write_text(json.dumps(now, indent=2) + "\n")


if __name__ == "__main__":
    main()
