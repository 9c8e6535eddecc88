"""The base class of detectors with a detector that finds bright rectangles, and counts how often it looks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import FrameLost, FramesLost
from pipeline.frame import Frame, Gap
from pipeline.objects import Detections, Tracks
from pipeline.picture import Picture
from pipeline.plugin import StreamInfo
from stages.detect.base import Detector, Found
from stages.detect.spend.gate import MotionGate
from stages.detect.spend.options import DetectorOptions
from tests.stages.detect.footage import CONTEXT, frame, grey
from tests.stages.detect.scenes import HEIGHT, WIDTH, Scene, crossing, iou

INFO = StreamInfo("test", "scene", "run", WIDTH, HEIGHT)


class Bright(Detector):
    """Finds what is brighter than the ground of a `Scene` ever is; fails at the looks that `fails` names."""

    def __init__(self, batch: int = 1, fails: Sequence[int] = (), **spend: Any) -> None:
        super().__init__(DetectorOptions(spend=spend or False), CONTEXT)
        self.batch = batch
        self.model_hash = "abc"
        self._fails, self._calls = fails, 0
        self.looks: list[tuple[int, int]] = []
        self.open(INFO)

    def detect(self, pictures: Sequence[Picture]) -> list[Found]:
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: Picture) -> Found:
        self._calls += 1
        self.looks.append((picture.width, picture.height))
        if self._calls - 1 in self._fails:
            return FrameLost("no luck")
        bright = cv2.morphologyEx(
            np.asarray(cv2.blur(picture.luma(), (7, 7)) > 160, np.uint8), cv2.MORPH_OPEN, np.ones((9, 9))
        )
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        left, top, width, height, _ = stats[1:].T
        xyxy = np.stack([left, top, left + width, top + height], axis=1).astype(np.float32)
        return Detections(xyxy, np.full(len(xyxy), 0.9, np.float32), np.full(len(xyxy), "thing"))


def scene(seconds: float = 4.0, **changes: Any) -> list[tuple[Frame, np.ndarray]]:
    """An object crosses from 1 s on and is out of the picture soon after 5.75 s."""
    kept = Scene([crossing(1.0, 60)], **changes)
    return [(frame(grey(luma), t, i), truth) for i, (t, luma, truth) in enumerate(kept.frames(seconds))]


def run(detector: Bright, frames: Sequence[Frame]) -> list[Frame]:
    for start in range(0, len(frames), detector.batch):
        detector.process_batch(frames[start : start + detector.batch])
    return list(frames)


def test_it_does_not_look_while_nothing_moves() -> None:
    detector = Bright(every=1)
    seen = run(detector, [each for each, _ in scene(3.0)])
    looked = [each.sequence for each in seen if each.carried_s == 0]
    assert looked[0] == 0
    assert looked[1] == pytest.approx(28, abs=2)
    assert looked[1:] == list(range(looked[1], 75))
    assert seen[20].carried_s == pytest.approx(0.8)
    assert all(each.model_hash == "abc" and each.detections is not None for each in seen)
    assert detector.statistics()["unchanged"] == looked[1] - 1


def test_while_nothing_moves_pictures_are_compared_so_often_only(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    changes = MotionGate.changes

    def counted(self: MotionGate, luma: Any, *, relit: bool = True) -> Any:
        compared.append(1)
        return changes(self, luma, relit=relit)

    monkeypatch.setattr(MotionGate, "changes", counted)
    frames = [each for each, _ in scene(0.96)]
    seen = run(Bright(every=1), frames)
    assert len(compared) == 8, "of 24 pictures, 40 ms apart: the first is looked at, then 1, 4, ... 22"
    assert all(each.still and each.detections is not None for each in seen[1:])


def test_what_moves_from_the_first_picture_on_is_looked_at_in_each() -> None:
    kept = Scene([crossing(-1.0, 60, speed=160)])
    detector = Bright(every=1)
    run(detector, [frame(grey(luma), t, i) for i, (t, luma, _) in enumerate(kept.frames(0.24))])
    assert len(detector.looks) == 6


def test_it_looks_for_a_while_after_the_last_motion_and_again_at_its_refresh() -> None:
    detector = Bright(every=1, hold_s=0.4, refresh_s=2.0)
    frames = [each for each, _ in scene(12.0)]
    seen = run(detector, frames)
    looked = [each.moment.pts_s for each in seen if each.carried_s == 0]
    assert [t for t in looked if t < 2.5][:1] == [0.0]
    late = np.array([t for t in looked if t > 6.2])
    # The object has left at about 5.7 s; then only refreshes are left.
    assert np.diff(late) == pytest.approx(2.0, abs=0.05)
    assert len(late) >= 2


@pytest.mark.parametrize("every", [2, 5])
def test_boxes_are_carried_between_looks(every: int) -> None:
    detector = Bright(every=every, gate=False)
    pairs = scene(4.5)
    seen = run(detector, [each for each, _ in pairs])
    assert len(detector.looks) == pytest.approx(len(seen) / every, abs=1)
    whole = [(each, truth) for each, truth in pairs if each.moment.pts_s > 1.85 and len(truth)]
    for each, truth in whole:
        assert each.detections is not None
        assert iou(truth, each.detections.xyxy).max() > 0.75, each.sequence
    assert max(each.carried_s for each in seen) == pytest.approx((every - 1) / 25)
    statistics = detector.statistics()
    assert statistics["carried"] == len(seen) - len(detector.looks)
    assert statistics["oldest_s"] == pytest.approx((every - 1) / 25, abs=1e-3)


@pytest.mark.parametrize("spend", [{"every": 1}, {"every": 3}, {"every": 4, "gate": False}])
def test_batches_change_nothing(spend: dict[str, Any]) -> None:
    one, four = Bright(1, **spend), Bright(4, **spend)
    single = run(one, [each for each, _ in scene(3.0)])
    batched = run(four, [each for each, _ in scene(3.0)])
    assert one.looks == four.looks
    for left, right in zip(single, batched, strict=True):
        assert left.detections is not None
        assert right.detections is not None
        assert np.array_equal(left.detections.xyxy, right.detections.xyxy)
        assert left.carried_s == right.carried_s


def test_false_looks_at_every_picture() -> None:
    detector = Bright()
    seen = run(detector, [each for each, _ in scene(1.0)])
    assert len(detector.looks) == len(seen)
    assert detector.statistics() == {}


@pytest.mark.parametrize("event", ["gap", "a clock that begins anew", "another size"])
def test_it_looks_when_what_it_knew_is_worth_nothing(event: str) -> None:
    detector = Bright(every=1)
    frames = [each for each, _ in scene(0.8)]
    run(detector, frames[:10])
    assert len(detector.looks) == 1
    if event == "gap":
        frames[10].gap = Gap("decode error", 0.36, 0.04)
    elif event == "another size":
        detector.open(replace(INFO, width=2 * WIDTH))
    else:
        for each in frames[10:]:
            each.run = "other"
            each.moment = each.moment.shifted(-0.4)
    run(detector, frames[10:])
    assert len(detector.looks) == 2


def test_a_look_that_is_lost_is_made_up_for_at_the_next_frame() -> None:
    detector = Bright(4, fails=[1], every=2, gate=False)
    frames = [each for each, _ in scene(0.5)]
    detector.process_batch(frames[:2])
    with pytest.raises(FramesLost) as raised:
        detector.process_batch(frames[2:6])
    assert list(raised.value.losses) == [0]
    assert [each.detections is not None for each in frames[2:6]] == [False, True, True, True]
    assert frames[3].carried_s > 0
    looks = len(detector.looks)
    detector.process_batch(frames[6:7])
    assert len(detector.looks) == looks + 1


def test_without_any_look_a_frame_is_lost_too() -> None:
    detector = Bright(2, fails=[0], every=2, gate=False)
    frames = [each for each, _ in scene(0.5)]
    with pytest.raises(FramesLost) as raised:
        detector.process_batch(frames[:2])
    assert list(raised.value.losses) == [0, 1]
    assert {loss.cause for loss in raised.value.losses.values()} == {"no luck"}


def test_regions_are_looked_at_between_whole_pictures() -> None:
    detector = Bright(every=1, regions=True, full_s=1.0)
    pairs = scene(4.5)
    run(detector, [each for each, _ in pairs])
    small = [size for size in detector.looks if size[0] < WIDTH]
    assert len(small) > 0.8 * len(detector.looks)
    assert detector.statistics()["regions"] == len(small)
    for each, truth in pairs:
        if each.moment.pts_s > 1.85 and len(truth):
            assert each.detections is not None
            assert iou(truth, each.detections.xyxy).max() > 0.75, each.sequence


@pytest.mark.parametrize("table", ["as found", "with embeddings", "other rows"])
def test_what_is_carried_is_where_the_tracker_says_it_is(table: str) -> None:
    detector = Bright(every=3, gate=False)
    frames = [each for each, truth in scene(4.0) if len(truth)][20:23]
    detector.process_batch(frames[:1])
    found = frames[0].detections
    assert found is not None
    assert len(found) == 1
    better = found.xyxy + np.float32(4)
    ones = np.ones(1, np.float32)
    frames[0].tracks = Tracks(
        np.array([7]), better, ones, found.label, np.array([0]), np.zeros(1, np.float32)
    )
    if table == "with embeddings":  # as the stage `track` leaves them
        frames[0].detections = found.with_embedding(np.ones((1, 4), np.float32))
    elif table == "other rows":
        frames[0].detections = replace(found, xyxy=found.xyxy + np.float32(30))
    before = found.xyxy.copy()
    detector.process_batch(frames[1:2])
    assert frames[1].detections is not None
    assert np.array_equal(found.xyxy, before)
    moved = frames[1].detections.xyxy - before
    # 3.2 px a frame to the right, and the 4 px.
    by_px = 0.0 if table == "other rows" else 4.0
    assert moved[0, 0] == pytest.approx(3.2 + by_px, abs=1.5)
    assert moved[0, 1] == pytest.approx(by_px, abs=1.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0},
        {"every": "often"},
        {"refresh_s": 0},
        {"budget": {"cpu": 1.5}},
        {"budget": {"looks_hz": 0}},
        {"gates": True},
        True,
    ],
)
def test_wrong_options_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        DetectorOptions(spend=wrong)
