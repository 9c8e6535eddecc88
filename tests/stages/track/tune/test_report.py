from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from stages.track.stage import TrackOptions
from stages.track.tune import report
from stages.track.tune.judge import Evidence
from stages.track.tune.knobs import Knob, Method
from stages.track.tune.sweep import Sweep, Try
from stages.track.tune.trial_judge import TrialJudged

METHOD = Method("deepsort", (Knob("max_age_s", 2.0, (2.0, 5.0)),))


def judged(back: float) -> TrialJudged:
    ten = np.full(4, 10.0)
    return TrialJudged(
        Evidence(
            away=np.column_stack([ten, np.zeros(4)]),
            back=np.column_stack([ten * back, np.zeros(4)]),
            hidden=ten,
            taken=ten * 0,
            flickered=ten,
            steady=ten,
            shown=ten,
            found=ten,
            ids=ten,
            brief=ten * 0.1,
            minutes=ten / 40,
        )
    )


def found(gain: float, confirmed: float | None = None) -> Sweep:
    better = Try({"max_age_s": 5.0}, judged(0.9), gain, 0.5)
    chosen = better if better.holds else None
    again = None if confirmed is None else Try({"max_age_s": 5.0}, judged(0.9), confirmed, 0.5)
    return Sweep(Try({}, judged(0.5)), [better], None, chosen, again)


def test_the_table_reads_from_left_to_right() -> None:
    lines = report.table(found(10.0), (1.0, 4.0)).splitlines()
    assert lines[0].strip() == "back after"
    assert lines[1].split("  ")[0] == "setting"
    assert lines[2].split() == ["defaults", "86.0", "50", "%", "-", "100", "%", "100", "%", "100", "%", "4.0"]
    assert lines[3].split()[:6] == ["max_age_s", "5", "96.0", "+10.0", "0.5", "90"]
    assert "figure: 25 back + 30 own" in " ".join(report.legend(found(10.0)))


@pytest.mark.parametrize(
    ("sweep", "begins"),
    [
        (found(10.0), "use max_age_s 5 instead of max_age_s 2: +10.0 +- 0.5 points"),
        (found(10.0, confirmed=8.0), "use max_age_s 5 instead of max_age_s 2"),
        (
            found(10.0, confirmed=0.2),
            "keep the defaults: max_age_s 5 looked better (+10.0 +- 0.5 points), but not",
        ),
        (
            found(0.4),
            "keep the defaults: nothing is better by more than chance explains; the best, max_age_s 5",
        ),
    ],
)
def test_verdicts(sweep: Sweep, begins: str) -> None:
    lines = report.verdict(sweep, METHOD)
    assert lines[0].startswith(begins)
    assert ("better: back after an absence 50 % -> 90 %" in lines) == begins.startswith("use")


@pytest.mark.parametrize(("value", "warned"), [(5, True), (1, False)])
def test_what_trials_cannot_see_is_left_to_the_eye(value: int, warned: bool) -> None:
    chosen = Try({"n_init": value}, judged(0.9), 10.0, 0.5)
    method = Method("deepsort", (Knob("n_init", 3, (1, 3, 5)),))
    lines = report.verdict(Sweep(Try({}, judged(0.5)), [chosen], None, chosen), method)
    assert any("hard to see" in line for line in lines) == warned


@pytest.mark.parametrize("changes", [{}, {"max_age_s": 5.0, "n_init": 5}, {"min_score": 0.45}])
def test_the_fragment_is_what_the_stage_takes(changes: dict[str, float]) -> None:
    read = yaml.safe_load("stages:\n" + report.fragment("deepsort", changes))["stages"][0]
    options = TrackOptions.model_validate(read["track"] if isinstance(read, dict) else {})
    for key, value in changes.items():
        assert getattr(options, key) == value
    assert options.method == "deepsort"


@pytest.mark.parametrize("appearance", ["none", "models/osnet 1.onnx", "it's.onnx"])
def test_the_appearance_is_read_as_it_was_given(appearance: str) -> None:
    read = yaml.safe_load(report.fragment("sightline", {}, appearance))[0]["track"]
    assert read == {"appearance": appearance}
    assert report.fragment("sightline", {}) == "  - track\n"


def test_the_json_has_no_nan() -> None:
    document = report.to_json(found(10.0), (1.0, 4.0))
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text)["defaults"]["back"] == [0.5, None]
    assert document["recommended"] == {"max_age_s": 5.0}
