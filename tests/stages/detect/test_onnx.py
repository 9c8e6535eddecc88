import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, ModelError
from pipeline.picture import BgrPicture
from stages.detect.coco import COCO_NAMES
from stages.detect.onnx import OnnxDetector, OnnxOptions
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frames
from tests.stages.detect.scenes import iou

VEHICLES = ("car", "truck", "bus")


def _nano(**options: object) -> OnnxDetector:
    return OnnxDetector(OnnxOptions(model=shared("weights/yolox_nano.onnx"), **options), CONTEXT)


def test_vehicles_are_found_in_traffic() -> None:
    detector = _nano(labels=VEHICLES, confidence=0.4)
    seen = [frame for index, frame in enumerate(frames(shared("video/traffic_a.mp4"))) if index % 25 == 0]
    detector.process_batch(seen)
    tables = [frame.detections for frame in seen if frame.detections is not None]
    assert len(tables) == 10
    assert 8 < np.mean([len(table) for table in tables]) < 16
    assert {label for table in tables for label in table.label.tolist()} <= set(VEHICLES)
    # Read off the plain frame 150: the white car in front, the black one behind, the white one on the left.
    cars = np.array([(240, 248, 326, 323), (309, 202, 372, 255), (206, 175, 260, 223)], float)
    assert (iou(cars, tables[6].xyxy).max(axis=1) > 0.8).all()
    digest = hashlib.sha256(shared("weights/yolox_nano.onnx").read_bytes()).hexdigest()
    assert seen[0].model_hash == digest[:16]


def test_a_picture_of_any_shape_is_taken_and_a_blank_one_is_empty() -> None:
    detector = _nano()
    for shape in ((50, 900, 3), (900, 50, 3), (1, 1, 3)):
        assert len(detector.detect([BgrPicture(np.full(shape, 128, np.uint8))])[0]) == 0


def test_confidence_and_nms_do_what_they_say() -> None:
    picture = next(frames(shared("video/traffic_a.mp4"))).picture
    sure, unsure = (_nano(confidence=c).detect([picture])[0] for c in (0.5, 0.1))
    assert sure.score.min() >= 0.5
    assert len(sure) == int((unsure.score >= 0.5).sum())
    for label in set(unsure.label.tolist()):
        boxes = unsure.xyxy[unsure.label == label]
        assert (iou(boxes, boxes) - np.eye(len(boxes))).max(initial=0) < 0.5


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(ConfigError, match="'lorry' is no COCO class"):
        _nano(labels=("car", "lorry"))


def test_coco_has_80_different_names() -> None:
    assert len(set(COCO_NAMES)) == len(COCO_NAMES) == 80


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "empty file"), (b"hello", "no usable ONNX file"), (None, "no weights")]
)
def test_what_is_no_onnx_file_is_refused_in_one_line(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "weights.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as raised:
        OnnxDetector(OnnxOptions(model=path), CONTEXT)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["FastestDet.onnx", "nanodet_m_320.onnx", "osnet_x0_25_msmt17.onnx", "version-RFB-320.onnx"]
)
def test_a_network_of_another_layout_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="no network of layout 'yolox'"):
        OnnxDetector(OnnxOptions(model=shared(f"weights/{name}")), CONTEXT)
