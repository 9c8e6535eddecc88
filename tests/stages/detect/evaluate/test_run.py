from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field

from pipeline.errors import ConfigError, FrameLost, StageError
from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.detect.base import Detector
from stages.detect.evaluate.detector import Choice, configured, named
from stages.detect.evaluate.read import read_dataset
from stages.detect.evaluate.run import evaluate
from tests.stages.detect.evaluate.datasets import HEIGHT, WIDTH, write_coco, write_yolo

pytest.importorskip("pycocotools", reason="needs the extra 'eval'")


class PaintOptions(Options):
    confidence: float = Field(0.5, ge=0, le=1)
    labels: tuple[str, ...] = ("car", "bus", "dog")
    fail: bool = False


class Painted(Detector):
    """Finds the colours that the test pictures were painted with, each with a score of its own."""

    Options: ClassVar[type[Options]] = PaintOptions
    model_hash = "0123"
    opened: ClassVar[list[tuple[int, int]]] = []

    def __init__(self, options: Any, context: StageContext) -> None:
        super().__init__(options, context)
        self.opened.clear()

    def open(self, info: StreamInfo) -> None:
        self.opened.append((info.width, info.height))

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        if self.options.fail:
            raise RuntimeError("two\nlines")
        return [self._find(picture.bgr()) for picture in pictures]

    def _find(self, bgr: np.ndarray) -> Detections:
        boxes, scores, labels = [], [], []
        for number, (label, score) in enumerate(zip(self.options.labels, (0.9, 0.4, 0.8), strict=True)):
            rows, columns = np.nonzero((bgr[..., number] == 255) & (bgr.sum(axis=2) == 255))
            if len(rows) and score >= self.options.confidence:
                boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
                scores.append(score)
                labels.append(label)
        return Detections(np.reshape(boxes, (-1, 4)), scores, np.array(labels, np.str_))


class Other(Stage):
    """A third party's: no Detector, and it remembers."""

    gives: ClassVar[frozenset[str]] = frozenset({"detections"})

    def __init__(self, options: Any, context: StageContext) -> None:
        super().__init__(options, context)
        self._before: Frame | None = None

    def process(self, frame: Frame) -> None:
        assert not frame.follows(self._before) or self._before is None or self._before.run != frame.run
        self._before = frame
        frame.detections = Painted(PaintOptions(), self.context).detect([frame.picture])[0]


def painted(**settings: Any) -> Choice:
    return Choice("painted", Painted, settings)


@pytest.mark.parametrize("write", [write_yolo, write_coco])
def test_average_precision_looks_below_the_confidence_and_precision_does_not(
    tmp_path: Path, write: Any
) -> None:
    done: list[int] = []
    found = evaluate(read_dataset(write(tmp_path)), painted(), progress=done.append)
    assert found.overall.ap == pytest.approx(1.0)
    assert (found.by_class["car"].recall, found.by_class["bus"].recall) == (1.0, 0.0)
    assert (found.overall.truths, found.overall.found) == (3, 2)
    assert found.overall.best_confidence == pytest.approx(0.4)
    assert found.options["confidence"] == 0.001
    assert found.rules.confidence == 0.5
    assert (found.model_hash, done, len(found.milliseconds)) == ("0123", [1, 2, 3], 3)
    assert Painted.opened == [(WIDTH, HEIGHT)]
    as_it_is = evaluate(read_dataset(tmp_path), painted(), min_score=None)
    assert as_it_is.overall.ap == pytest.approx(0.5)
    assert as_it_is.unseen == ("bus",)
    lower = evaluate(read_dataset(tmp_path), painted(), confidence=0.3)
    assert lower.overall.recall == 1.0


def test_a_stage_that_is_no_detector_class_is_judged_alike(tmp_path: Path) -> None:
    found = evaluate(read_dataset(write_yolo(tmp_path)), Choice("other", Other, {}))
    assert (found.by_class["car"].ap, found.by_class["bus"].ap) == pytest.approx((1.0, 0.0))
    assert found.rules.confidence == 0.0


def test_labels_that_are_called_otherwise(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path))
    foreign = painted(labels=("auto", "bus", "dog"))
    found = evaluate(dataset, foreign)
    assert (found.by_class["car"].ap, found.foreign, found.unseen) == (0.0, {"auto": 2}, ("car",))
    assert evaluate(dataset, foreign, names={"auto": "car"}).overall.ap == pytest.approx(1)
    with pytest.raises(ConfigError, match="has no class 'lorry'"):
        evaluate(dataset, foreign, names={"auto": "lorry"})
    with pytest.raises(
        ConfigError, match="finds none of the classes car, bus, dog, but a, b; say what is what"
    ):
        evaluate(dataset, painted(labels=("a", "b", "c")))


def test_a_failing_stage_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="stage 'painted' failed: RuntimeError: two lines"):
        evaluate(read_dataset(write_yolo(tmp_path)), painted(fail=True))


def test_a_lost_picture_ends_it_as_scores_without_it_would_be_wrong(tmp_path: Path) -> None:
    class Losing(Painted):
        def detect(self, pictures: Sequence[Picture]) -> Any:
            return [FrameLost("model hung", "no answer")]

    with pytest.raises(StageError, match=r"0\.png: model hung: no answer"):
        evaluate(read_dataset(write_yolo(tmp_path)), Choice("losing", Losing, {}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nonsense": 1}, "has no option 'nonsense'; it has: confidence, labels, fail"),
        ({"confidence": 2}, "stage 'painted': confidence: "),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        evaluate(read_dataset(write_yolo(tmp_path)), painted(**settings))


CONFIG = """
streams:
  lane: {source: a.mp4, stages: [{hog: {confidence: 0.7}}, track]}
  yard: {source: b.mp4}
stages: [{onnx: {model: net.onnx, labels: [car, bus]}}, track]
"""


def test_the_detector_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    assert configured(path).name == "onnx"
    assert configured(path).settings == {"model": "net.onnx", "labels": ["car", "bus"]}
    assert configured(path, "lane").name == "hog"
    assert configured(path, "yard", ["labels=[dog]"]).settings["labels"] == ["dog"]
    with pytest.raises(ConfigError, match="no stream 'door'; it has: lane, yard"):
        configured(path, "door")
    path.write_text("stages: [track]")
    with pytest.raises(ConfigError, match="has no detector among its stages"):
        configured(path)
    path.write_text("stages: [")
    with pytest.raises(ConfigError, match="cannot be read"):
        configured(path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        configured(tmp_path / "none.yaml")


def test_detectors_by_name() -> None:
    assert named("hog", ["confidence=0.5"]).settings == {"confidence": 0.5}
    with pytest.raises(ConfigError, match="stage 'track' is no detector"):
        named("track")
    with pytest.raises(ConfigError, match="unknown stage 'lorry'"):
        named("lorry")
    with pytest.raises(ConfigError, match="--set confidence: wanted KEY=VALUE"):
        named("hog", ["confidence"])
    with pytest.raises(ConfigError, match="stage 'onnx' needs 'model': give --set model=VALUE"):
        named("onnx").options()
