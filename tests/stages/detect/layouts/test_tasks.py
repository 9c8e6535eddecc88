"""What goes beyond boxes: masks, poses and turned boxes, per cell and end to end, in the picture's px."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.objects import Detections
from pipeline.picture import BgrPicture
from stages.detect.letterbox import Letterbox
from stages.detect.onnx import OnnxDetector, OnnxOptions
from tests.stages.detect.footage import CONTEXT
from tests.stages.detect.layouts.networks import HEIGHT, WIDTH, Answer, cxcywh, names, write

PICTURE = BgrPicture(np.zeros((360, 640, 3), np.uint8))
PLACE = Letterbox.of(640, 360, WIDTH, HEIGHT, "centre")
XYXY = np.array([[20, 40, 100, 120], [140, 60, 220, 150]], np.float32)
CELLS = sum((HEIGHT // s) * (WIDTH // s) for s in (8, 16, 32))


def detect(path: Path, answer: Answer, **options: object) -> tuple[str, Detections]:
    detector = OnnxDetector(
        OnnxOptions(model=write(path / "net.onnx", answer), runtime="onnxruntime", **options), CONTEXT
    )
    table = detector.detect([PICTURE])[0]
    detector.close()
    return detector.layout.name, table


def rows(boxes: np.ndarray, extra: np.ndarray, task: str, *, end_to_end: bool, **more: str) -> Answer:
    """Two objects, of classes 0 and 2 of three, with their extra columns; corners or centres as given."""
    score, number = np.array([0.9, 0.8]), np.array([0, 2])
    metadata = {"task": task, "names": names(3), **more}
    if end_to_end:
        raw = np.zeros((1, 300, 6 + extra.shape[1]), np.float32)
        raw[0, :2] = np.column_stack([boxes, score, number, extra])
        return Answer({"output0": raw}, metadata={**metadata, "end2end": "True"})
    raw = np.zeros((1, 7 + extra.shape[1], CELLS), np.float32)
    raw[0, :4, :2] = boxes.T
    raw[0, 4 + number, [0, 1]] = score
    raw[0, 7:, :2] = extra.T
    return Answer({"output0": raw}, metadata=metadata)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_masks_become_outlines(tmp_path: Path, end_to_end: bool) -> None:
    prototypes = np.full((1, 32, HEIGHT // 4, WIDTH // 4), -1, np.float32)
    y, x = np.mgrid[: HEIGHT // 4, : WIDTH // 4] * 4 + 2
    for channel, box in enumerate(XYXY):
        (centre_x, centre_y), half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        prototypes[0, channel] = 1 - np.hypot((x - centre_x) / half[0], (y - centre_y) / half[1])
    prototypes[0, 1, :10] = 5  # beyond the box, where a mask does not count
    coefficients = np.zeros((2, 32), np.float32)
    coefficients[[0, 1], [0, 1]] = 3
    boxes = XYXY if end_to_end else cxcywh(XYXY)
    answer = rows(boxes, coefficients, "segment", end_to_end=end_to_end)
    answer.outputs["output1"] = prototypes
    name, table = detect(tmp_path, answer)
    assert name == ("yolo26-segment" if end_to_end else "yolov8-segment")
    assert table.label.tolist() == ["thing 0", "thing 2"]
    assert table.outline is not None
    for polygon, box in zip(table.outline, table.xyxy, strict=True):
        assert polygon.shape[1] == 2
        ellipse = np.pi / 4 * np.prod(box[2:] - box[:2])
        assert abs(cv2.contourArea(polygon) / ellipse - 1) < 0.08
        assert (polygon >= box[:2] - 2).all()
        assert (polygon <= box[2:] + 2).all()


def test_an_empty_mask_is_an_outline_without_points(tmp_path: Path) -> None:
    answer = rows(cxcywh(XYXY), np.zeros((2, 32)), "segment", end_to_end=False)
    answer.outputs["output1"] = np.full((1, 32, HEIGHT // 4, WIDTH // 4), -1, np.float32)
    _, table = detect(tmp_path, answer)
    assert table.outline is not None
    assert [polygon.shape for polygon in table.outline] == [(0, 2), (0, 2)]


@pytest.mark.parametrize("end_to_end", [False, True])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_poses_become_keypoints(tmp_path: Path, end_to_end: bool, dimensions: int) -> None:
    points = np.random.default_rng(1).uniform(0, 1, (2, 5, dimensions)).astype(np.float32)
    points[..., :2] = XYXY[:, None, :2] + points[..., :2] * (XYXY[:, None, 2:] - XYXY[:, None, :2])
    boxes = XYXY if end_to_end else cxcywh(XYXY)
    extra = points.reshape(2, -1)
    answer = rows(boxes, extra, "pose", end_to_end=end_to_end, kpt_shape=f"[5, {dimensions}]")
    name, table = detect(tmp_path, answer)
    assert name == ("yolo26-pose" if end_to_end else "yolov8-pose")
    assert table.keypoints is not None
    assert np.allclose(table.keypoints[..., :2], PLACE.to_picture(points[..., :2]), atol=0.01)
    wanted = points[..., 2] if dimensions == 3 else np.ones((2, 5))
    assert np.allclose(table.keypoints[..., 2], wanted)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_turned_boxes_become_corners(tmp_path: Path, end_to_end: bool) -> None:
    angle = np.array([[0.5], [1.2]], np.float32)
    answer = rows(cxcywh(XYXY), angle, "obb", end_to_end=end_to_end)
    name, table = detect(tmp_path, answer)
    assert name == ("yolo26-obb" if end_to_end else "yolov8-obb")
    assert table.corners is not None
    for corners, xyxy, box, turn in zip(table.corners, table.xyxy, cxcywh(XYXY), angle[:, 0], strict=True):
        wanted = cv2.boxPoints((tuple(map(float, box[:2])), tuple(map(float, box[2:])), np.degrees(turn)))
        wanted = PLACE.to_picture(wanted)
        assert np.abs(corners[:, None] - wanted[None]).max(axis=2).min(axis=1).max() < 0.05
        inside = np.clip(wanted, 0, (640, 360))
        assert np.allclose(xyxy, [*inside.min(axis=0), *inside.max(axis=0)], atol=0.05)


def test_turned_boxes_are_suppressed_by_how_they_lie(tmp_path: Path) -> None:
    raw = np.zeros((1, 8, CELLS), np.float32)
    raw[0, :4, :3] = np.array([[128, 96, 90, 9], [128, 96, 90, 9], [129, 96, 90, 9]]).T
    raw[0, 4, :3] = 0.9, 0.8, 0.7
    raw[0, 7, :3] = 0, np.pi / 2, 0
    answer = Answer({"output0": raw}, metadata={"task": "obb", "names": names(3)})
    _, table = detect(tmp_path, answer)
    assert np.allclose(table.score, [0.9, 0.8])


def test_what_lies_beside_the_picture_is_nothing(tmp_path: Path) -> None:
    boxes = np.array([[20, 40, 100, 120], [20, 0, 100, 20]], np.float32)  # the second in the grey above
    assert PLACE.top > 20
    _, table = detect(tmp_path, rows(boxes, np.empty((2, 0)), "detect", end_to_end=True))
    assert table.label.tolist() == ["thing 0"]


def test_at_most_so_many_are_kept_and_only_the_wanted(tmp_path: Path) -> None:
    answer = rows(XYXY, np.empty((2, 0)), "detect", end_to_end=True)
    assert detect(tmp_path, answer, max_detections=1)[1].label.tolist() == ["thing 0"]
    assert detect(tmp_path, answer, labels=("thing 2",))[1].label.tolist() == ["thing 2"]
    assert detect(tmp_path, answer, classes=("x", "y", "z"))[1].label.tolist() == ["x", "z"]


@pytest.mark.parametrize("zoo", [False, True])
def test_masks_of_mask_rcnn_become_outlines(tmp_path: Path, zoo: bool) -> None:
    if zoo:  # small masks that are stretched over their boxes
        masks = np.full((2, 1, 28, 28), 0.9, np.float32)
    else:  # masks of the whole input
        masks = np.zeros((2, 1, HEIGHT, WIDTH), np.float32)
        for row, (left, top, right, bottom) in enumerate(XYXY.astype(int)):
            masks[row, 0, top:bottom, left:right] = 0.9
    columns = {
        "6568": XYXY,
        "6570": np.array([1, 3]),
        "6572": np.array([0.9, 0.8], np.float32),
        "6887": masks,
    }
    if not zoo:
        columns = {f"out{at}": array for at, array in enumerate(columns.values())}
    name, table = detect(tmp_path, Answer(columns, {"image": ("float32", (3, HEIGHT, WIDTH))}))
    assert name == ("rcnn-zoo" if zoo else "torchvision")
    assert table.outline is not None
    for polygon, box in zip(table.outline, table.xyxy, strict=True):
        assert abs(cv2.contourArea(polygon) / np.prod(box[2:] - box[:2]) - 1) < 0.06
        assert np.abs(polygon.min(axis=0) - box[:2]).max() < 3
        assert np.abs(polygon.max(axis=0) - box[2:]).max() < 3
