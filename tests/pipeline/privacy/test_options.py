"""What can be asked for, and what is refused with a line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config.catalogue import INSTALLED, Catalogue
from pipeline.config.load import load_config
from pipeline.config.problems import ConfigProblems
from pipeline.packet_sink import PacketSink
from pipeline.privacy.options import PrivacyOptions, effective

PEOPLE = PrivacyOptions(labels=("person",))
CARS = PrivacyOptions(labels=("car",))


@pytest.mark.parametrize(
    ("own", "default", "holds"),
    [
        (None, None, None),
        (None, PEOPLE, PEOPLE),
        (CARS, PEOPLE, CARS),
        (False, PEOPLE, None),
        (False, None, None),
    ],
)
def test_a_setting_of_ones_own_wins(own, default, holds) -> None:
    assert effective(own, default) == holds


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "nothing to hide"),
        ({"labels": ["person"], "method": "gauss"}, "method"),
        ({"areas": [[[0, 0], [1, 1]]]}, "at least 3"),
        ({"areas": [[[0, 0], [0.5, 0], [1, 0]]]}, "one line"),
        ({"keep": [[[0, 0], [0, 0], [1, 1]]]}, "area 1 needs three corners"),
        ({"areas": [[[0, 0], [640, 0], [0, 1]]]}, "less than or equal to 1"),
        ({"labels": ["person"], "hold_s": -1}, "hold_s"),
        ({"labels": ["person"], "hold_s": float("nan")}, "hold_s"),
        ({"labels": ["person"], "ahead_s": 60}, "ahead_s"),
        ({"labels": ["person"], "cells": 30}, "cells"),
        ({"labels": [""]}, "labels"),
        ({"label": ["person"]}, "label"),
    ],
)
def test_what_is_no_setting(settings, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PrivacyOptions.model_validate(settings)


def problems(folder: Path, text: str, catalogue: Catalogue = INSTALLED) -> list[str]:
    path = folder / "c.yaml"
    path.write_text(text)
    try:
        load_config(path, env={}, catalogue=catalogue)
    except ConfigProblems as found:
        return [str(problem).removeprefix(f"{path}:") for problem in found.problems]
    return []


ROAD = "streams: {road: {source: a.mp4}}\n"
TWO = "streams: {door: {source: a.mp4, stages: [hog]}, yard: {source: b.mp4, stages: [motion]}}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            ROAD + "stages: [draw]\nsinks:\n  - video: {privacy: {labels: [person]}}\n",
            "4: sinks[0].video.privacy: sink 'video' must not see person of stream 'road', but no stage "
            "there finds any; add one that does (",
        ),
        (
            ROAD + "stages: [draw]\nprivacy: {heads: [person]}\nsinks: [video]\n",
            "3: privacy: sink 'video' must not see person of stream 'road', but no stage there finds any",
        ),
        (
            ROAD + "bus: {frames: 'tcp://127.0.0.1:*', privacy: {labels: [person]}}\n",
            "2: bus.privacy: the bus must not see person of stream 'road'",
        ),
        (
            ROAD + "stages: [hog]\nsinks:\n  - video: {privacy: {labels: [persn]}}\n",
            "4: sinks[0].video.privacy.labels: no detector gives objects of class 'persn'; did you mean "
            "'person'?",
        ),
        (
            TWO + "sinks:\n  - video: {privacy: {labels: [person]}}\n",
            "3: sinks[0].video.privacy: sink 'video' must not see person of stream 'yard', but the detectors "
            "there find moving only",
        ),
        (
            ROAD + "stages: [hog, haar, draw]\nprivacy: {labels: [face, person]}\nsinks: [video]\n",
            "3: privacy.labels: no detector gives objects of class 'person' in the end: a detector after it",
        ),
        (
            ROAD + "stages: [hog]\nsinks:\n  - jsonl: {privacy: {labels: [person]}}\n",
            "4: sinks[0].jsonl.privacy: 'jsonl' takes events, not pictures",
        ),
        (
            ROAD + "stages: [hog]\nprivacy: true\n",
            "3: privacy: expected 'key: value' settings, found true",
        ),
        (
            ROAD + "stages: [hog]\nsinks:\n  - video: {privacy: {labels: person}}\n",
            "4: sinks[0].video.privacy.labels: expected a list, found 'person'; write [person]",
        ),
        (
            ROAD
            + "stages: [hog, track, {count: {lines: {a: {start: [0, 0.5], end: [1, 0.5]}},"
            + " evidence: {privacy: {labels: [face]}}}}]\n",
            "2: stages[2].count.evidence.privacy.labels: the detector gives no objects of class 'face'",
        ),
    ],
)
def test_what_cannot_be_hidden_is_refused_before_anything_runs(text: str, says: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(says)


WITH_COPY = Catalogue(
    lambda kind: [*INSTALLED.names(kind), "copy"],
    lambda kind, name: PacketSink if name == "copy" else INSTALLED.load(kind, name),
)
CAMERA = "streams: {gate: {source: rtsp://camera}}\n"
AREA = "{areas: [[[0, 0], [1, 0], [1, 1]]]}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            CAMERA + f"privacy: {AREA}\nsinks: [copy]\n",
            "3: sinks[0].copy: 'copy', set like this, copies the",
        ),
        (CAMERA + f"sinks:\n  - copy: {{privacy: {AREA}}}\n", "3: sinks[0].copy.privacy: 'copy', set like"),
        (CAMERA + f"bus: {{packets: 'tcp://127.0.0.1:*', privacy: {AREA}}}\n", "2: bus.privacy: packets are"),
        (CAMERA + f"privacy: {AREA}\nbus: {{packets: 'tcp://127.0.0.1:*'}}\n", "3: bus.packets: packets are"),
        (CAMERA + f"privacy: {AREA}\nsinks: [copy: {{privacy: false}}, events]\n", None),
        (CAMERA + f"privacy: {AREA}\nbus: {{packets: 'tcp://127.0.0.1:*', privacy: false}}\n", None),
    ],
)
def test_nothing_can_be_hidden_in_packets(text: str, says: str | None, tmp_path: Path) -> None:
    found = problems(tmp_path, text, WITH_COPY)
    assert [line for line in found if not says or not line.startswith(says)] == []
    assert bool(found) == bool(says)


@pytest.mark.parametrize(
    "text",
    [
        ROAD + "stages: [hog]\nprivacy: {labels: [person]}\nsinks: [video, events, jsonl]\n",
        ROAD + "stages: [draw]\nprivacy: {areas: [[[0, 0], [1, 0], [1, 1]]]}\nsinks: [video]\n",
        ROAD + "stages: [draw]\nprivacy: {labels: [person]}\nsinks: [events, {video: {privacy: false}}]\n",
        ROAD + "stages: [motion]\nsinks:\n  - video: {privacy: {labels: ['*']}}\n",
        TWO + "sinks:\n  - video: {streams: [door], privacy: {labels: [person]}}\n",
        ROAD + "stages: [draw]\nprivacy: {labels: [person]}\nsinks: [counts]\n",
        ROAD + "stages: [hog, track, haar, draw]\nprivacy: {labels: [face, person]}\nsinks: [video]\n",
        ROAD + "stages: [draw]\nprivacy: {labels: [person]}\nbus: {events: 'tcp://127.0.0.1:*'}\n",
        TWO + "privacy: {labels: [person, moving]}\nsinks: [video]\n",
    ],
)
def test_what_can_be_hidden(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text) == []


def test_a_stage_that_keeps_crops_is_refused_beside_privacy(tmp_path: Path) -> None:
    from pipeline.errors import ConfigError
    from pipeline.plugin import StageContext
    from stages.track.appearance.collect import CropsOptions, CropsStage

    with pytest.raises(ConfigError, match="take one of the two out"):
        CropsStage(CropsOptions(folder=tmp_path), StageContext("road", privacy=PEOPLE))
