import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.frame import Gap
from stages.motion.detector import MotionDetector, MotionOptions
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frame, frames, grey
from tests.stages.detect.scenes import Scene, crossing, iou

# Frames at which a part of each car's body is in the picture, read off the plain frames.
CARS = [(54, 107), (181, 228), (188, 237), (316, 347)]
# A car's dark surroundings are in the picture a little before and after its body: these frames are left open.
OPEN = [
    54,
    *range(106, 115),
    *range(178, 183),
    188,
    *range(227, 230),
    *range(236, 243),
    *range(314, 318),
    347,
]


@pytest.mark.parametrize(("method", "closeness"), [("mog2", 0.75), ("knn", 0.6)])
@pytest.mark.slow
def test_each_car_is_one_box_while_the_exposure_jumps(method: str, closeness: float) -> None:
    detector = MotionDetector(MotionOptions(method=method), CONTEXT)
    boxes = []
    for seen in frames(shared("video/car-detection.mp4")):
        detector.process(seen)
        assert seen.detections is not None
        boxes.append(seen.detections.xyxy)
    truth = [sum(first <= index <= last for first, last in CARS) for index in range(len(boxes))]
    judged = [index for index in range(len(boxes)) if index not in OPEN]
    wrong = [index for index in judged if len(boxes[index]) != truth[index]]
    assert len(wrong) <= 5, wrong
    # Outlines read off the plain frames, px: one car in the middle, then two side by side.
    for index, cars in {80: [(268, 71, 436, 332)], 205: [(92, 50, 256, 350), (315, 153, 485, 432)]}.items():
        found = boxes[index][np.argsort(boxes[index][:, 0])]
        assert np.diag(iou(np.array(cars, float), found)).min() > closeness


@pytest.mark.slow
def test_cars_of_dense_traffic_are_mostly_apart() -> None:
    detector = MotionDetector(MotionOptions(), CONTEXT)
    for index, seen in enumerate(frames(shared("video/traffic_a.mp4"))):
        detector.process(seen)
        if index == 200:
            break
    assert seen.detections is not None
    # The white car in front, the grey one beside it and the station wagon on the right, off the plain frame.
    cars = np.array([(262, 242, 359, 335), (131, 200, 190, 267), (416, 191, 488, 232)], float)
    assert (iou(cars, seen.detections.xyxy).max(axis=1) > 0.6).all()


def test_boxes_are_in_pixels_of_the_full_picture() -> None:
    detector = MotionDetector(MotionOptions(width=160, label="thing"), CONTEXT)
    pictures = list(Scene([crossing(1.0, 60)]).frames(2.6))
    for index, (t, luma, _) in enumerate(pictures):
        seen = frame(grey(luma.repeat(3, axis=0).repeat(3, axis=1)), t, index)
        detector.process(seen)
    assert seen.detections is not None
    assert iou(3 * pictures[-1][2], seen.detections.xyxy).max() > 0.8
    assert seen.detections.label.tolist() == ["thing"]
    assert 0.5 < seen.detections.score[0] <= 1
    assert seen.model_hash is None


@pytest.mark.parametrize("gap", [Gap("timestamp jump", 1.0, None), None])
def test_time_that_jumps_does_no_harm(gap: Gap | None) -> None:
    detector = MotionDetector(MotionOptions(), CONTEXT)
    found = 0
    for index, (t, luma, _) in enumerate(Scene().frames(4.0)):
        jump_s = -1000.0 if index >= 50 else 0.0
        seen = frame(grey(luma), t + jump_s, index, gap if index == 50 else None)
        detector.process(seen)
        assert seen.detections is not None
        found += len(seen.detections)
    assert found == 0


def test_the_first_picture_shows_no_motion() -> None:
    seen = frame(grey(np.full((90, 160), 200, np.uint8)), 0.0)
    MotionDetector(MotionOptions(), CONTEXT).process(seen)
    assert seen.detections is not None
    assert len(seen.detections) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "gmg"},
        {"width": 0},
        {"history_s": 0},
        {"min_area": 0},
        {"min_area": 1},
        {"label": ""},
        {"x": 1},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MotionOptions(**wrong)
