from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError, ModelError, SourceError
from stages.track.appearance.builtin import MAX_COSINE_DISTANCE
from stages.track.appearance.embedder import Embedder
from stages.track.deepsort import DeepSort
from stages.track.evaluate.choices import Appearance
from stages.track.evaluate.motchallenge import MotSequence, read_sequences
from stages.track.evaluate.run import evaluate_sequences, named_methods
from stages.track.methods import METHODS
from tests.stages.track.evaluate.folders import FRAMES, detected, info, truth15, write_sequence
from tests.stages.track.evaluate.street import street
from tests.stages.track.evaluate.test_tracking import Faithful


@pytest.fixture
def sequence(tmp_path: Path) -> MotSequence:
    (read,) = read_sequences([write_sequence(tmp_path / "s", truth15(), detected(), info(rate="8"))])
    return read


@pytest.fixture
def pictured(tmp_path: Path) -> MotSequence:
    return street(tmp_path / "p", frames=9)


def test_a_tracker_that_says_what_is_there_is_perfect(sequence: MotSequence) -> None:
    made: list[Embedder | None] = []

    def make(embedder: Embedder | None) -> Faithful:
        made.append(embedder)
        return Faithful()

    told: list[tuple[str, int]] = []
    evaluation = evaluate_sequences(
        [sequence], {"faithful": make}, progress=lambda what, frames: told.append((what, frames))
    )["faithful"]
    assert made == [None]
    assert evaluation.scores == {"s": evaluation.combined}
    assert (evaluation.combined.hota, evaluation.combined.idf1) == pytest.approx((100, 100))
    assert sum(frames for _, frames in told) == 2 * FRAMES
    assert told[0] == ("faithful: s", 1)


@pytest.mark.parametrize(
    ("appearance", "looking"),
    [
        (None, {"sightline", "deepsort"}),
        ("builtin", {"sightline", "deepsort", "botsort"}),
        ("none", set()),
    ],
)
def test_who_looks_at_pictures(
    appearance: Appearance | None, looking: set[str], sequence: MotSequence, pictured: MotSequence
) -> None:
    chosen = [pictured] if appearance == "builtin" else [pictured, sequence]
    found = evaluate_sequences(chosen, named_methods(METHODS), appearance=appearance)
    assert {name for name, each in found.items() if each.runs["p"].looks is not None} == looking
    assert all(each.runs["s"].looks is None for each in found.values() if "s" in each.runs)
    assert {each.embedder for each in found.values()} == {appearance or "builtin"}


def test_the_camera_is_told_to_those_who_know_it(pictured: MotSequence) -> None:
    found = evaluate_sequences([pictured], named_methods(METHODS), appearance="none", camera_motion=True)
    told = {name for name, each in found.items() if each.runs["p"].camera_s is not None}
    assert told == {"sightline", "deepsort", "botsort"}
    with pytest.raises(ConfigError, match="no camera motion is known to sort, ocsort: leave out"):
        evaluate_sequences([pictured], named_methods(["sort", "ocsort"]), camera_motion=True)


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"appearance": "builtin"}, "--appearance builtin"),
        ({"appearance": Path("net.onnx")}, r"--appearance net\.onnx"),
        ({"camera_motion": True}, "--camera-motion"),
    ],
)
def test_pictures_that_are_wanted_and_missing(
    asked: dict[str, Any], option: str, sequence: MotSequence
) -> None:
    with pytest.raises(ConfigError, match=rf"s: no pictures .* which {option} needs"):
        evaluate_sequences([sequence], named_methods(["deepsort"]), **asked)


def test_a_picture_or_network_that_is_missing(pictured: MotSequence) -> None:
    assert pictured.pictures is not None
    with pytest.raises(ModelError, match=r"no model at 'net\.onnx'"):
        evaluate_sequences([pictured], named_methods(["deepsort"]), appearance=Path("net.onnx"))
    (pictured.pictures.path / "000007.bmp").unlink()
    with pytest.raises(SourceError, match="no picture of frame 7"):
        evaluate_sequences([pictured], named_methods(["deepsort"]))


@pytest.mark.parametrize("appearance", ["builtin", "none"])
def test_every_method_follows_people(appearance: Appearance, pictured: MotSequence) -> None:
    for name, found in evaluate_sequences([pictured], named_methods(METHODS), appearance=appearance).items():
        assert (found.combined.idsw, found.combined.fp) == (0, 0), name
        assert found.combined.fn <= found.runs["p"].boxes.sum() / 2, name


def test_settings_reach_the_tracker_and_rule_over_the_embedders_limit() -> None:
    def limit(settings: dict[str, Any], embedder: Embedder | None) -> float:
        tracker = named_methods(["deepsort"], settings)["deepsort"](embedder)
        assert isinstance(tracker, DeepSort)
        return tracker.settings.max_cosine_distance

    published = DeepSort().settings.max_cosine_distance
    builtin = Embedder(None)
    assert limit({}, None) == published
    assert limit({}, builtin) == MAX_COSINE_DISTANCE != published
    assert limit({"max_cosine_distance": 0.4}, builtin) == 0.4


@pytest.mark.parametrize(
    ("names", "settings", "complaint"),
    [
        (["deepsort", "kalman"], {}, "unknown tracking method 'kalman'; known: .*deepsort"),
        (
            ["deepsort", "sort"],
            {"gallery_budget": 9},
            "'sort' has no setting 'gallery_budget'; known: .*n_init",
        ),
        (["deepsort"], {"gallery_budget": 0}, "method 'deepsort': a gallery needs a budget"),
    ],
)
def test_methods_and_settings_that_are_none(
    names: list[str], settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        named_methods(names, settings)
