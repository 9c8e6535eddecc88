"""Networks of Darknet and Caffe: what numpy computes from the same weights is the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError, ModelError
from pipeline.picture import BgrPicture
from stages.detect.opencv_dnn.stage import OpencvDnnDetector, OpencvDnnOptions
from tests.stages.detect.footage import CONTEXT, frame
from tests.stages.detect.opencv_dnn import networks
from tests.stages.detect.opencv_dnn.networks import HEIGHT, WIDTH, Files

NAMES = ("car", "bus", "dog")
PICTURE = (320, 240)


def detector(files: Files, **options: Any) -> OpencvDnnDetector:
    return OpencvDnnDetector(
        OpencvDnnOptions(model=str(files.model), config=str(files.config), **({"classes": NAMES} | options)),
        CONTEXT,
    )


def picture(seed: int = 0) -> BgrPicture:
    return BgrPicture(np.random.default_rng(seed).integers(0, 255, (*PICTURE[::-1], 3), dtype=np.uint8))


def expected(xyxy: np.ndarray, scores: np.ndarray, confidence: float) -> list[tuple[list[float], float, str]]:
    """Rows above the threshold in px of the picture, best first."""
    best = scores.argmax(axis=1)
    score = scores[np.arange(len(scores)), best]
    order = [row for row in np.argsort(-score) if score[row] >= confidence]
    edges = np.array(PICTURE * 2)
    return [
        (np.clip(xyxy[row] * edges, 0, edges).tolist(), float(score[row]), NAMES[best[row]]) for row in order
    ]


def compare(found: Any, wanted: list[tuple[list[float], float, str]]) -> None:
    assert len(wanted) > 3
    assert found.label.tolist() == [label for _, _, label in wanted]
    assert found.score == pytest.approx(np.array([score for _, score, _ in wanted]), abs=1e-4)
    assert found.xyxy == pytest.approx(np.array([box for box, _, _ in wanted]), abs=0.02)


@pytest.mark.parametrize("kind", [{}, {"normalised": True}, {"v4": True}], ids=["v3", "normalised", "v4"])
@pytest.mark.parametrize("confidence", [0.05, 0.3])
def test_darknet_gives_what_its_paper_says(tmp_path: Path, kind: dict[str, bool], confidence: float) -> None:
    files = networks.darknet(tmp_path, **kind)
    seen = frame(picture(), 0.0)
    stage = detector(files, confidence=confidence, nms_iou=1.0)
    stage.process_batch([seen])
    image = seen.picture.fit(WIDTH, HEIGHT)[..., ::-1].transpose(2, 0, 1) / 255
    boxes, scores = networks.darknet_boxes(files, image, v4=kind.get("v4", False))
    compare(seen.detections, expected(boxes, scores, confidence))
    assert seen.model_hash == stage.model_hash
    assert len(stage.model_hash or "") == 16


def test_caffe_gives_what_its_paper_says(tmp_path: Path) -> None:
    loc, conf = networks.caffe(tmp_path)
    (found,) = detector(loc, confidence=0.3, nms_iou=1.0).detect([picture()])
    image = picture().fit(WIDTH, HEIGHT).transpose(2, 0, 1) - np.array([104.0, 117, 123])[:, None, None]
    boxes, scores = networks.caffe_boxes(loc, conf, image)
    wanted = expected(boxes, scores, 0.3)
    # DetectionOutput keeps every class above the threshold, not only the best of each box.
    best = [row for row in range(len(found)) if found.score[row] in _best_per_box(found)]
    compare(found[best], wanted)


def _best_per_box(found: Any) -> set[float]:
    best: dict[tuple[float, ...], float] = {}
    for xyxy, score in zip(found.xyxy.tolist(), found.score.tolist(), strict=True):
        best[tuple(xyxy)] = max(score, best.get(tuple(xyxy), 0.0))
    return set(best.values())


def test_mean_scale_and_order_of_channels_are_as_told(tmp_path: Path) -> None:
    loc, conf = networks.caffe(tmp_path)
    told = {"mean": (10.0, 20.0, 30.0), "scale": 0.5, "rgb": True}
    (found,) = detector(loc, confidence=0.4, nms_iou=1.0, **told).detect([picture()])
    rgb = picture().fit(WIDTH, HEIGHT)[..., ::-1].astype(float)
    image = ((rgb - [30, 20, 10]) * 0.5).transpose(2, 0, 1)
    _, scores = networks.caffe_boxes(loc, conf, image)
    assert found.score.max() == pytest.approx(scores.max(), abs=1e-4)


def test_another_input_size_is_taken(tmp_path: Path) -> None:
    files = networks.darknet(tmp_path)
    (found,) = detector(files, image_size=(256, 192), nms_iou=1.0).detect([picture()])
    image = picture().fit(256, 192)[..., ::-1].transpose(2, 0, 1) / 255
    compare(found, expected(*networks.darknet_boxes(files, image), 0.25))


def test_boxes_that_overlap_a_better_one_are_dropped(tmp_path: Path) -> None:
    files = networks.darknet(tmp_path)
    (every,) = detector(files, confidence=0.05, nms_iou=1.0).detect([picture()])
    (few,) = detector(files, confidence=0.05, nms_iou=0.3).detect([picture()])
    (by_class,) = detector(files, confidence=0.05, nms_iou=0.3, agnostic_nms=False).detect([picture()])
    assert len(few) < len(by_class) < len(every)


def test_labels_choose_classes(tmp_path: Path) -> None:
    files = networks.darknet(tmp_path)
    (every,) = detector(files, confidence=0.05).detect([picture()])
    rarest = every.label[-1]
    (found,) = detector(files, labels=(rarest,), confidence=0.05).detect([picture()])
    assert len(set(every.label.tolist())) > 1
    assert set(found.label.tolist()) == {rarest}
    with pytest.raises(ConfigError, match="no class 'lorry'; it has: car, bus, dog"):
        detector(files, labels=("lorry",))


def test_names_come_from_a_file_or_are_known(tmp_path: Path) -> None:
    names = tmp_path / "tiny.names"
    names.write_text("car\nbus\n\ndog\n")
    (found,) = detector(networks.darknet(tmp_path), classes=names).detect([picture()])
    assert set(found.label.tolist()) <= set(NAMES)
    coco = networks.darknet(tmp_path, classes=80)
    assert len(detector(coco, classes=None, labels=("person", "toothbrush"))._names) == 80


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (None, "3 classes without names; set 'classes'"),
        (("car", "bus"), "2 names, but 'tiny.cfg' has 3 classes"),
        (Path("missing.names"), "cannot read 'missing.names'"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, classes: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        detector(networks.darknet(tmp_path), classes=classes)


@pytest.mark.parametrize(("content", "says"), [(b"", "no names"), (b"\xff\xfe\xff", "no text file")])
def test_files_of_names_that_are_none_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.names"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        detector(networks.darknet(tmp_path), classes=path)


def _damaged(good: bytes) -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(0, 255, len(good), dtype=np.uint8).tobytes()
    return {
        "empty": b"",
        "text": b"hello",
        "page": b"<!DOCTYPE html><html></html>",
        "truncated": good[: len(good) // 2],
        "one short": good[:-4],
        "left over": good + b"1234",
        "noise": noise,
    }


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        (kind, damage)
        for kind in ("darknet", "caffe")
        for damage in ("empty", "text", "page", "truncated", "one short", "left over", "noise")
        if (kind, damage) != ("caffe", "left over")  # protobuf allows unknown fields at the end
    ],
)
def test_damaged_weights_are_refused_in_one_line(
    tmp_path: Path, kind: str, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    files = networks.darknet(tmp_path) if kind == "darknet" else networks.caffe(tmp_path)[0]
    files.model.write_bytes(_damaged(files.model.read_bytes())[damage])
    with pytest.raises(ModelError) as raised:
        detector(files)
    assert str(files.model) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "ERROR" not in capfd.readouterr().err.replace("libprotobuf ERROR", "")


@pytest.mark.parametrize("kind", ["darknet", "caffe"])
@pytest.mark.parametrize("content", ["", "hello", "[net]\nwidth=96\n", "[yolo]\nclasses=3\n", "{}", "\0\1"])
def test_damaged_descriptions_are_refused_in_one_line(tmp_path: Path, kind: str, content: str) -> None:
    files = networks.darknet(tmp_path) if kind == "darknet" else networks.caffe(tmp_path)[0]
    files.config.write_text(content)
    with pytest.raises(ModelError) as raised:
        detector(files)
    assert str(files.config) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_layers_without_their_weights_are_refused(tmp_path: Path) -> None:
    files, _ = networks.caffe(tmp_path)
    files.config.write_text(files.config.read_text().replace('name: "conf"', 'name: "other"'))
    with pytest.raises(ModelError, match="use the two files of one model"):
        detector(files)


@pytest.mark.parametrize(
    ("model", "config", "says"),
    [
        ("tiny.weights", "tiny.prototxt", "wanted .weights with .cfg"),
        ("tiny.onnx", "tiny.cfg", "the stage 'onnx'"),
        ("none.weights", "tiny.cfg", "no weights at"),
        ("tiny.weights", "none.cfg", "config: no weights at .*none.cfg'; set 'config' to"),
    ],
)
def test_files_that_do_not_belong_together_are_named(
    tmp_path: Path, model: str, config: str, says: str
) -> None:
    networks.darknet(tmp_path)
    networks.caffe(tmp_path)
    (tmp_path / "tiny.onnx").write_bytes(b"onnx")
    with pytest.raises(ModelError, match=says):
        OpencvDnnDetector(
            OpencvDnnOptions(model=str(tmp_path / model), config=str(tmp_path / config)), CONTEXT
        )


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    if cv2.dnn.getAvailableTargets(cv2.dnn.DNN_BACKEND_CUDA):
        pytest.skip("this OpenCV has CUDA")
    with pytest.raises(ModelError, match="device 'cuda': this OpenCV"):
        detector(networks.darknet(tmp_path), device="cuda")


@pytest.mark.parametrize(
    "wrong", [{"confidence": 0}, {"scale": 0}, {"mean": [1, 2]}, {"device": "tpu"}, {"labels": []}]
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpencvDnnOptions(model="a.weights", config="a.cfg", **wrong)
