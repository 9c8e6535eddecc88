"""Whole sweeps of real trackers on scenes of which it is known what helps."""

from __future__ import annotations

import pytest

from stages.track.tune import report
from stages.track.tune.knobs import Knob, Method
from stages.track.tune.recording import Recording
from stages.track.tune.sweep import Sweep, sweep
from stages.track.tune.trial_judge import TrialJudge
from tests.stages.track.tune.scenes import crowd, recording, walk


def swept(recorded: Recording, method: Method, seed: int = 0) -> Sweep:
    judge = TrialJudge(recorded, (0.4, 3.0), seed)
    assert judge.enough
    return sweep(method.knobs, lambda x: judge.judge(method, x), lambda x: judge.again(method, x))


def test_objects_that_are_hidden_for_long_want_a_longer_memory() -> None:
    method = Method("deepsort", (Knob("max_age_s", 1.0, (1.0, 2.0, 5.0)),))
    found = swept(crowd(12, 6, rate_hz=5), method)
    assert found.recommended == {"max_age_s": 5.0}
    assert "use max_age_s 5 instead of max_age_s 1" in report.verdict(found, method)[0]


def test_false_detections_that_flicker_want_more_proof() -> None:
    method = Method("deepsort", (Knob("n_init", 2, (1, 2, 4)), Knob("min_score", 0.0, (0.0, 0.6))))
    found = swept(crowd(10, 5, false_hz=2, rate_hz=5), method)
    assert found.recommended.get("n_init") == 4 or found.recommended.get("min_score") == 0.6
    assert found.recommended.get("n_init") != 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_where_all_is_well_the_defaults_stay(seed: int) -> None:
    method = Method("sightline", (Knob("n_init", 3, (2, 3, 4)),))
    found = swept(crowd(12, 6, rate_hz=5, seed=seed), method, seed)
    assert found.recommended == {}
    assert report.verdict(found, method)[0].startswith("keep the defaults: nothing is better")


@pytest.mark.slow
def test_equal_seeds_tell_equal_things() -> None:
    method = Method("deepsort", (Knob("max_age_s", 1.0, (1.0, 5.0)),))
    scene = crowd(6, 5, rate_hz=5)
    tables = [report.table(swept(scene, method, seed=3), (0.4, 3.0)) for _ in range(2)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (recording([walk(100, 0, 20), walk(300, 0, 20)]), ["too little to judge by", "longer clip"]),
        (recording([]), ["too little to judge by"]),
        (crowd(10, 4, rate_hz=5), ["too little to judge by"]),
        (crowd(4, 8, rate_hz=5), ["cannot be judged beyond that", "3 s"]),
        (crowd(10, 6, rate_hz=5), []),
    ],
)
def test_what_cannot_be_judged_is_said(recorded: Recording, words: list[str]) -> None:
    judge = TrialJudge(recorded, (0.4, 3.0), 0)
    notes = " ".join(judge.notes())
    assert bool(notes) == bool(words)
    assert all(word in notes for word in words), notes
    assert judge.enough == ("too little" not in notes)
