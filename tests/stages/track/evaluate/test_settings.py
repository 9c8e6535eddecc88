from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import ConfigError
from stages.track.evaluate.run import named_methods
from stages.track.evaluate.settings import read_settings
from stages.track.methods import METHODS, default_settings


@pytest.mark.parametrize(
    ("words", "methods", "settings"),
    [
        ([], ["sort"], {}),
        (["max_age_s=2"], METHODS, {"max_age_s": 2.0}),
        (["n_init=2", "n_init=4"], ["sort", "deepsort"], {"n_init": 4}),
        (["low_score=none", "fuse_score=false"], ["bytetrack"], {"low_score": None, "fuse_score": False}),
        (["low_score=0.2", "motion=xywh"], ["bytetrack"], {"low_score": 0.2, "motion": "xywh"}),
        (["appearance=0.9"], ["botsort"], {"appearance": 0.9}),
        (["max_cosine_distance=1e-1"], ["deepsort"], {"max_cosine_distance": 0.1}),
    ],
)
def test_values_have_their_type(words: list[str], methods: list[str], settings: dict[str, Any]) -> None:
    read = read_settings(words, methods)
    assert read == settings
    assert [type(value) for value in read.values()] == [type(value) for value in settings.values()]
    named_methods(methods, read)


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_can_be_given_as_it_is_shown(method: str) -> None:
    defaults = default_settings(method)
    assert read_settings([f"{key}={value}" for key, value in defaults.items()], [method]) == defaults


@pytest.mark.parametrize(
    ("word", "method", "complaint"),
    [
        ("n_init", "sort", "--set n_init: wanted KEY=VALUE, e.g. max_age_s=2"),
        ("patience=3", "sightline", "method 'sightline' has no setting 'patience'; known: max_age_s, n_init"),
        ("n_init=2", "kalman", "unknown tracking method 'kalman'; known: sightline, "),
        ("n_init=2.5", "sightline", "--set n_init=2.5: input should be a valid integer"),
        ("n_init=0", "ocsort", "--set n_init=0: input should be greater than or equal to 1"),
        ("max_age_s=long", "sort", "--set max_age_s=long: input should be a valid number"),
        ("max_age_s=inf", "sort", "--set max_age_s=inf: input should be a finite number"),
        ("max_age_s=none", "sort", "--set max_age_s=none: input should be a valid number"),
        ("max_cosine_distance=3", "deepsort", "--set max_cosine_distance=3: input should be less than"),
        ("position_std=-1", "deepsort", "--set position_std=-1: input should be greater than or equal to 0"),
        ("appearance=nan", "botsort", "--set appearance=nan: input should be a finite number"),
        ("motion=xyz", "bytetrack", "--set motion=xyz: input should be 'xysr', 'xyah' or 'xywh'"),
        ("fuse_score=maybe", "botsort", "--set fuse_score=maybe: input should be a valid boolean"),
    ],
)
def test_what_does_not_fit(word: str, method: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings([word], [method])
    assert str(caught.value).startswith(complaint)
