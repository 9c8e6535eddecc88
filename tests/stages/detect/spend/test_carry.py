from itertools import pairwise

import cv2
import numpy as np
import pytest

from pipeline.objects import Detections
from stages.detect.spend.carry import Carrier, placed
from stages.vision.sparse_flow import FlowView
from tests.stages.detect.scenes import iou

SIZE = (320, 180)


def texture(seed: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.normal(128, 160, (height, width)), (0, 0), 1.5)


def view(objects: list[tuple[int, tuple[int, int, int, int]]]) -> FlowView:
    """Objects (seed, box) on a ground, the last in front."""
    picture = texture(0, *SIZE)
    for seed, (left, top, right, bottom) in objects:
        skin = cv2.resize(texture(seed, 60, 60), (right - left, bottom - top))
        part = skin[max(-top, 0) :, max(-left, 0) :]
        low = max(top, 0), max(left, 0)
        room = picture[low[0] :, low[1] :]
        part = part[: room.shape[0], : room.shape[1]]
        picture[low[0] : low[0] + part.shape[0], low[1] : low[1] + part.shape[1]] = part
    noise = np.random.default_rng(9).normal(0, 1.5, picture.shape)
    return FlowView(np.clip(picture + noise, 0, 255).astype(np.uint8))


def table(*boxes: tuple[int, int, int, int]) -> Detections:
    names = [chr(ord("a") + index) for index in range(len(boxes))]
    return Detections(np.array(boxes, np.float32), np.full(len(boxes), 0.5, np.float32), np.array(names))


def test_boxes_go_with_their_objects() -> None:
    steps = [((40 + 4 * t, 50, 100 + 4 * t, 110), (200, 90 - 3 * t, 240, 150 - 3 * t)) for t in range(6)]
    views = [view([(1, one), (2, other)]) for one, other in steps]
    carrier = Carrier(views[0], 1, table(*steps[0]), SIZE)
    for seen, truth in zip(views[1:], steps[1:], strict=True):
        found = carrier.carry(seen)
        assert found.label.tolist() == ["a", "b"]
        assert np.diag(iou(np.array(truth, float), found.xyxy)).min() > 0.93
    assert len(carrier) == 2


def test_boxes_are_in_px_of_the_full_picture() -> None:
    before, after = view([(1, (40, 50, 100, 110))]), view([(1, (45, 52, 105, 112))])
    full = table((160, 200, 400, 440))
    found = Carrier(before, 4, full, (1280, 720)).carry(after)
    assert found.xyxy[0] == pytest.approx([180, 208, 420, 448], abs=3)


def test_an_object_that_comes_nearer_grows() -> None:
    boxes = [(100 - 2 * t, 60 - 2 * t, 160 + 2 * t, 120 + 2 * t) for t in range(6)]
    views = [view([(1, box)]) for box in boxes]
    carrier = Carrier(views[0], 1, table(boxes[0]), SIZE)
    found = [carrier.carry(seen) for seen in views[1:]][-1]
    assert iou(np.array(boxes[-1:], float), found.xyxy)[0, 0] > 0.9


def test_what_stands_in_front_does_not_take_the_other_along() -> None:
    """The nearer object (it reaches lower down) passes before one that stands."""
    back = (150, 40, 200, 120)
    fronts = [(120 + 5 * t, 70, 170 + 5 * t, 150) for t in range(5)]
    views = [view([(1, back), (2, front)]) for front in fronts]
    carrier = Carrier(views[0], 1, table(back, fronts[0]), SIZE)
    for seen, front in zip(views[1:], fronts[1:], strict=True):
        found = carrier.carry(seen)
        for box, label in zip(found.xyxy, found.label.tolist(), strict=True):
            truth = back if label == "a" else front
            assert iou(np.array([truth], float), box[None])[0, 0] > 0.85


def test_an_object_that_is_gone_is_given_up_and_does_not_return() -> None:
    there, gone = view([(1, (100, 60, 160, 120))]), view([])
    carrier = Carrier(there, 1, table((100, 60, 160, 120)), SIZE)
    assert len(carrier.carry(gone)) == 0
    assert len(carrier) == 0
    assert len(carrier.carry(there)) == 0


def test_boxes_end_at_the_edge_of_the_picture() -> None:
    boxes = [(20 - 10 * t, 60, 80 - 10 * t, 120) for t in range(5)]
    views = [view([(1, box)]) for box in boxes]
    carrier = Carrier(views[0], 1, table(boxes[0]), SIZE)
    left = 20.0
    for seen, _ in pairwise([*views[1:4], None]):
        found = carrier.carry(seen)
        assert found.xyxy.min() >= 0
        left = float(found.xyxy[0, 0])
    assert left == 0


def test_a_plain_picture_and_no_boxes() -> None:
    plain = FlowView(np.full((180, 320), 90, np.uint8))
    assert len(Carrier(plain, 1, table((10, 10, 60, 60)), SIZE).carry(plain)) == 0
    assert len(Carrier(plain, 1, Detections.empty(), SIZE).carry(plain)) == 0


def test_what_lies_in_a_box_goes_along() -> None:
    found = Detections(
        np.array([[10, 20, 30, 40]], np.float32),
        np.array([0.5], np.float32),
        np.array(["a"]),
        keypoints=np.array([[[20, 30, 0.7]]], np.float32),
        corners=np.array([[[10, 20], [30, 20], [30, 40], [10, 40]]], np.float32),
        outline=_outlines([[10, 20], [30, 20], [20, 40]]),
    )
    after = np.array([[110, 120, 150, 160]], np.float32)
    moved = placed(found, found.xyxy, after, np.array([140, 200, 140, 200], np.float32))
    assert moved.xyxy.tolist() == [[110, 120, 140, 160]]
    assert moved.keypoints is not None
    assert moved.keypoints[0, 0] == pytest.approx([130, 140, 0.7])
    assert moved.corners is not None
    assert moved.corners[0, 2].tolist() == [150, 160]
    assert moved.outline is not None
    assert moved.outline[0].tolist() == [[110, 120], [150, 120], [130, 160]]


def _outlines(*polygons: list[list[float]]) -> np.ndarray:
    column = np.empty(len(polygons), object)
    for row, polygon in enumerate(polygons):
        column[row] = np.array(polygon, np.float32)
    return column
