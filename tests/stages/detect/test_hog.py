import numpy as np

from pipeline.picture import BgrPicture
from stages.detect.hog import HogDetector, HogOptions
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frames
from tests.stages.detect.scenes import iou


def test_people_who_walk_by_are_found() -> None:
    truth = np.loadtxt(shared("mot15/TUD-Campus/gt/gt.txt"), delimiter=",")
    detector = HogDetector(HogOptions(), CONTEXT)
    found = people = right = 0
    for index, seen in enumerate(frames(shared("mot15/TUD-Campus/TUD-Campus.mp4"))):
        if index % 18:
            continue
        detector.process_batch([seen])
        assert seen.detections is not None
        rows = truth[truth[:, 0] == index + 1]
        boxes = np.column_stack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]])
        overlap = iou(boxes, seen.detections.xyxy)
        people, found = people + len(boxes), found + len(seen.detections)
        right += int((overlap.max(axis=1) > 0.5).sum())
        assert set(seen.detections.label.tolist()) == {"person"}
        assert (seen.detections.score >= 0.5).all()
        assert (seen.detections.xyxy <= [640, 480, 640, 480]).all()
    assert right / people > 0.6
    assert right / found > 0.5


def test_an_empty_street_shows_nobody_and_a_higher_threshold_finds_fewer() -> None:
    blank = BgrPicture(np.full((240, 320, 3), 128, np.uint8))
    assert len(HogDetector(HogOptions(), CONTEXT).detect([blank])[0]) == 0
    first = next(frames(shared("mot15/TUD-Campus/TUD-Campus.mp4"))).picture
    every, sure = (HogDetector(HogOptions(hit_threshold=t), CONTEXT).detect([first])[0] for t in (0.0, 0.5))
    assert 0 < len(sure) < len(every)
    assert sure.score.min() >= 1 / (1 + np.exp(-0.5)) - 1e-6


def test_a_picture_narrower_than_a_person_is_empty() -> None:
    narrow = BgrPicture(np.zeros((400, 20, 3), np.uint8))
    assert len(HogDetector(HogOptions(), CONTEXT).detect([narrow])[0]) == 0
