"""Each family's file is recognised, and its boxes come out where they were put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.picture import BgrPicture
from stages.detect.coco import COCO_CATEGORIES
from stages.detect.layouts.choose import choose_layout
from stages.detect.onnx import OnnxDetector, OnnxOptions
from stages.detect.runtime.files import read_graph
from tests.stages.detect.footage import CONTEXT
from tests.stages.detect.layouts.networks import FAMILIES, HEIGHT, WIDTH, write

BLANK = BgrPicture(np.zeros((90, 160, 3), np.uint8))
XYXY = np.array([[10, 20, 70, 110], [100, 30, 190, 90], [180, 100, 250, 140]], np.float32)
SCORE = np.array([0.9, 0.6, 0.75], np.float32)
NUMBER = np.array([0, 2, 7])
CATEGORIES = ("detr",)
FROM_ONE = ("tensorflow", "efficientdet", "torchvision")


def detector(path: Path, **options: object) -> OnnxDetector:
    return OnnxDetector(OnnxOptions(model=path, runtime="onnxruntime", **options), CONTEXT)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_is_recognised_and_finds_what_was_put_in(tmp_path: Path, family: str) -> None:
    found = detector(write(tmp_path / "net.onnx", FAMILIES[family](XYXY, SCORE, NUMBER)))
    assert found.layout.name == family
    table = found.detect([BLANK])[0]
    place = _place_of(found)
    order = np.argsort(-SCORE)
    assert np.abs(table.score - SCORE[order]).max() < 2e-3
    assert np.abs(table.xyxy - place.boxes_to_picture(XYXY[order])).max() < 0.05
    names = _names(family)
    assert table.label.tolist() == [names[number] for number in NUMBER[order]]
    found.close()


def _place_of(found: OnnxDetector):
    from stages.detect.letterbox import Letterbox

    return Letterbox.of(BLANK.width, BLANK.height, WIDTH, HEIGHT, found.layout.spec.place)


def _names(family: str) -> list[str]:
    if family in FROM_ONE:
        return list(COCO_CATEGORIES[1:])
    if family in CATEGORIES:
        return list(COCO_CATEGORIES)
    from stages.detect.coco import COCO_NAMES

    told = family in ("yolov8", "yolo26", "rtdetr-ultralytics")
    return [f"thing {number}" for number in range(80)] if told else list(COCO_NAMES)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    score=st.floats(0.3, 0.99),
    number=st.integers(0, 79),
)
def test_any_box_survives_the_way_through_the_output(
    tmp_path: Path, family: str, seed: int, score: float, number: int
) -> None:
    random = np.random.default_rng(seed)
    start = random.uniform(0, (WIDTH - 80, HEIGHT - 80))
    box = np.array([[*start, *(start + random.uniform(20, 80, 2))]], np.float32)
    answer = FAMILIES[family](box, np.array([score], np.float32), np.array([number]))
    graph = read_graph(write(tmp_path / "net.onnx", answer))
    layout = choose_layout(graph, "net.onnx")
    spec = layout.spec.sized(160, 90)
    (found,) = layout.decode(list(answer.outputs.values()), spec, 0.25)
    assert len(found) == 1
    assert np.abs(found.xyxy - box).max() < 0.05
    assert abs(found.score[0] - score) < 2e-3
    assert found.number[0] == number
    (none,) = layout.decode(list(answer.outputs.values()), spec, 0.999)
    assert len(none) == 0
    assert none.xyxy.shape == (0, 4)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("yolov8", "yolo26")])
def test_a_named_layout_is_taken_as_the_recognised_one(tmp_path: Path, family: str) -> None:
    graph = read_graph(write(tmp_path / "net.onnx", FAMILIES[family](XYXY, SCORE, NUMBER)))
    assert choose_layout(graph, "net.onnx", family).name == family
