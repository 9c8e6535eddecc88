from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pipeline.plugin import StageContext
from stages.track.methods import METHODS
from stages.track.stage import TrackOptions, TrackStage
from stages.track.tune.knobs import Method, method_named, usual_appearance, without_idle
from tests.stages.track.tune.scenes import crowd


def named(method: Method) -> dict[str, tuple[float, tuple[float, ...]]]:
    return {knob.name: (knob.default, knob.values) for knob in method.knobs}


@pytest.mark.parametrize("name", METHODS)
def test_knobs_are_settings_of_the_method_and_of_the_stage(name: str) -> None:
    method = method_named(name, limit=None, longest_s=4.0)
    for knob in method.knobs:
        assert knob.name in TrackOptions.model_fields
        assert knob.default in knob.values
        assert list(knob.values) == sorted(set(knob.values))
        tracker = method.make({knob.name: knob.values[0]})
        assert getattr(tracker.settings, knob.name) == knob.values[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", METHODS)
def test_boxes_are_described_as_the_stage_does(name: str) -> None:
    stage = TrackStage(TrackOptions.model_validate({"method": name}), StageContext("door"))
    assert usual_appearance(name) == ("none" if stage._embedder is None else "builtin")


def test_defaults_are_those_for_the_embeddings() -> None:
    builtin, other = (named(method_named("deepsort", limit=each, longest_s=4.0)) for each in (0.05, None))
    assert builtin["max_cosine_distance"][0] == 0.05
    assert other["max_cosine_distance"][0] == 0.2
    made = method_named("deepsort", limit=0.05, longest_s=4.0).make({"n_init": 5})
    assert made.settings.max_cosine_distance == 0.05  # type: ignore[attr-defined]
    assert made.settings.n_init == 5  # type: ignore[attr-defined]


def test_memory_is_tried_up_to_twice_the_longest_absence() -> None:
    assert max(named(method_named("deepsort", limit=0.05, longest_s=30.0))["max_age_s"][1]) == 60.0


def test_values_that_change_nothing_are_left_out() -> None:
    scene = crowd(3, 3, rate_hz=5)  # scores 0.8 to 0.95
    left = named(without_idle(method_named("sightline", limit=0.05, longest_s=4.0), scene))
    default = left["max_age_s"][0]
    assert all(value <= max(default, 3.0) for value in left["max_age_s"][1])
    assert left["min_score"][1] == (left["min_score"][0],)


def test_an_unknown_method() -> None:
    with pytest.raises(ConfigError, match=r"unknown tracking method 'sortt'; known: .*deepsort"):
        method_named("sortt", limit=0.05, longest_s=4.0)
