"""Real exports of ultralytics and torchvision, with random weights, against what their own code finds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from pipeline.objects import Detections
from pipeline.picture import BgrPicture
from stages.detect.onnx import OnnxDetector, OnnxOptions
from tests.stages.detect.footage import CONTEXT
from tests.stages.detect.scenes import iou

pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 192, 320
# Nothing is suppressed: with random weights many scores are equal, and which of them is first is chance.
SETTINGS = {"nms_iou": 1.0, "agnostic_nms": False, "max_detections": 3000}


@pytest.fixture(scope="module")
def picture() -> BgrPicture:
    random = np.random.default_rng(2)
    image = cv2.resize(random.integers(0, 256, (30, 50, 3), np.uint8), (640, 360))
    for _ in range(40):
        centre, axes = random.integers(0, 360, 2), random.integers(5, 90, 2)
        colour = random.integers(0, 256, 3).tolist()
        cv2.ellipse(image, centre.tolist(), axes.tolist(), float(random.uniform(0, 180)), 0, 360, colour, -1)
    return BgrPicture(image)


@pytest.fixture(scope="module")
def ultralytics() -> Any:
    pytest.importorskip("ultralytics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_AUTOINSTALL", "false")
        import ultralytics

        yield ultralytics


def export(ultralytics: Any, folder: Path, name: str, **settings: Any) -> Path:
    """Export a network whose scores are spread over 0..1 without reaching its ends, where all are equal."""
    import torch

    torch.manual_seed(3)
    model = ultralytics.YOLO(f"{name}.yaml")
    head = model.model.model[-1]
    for part, factor in (("cv3", 6.0), ("one2one_cv3", 6.0), ("cv2", 3.0), ("one2one_cv2", 3.0)):
        for branch in getattr(head, part, None) or []:
            branch[-1].weight.data.mul_(factor)
            if "cv3" in part:
                branch[-1].bias.data.normal_(-3, 0.7)
    for part in ("cv4", "one2one_cv4"):
        for branch in getattr(head, part, None) or []:
            if name.endswith("-seg"):
                branch[-1].bias.data.normal_(0, 1)  # else no mask is anywhere positive
    here = Path.cwd()
    os.chdir(folder)  # it writes where it stands
    try:
        return folder / model.export(format="onnx", imgsz=[HEIGHT, WIDTH], simplify=False, **settings)
    finally:
        os.chdir(here)


def threshold(score: np.ndarray, count: int = 40) -> float:
    """Return a confidence that about `count` scores pass, and that lies between two of them."""
    ordered = np.unique(score)[::-1]
    at = min(count, len(ordered) - 1)
    return float(ordered[at - 1] + ordered[at]) / 2


def both(
    ultralytics: Any, path: Path, picture: BgrPicture, task: str, **options: Any
) -> tuple[str, Detections, Any]:
    """Return the layout, what we find, and what ultralytics finds with the same file."""
    settings = {"model": path, "runtime": "onnxruntime", **SETTINGS, **options}
    trial = OnnxDetector(OnnxOptions(**settings), CONTEXT)
    confidence = threshold(scores_of(trial, picture))
    trial.close()
    detector = OnnxDetector(OnnxOptions(**settings, confidence=confidence), CONTEXT)
    ours = detector.detect([picture])[0]
    detector.close()
    theirs = ultralytics.YOLO(str(path), task=task).predict(
        picture.bgr(),
        conf=confidence,
        iou=1.0,
        max_det=3000,
        imgsz=[HEIGHT, WIDTH],
        device="cpu",
        verbose=False,
    )[0]
    return detector.layout.name, ours, theirs


def scores_of(detector: OnnxDetector, picture: BgrPicture) -> np.ndarray:
    client, tensors = detector._prepared(picture)
    tensor, _ = tensors.fill(picture)
    return detector.layout.decode(client.run([tensor]), tensors.spec, 1e-6)[0].score


def partners(ours: Detections, xyxy: np.ndarray, score: np.ndarray, label: list[str]) -> np.ndarray:
    """Return for each of their boxes the row of ours that is the same; all must be there."""
    inside = np.clip(xyxy, 0, (640, 360) * 2).astype(float)
    same = iou(inside, ours.xyxy.astype(float)) - np.abs(score[:, None] - ours.score[None])
    same -= np.array(label)[:, None] != ours.label[None]
    assert np.quantile(same.max(axis=1), 0.02) > 0.99  # of equal scores the last ones are cut off by chance
    return same.argmax(axis=1)


def visible(xyxy: np.ndarray) -> np.ndarray:
    """Whether boxes reach into the picture; we leave out what lies beside it."""
    inside = np.clip(xyxy, 0, (640, 360) * 2)
    return np.prod(inside[:, 2:] - inside[:, :2], axis=1) > 1


def labels(result: Any, numbers: np.ndarray) -> list[str]:
    return [result.names[int(number)] for number in numbers]


@pytest.mark.parametrize(
    ("name", "settings", "layout"),
    [
        ("yolov5n", {}, "yolov8"),
        ("yolov8n", {"nms": True, "conf": 0.01, "iou": 0.9}, "yolo26"),
        ("yolov9t", {}, "yolov8"),
        ("yolo11n", {"dynamic": True}, "yolov8"),
        ("yolo12n", {}, "yolov8"),
        ("yolov10n", {"nms": False}, "yolo26"),
        ("yolo26n", {}, "yolov8"),
        ("yolo26n", {"nms": False, "dynamic": True}, "yolo26"),
    ],
)
def test_boxes_are_those_of_ultralytics(
    ultralytics: Any, tmp_path: Path, picture: BgrPicture, name: str, settings: dict[str, Any], layout: str
) -> None:
    path = export(ultralytics, tmp_path, name, **settings)
    options = {"image_size": 320} if settings.get("dynamic") else {}
    seen, ours, theirs = both(ultralytics, path, picture, "detect", **options)
    assert seen == layout
    boxes = theirs.boxes.cpu().numpy()
    boxes = boxes[visible(boxes.xyxy)]
    assert len(boxes) > 5
    assert abs(len(ours) - len(boxes)) <= 0.02 * len(boxes)
    partners(ours, boxes.xyxy, boxes.conf, labels(theirs, boxes.cls))


@pytest.mark.parametrize(("name", "settings"), [("yolo11n-pose", {}), ("yolo26n-pose", {"nms": False})])
def test_poses_are_those_of_ultralytics(
    ultralytics: Any, tmp_path: Path, picture: BgrPicture, name: str, settings: dict[str, Any]
) -> None:
    path = export(ultralytics, tmp_path, name, **settings)
    _, ours, theirs = both(ultralytics, path, picture, "pose")
    boxes = theirs.boxes.cpu().numpy()
    rows = partners(ours, boxes.xyxy, boxes.conf, labels(theirs, boxes.cls))
    assert ours.keypoints is not None
    assert len(rows) > 5
    points = theirs.keypoints.xy.numpy()
    # ultralytics moves points into the picture, and those with a low score to its corner.
    seen = (points > 0).all(axis=2) & (points < (639, 359)).all(axis=2)
    assert seen.any()
    for pose, mask in zip(points, seen, strict=True):
        apart = np.abs(ours.keypoints[..., :2] - pose)[:, mask]
        assert not mask.any() or apart.max(axis=(1, 2)).min() < 0.05


@pytest.mark.parametrize(("name", "settings"), [("yolo11n-obb", {}), ("yolo26n-obb", {"nms": False})])
def test_turned_boxes_are_those_of_ultralytics(
    ultralytics: Any, tmp_path: Path, picture: BgrPicture, name: str, settings: dict[str, Any]
) -> None:
    path = export(ultralytics, tmp_path, name, **settings)
    _, ours, theirs = both(ultralytics, path, picture, "obb")
    assert ours.corners is not None
    assert len(theirs.obb) > 3
    for corners, score in zip(theirs.obb.xyxyxyxy.numpy(), theirs.obb.conf.numpy(), strict=True):
        apart = np.abs(ours.corners[:, :, None] - corners[None, None]).max(axis=3).min(axis=2).max(axis=1)
        assert (apart + np.abs(ours.score - score)).min() < 0.1


@pytest.mark.parametrize(("name", "settings"), [("yolo11n-seg", {}), ("yolo26n-seg", {"nms": False})])
def test_masks_are_those_of_ultralytics(
    ultralytics: Any, tmp_path: Path, picture: BgrPicture, name: str, settings: dict[str, Any]
) -> None:
    path = export(ultralytics, tmp_path, name, **settings)
    _, ours, theirs = both(ultralytics, path, picture, "segment")
    assert theirs.masks is not None  # it leaves out boxes without a mask
    boxes = theirs.boxes.cpu().numpy()
    partners(ours, boxes.xyxy, boxes.conf, labels(theirs, boxes.cls))
    assert ours.outline is not None
    overlaps = []
    for mask, box in zip(theirs.masks.data.numpy().astype(np.uint8), boxes, strict=True):
        mask[: (HEIGHT - 180) // 2] = 0  # outlines end at the picture's edges
        mask[(HEIGHT + 180) // 2 :] = 0
        if not mask.any():
            continue
        _, parts, facts, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        largest = (parts == 1 + facts[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
        if largest.sum() < 0.8 * mask.sum() or largest.sum() < 200:
            continue  # which part is the largest depends on how it is measured
        best = 0.0
        for row in np.flatnonzero(iou(box.xyxy.astype(float), ours.xyxy.astype(float))[0] > 0.99):
            filled = np.zeros_like(largest)
            in_input = ours.outline[row] / (640 / WIDTH) + (0, (HEIGHT - 180) / 2) - 0.5
            cv2.fillPoly(filled, [np.round(in_input).astype(np.int32)], 1)
            best = max(best, float((filled & largest).sum() / (filled | largest).sum()))
        overlaps.append(best)
    assert len(overlaps) > 2
    assert np.median(overlaps) > 0.8  # holes are not told, and a polygon has few points


def test_rtdetr_is_that_of_ultralytics(ultralytics: Any, tmp_path: Path, picture: BgrPicture) -> None:
    import torch

    torch.manual_seed(3)
    model = ultralytics.RTDETR("rtdetr-l.yaml")
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        path = tmp_path / model.export(format="onnx", imgsz=320, simplify=False)
    finally:
        os.chdir(here)
    options = OnnxOptions(model=path, runtime="onnxruntime", confidence=0.01, max_detections=300)
    detector = OnnxDetector(options, CONTEXT)
    assert detector.layout.name == "rtdetr-ultralytics"
    ours = detector.detect([picture])[0]
    theirs = ultralytics.RTDETR(str(path)).predict(
        picture.bgr(), conf=0.01, imgsz=320, device="cpu", verbose=False
    )[0]
    boxes = theirs.boxes.cpu().numpy()
    boxes = boxes[visible(boxes.xyxy)]
    assert len(boxes) > 5
    partners(ours, boxes.xyxy, boxes.conf, labels(theirs, boxes.cls))


NETWORKS = ("ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn", "maskrcnn_resnet50_fpn")


@pytest.mark.parametrize("name", NETWORKS)
def test_torchvision_finds_the_same_by_itself(tmp_path: Path, picture: BgrPicture, name: str) -> None:
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchvision.models.detection")
    torch.manual_seed(5)
    small = {"min_size": 160, "max_size": 320} if "mask" in name else {}
    # A threshold of 0: random weights are sure of nothing.
    limit = {"score_thresh": 0.0} if "ssd" in name else {"box_score_thresh": 0.0}
    model = getattr(detection, name)(weights=None, weights_backbone=None, **small, **limit).eval()
    for key, weight in model.named_parameters():
        if "cls" in key or "classification_head" in key:
            weight.data.mul_(8)  # else every class has the same score
    path = tmp_path / "net.onnx"
    torch.onnx.export(model, ([torch.rand(3, 180, 320)],), str(path), opset_version=17, dynamo=False)
    small_bgr = cv2.resize(picture.bgr(), (320, 180), interpolation=cv2.INTER_LINEAR)
    tensor = np.ascontiguousarray(small_bgr[..., ::-1].transpose(2, 0, 1)).astype(np.float32) / 255
    if "mask" in name:
        with torch.inference_mode():
            theirs = {key: value.numpy() for key, value in model([torch.from_numpy(tensor)])[0].items()}
    else:  # among equal scores torch and ONNX Runtime choose others: the file itself is asked
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = session.run(None, {session.get_inputs()[0].name: tensor})
        order = ("boxes", "scores", "labels") if "ssd" in name else ("boxes", "labels", "scores")
        theirs = dict(zip(order, found, strict=True))
    confidence = threshold(theirs["scores"], 15)
    keep = (theirs["scores"] >= confidence) & visible(theirs["boxes"] * 2)
    assert keep.sum() > 3
    options = OnnxOptions(model=path, runtime="onnxruntime", confidence=confidence, max_detections=3000)
    detector = OnnxDetector(options, CONTEXT)
    assert detector.layout.name == "torchvision"
    ours = detector.detect([picture])[0]
    names = detector.layout.names
    assert names is not None
    label = [names[number - 1] for number in theirs["labels"][keep]]
    partners(ours, theirs["boxes"][keep] * 2, theirs["scores"][keep], label)
    assert (ours.outline is not None) == ("mask" in name)
