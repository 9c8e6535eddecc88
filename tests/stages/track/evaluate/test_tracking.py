"""Trackers are fed as the running pipeline feeds them, and what each part takes is told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import StageError
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, F32Array, Tracks
from pipeline.picture import BgrPicture, Picture
from pipeline.plugin import StageContext, StreamInfo
from stages.track.appearance.builtin import LENGTH
from stages.track.appearance.embedder import Embedder, Look, embedder_of
from stages.track.boxes import FloatArray
from stages.track.evaluate import costs
from stages.track.evaluate.motchallenge import MotSequence, read_sequences
from stages.track.evaluate.run import named_methods
from stages.track.evaluate.tracking import Looking, Looks, TrackerRun, knows_camera, looking_of, run_trackers
from stages.track.methods import make_tracker
from stages.track.stage import TrackOptions, TrackStage
from tests.stages.track.appearance.test_reid import model_file
from tests.stages.track.evaluate.folders import FRAMES, detected, info, truth15, write_sequence
from tests.stages.track.evaluate.street import street


class Faithful:
    """Reports every detection, as object 1 and so on, and remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Detections, float, FloatArray | None]] = []

    def update(self, detections: Detections, pts_s: float, *, camera: FloatArray | None = None) -> Tracks:
        self.given.append((detections, pts_s, camera))
        n = len(detections)
        ids = np.arange(1, n + 1)
        return Tracks(ids, detections.xyxy, detections.score, detections.label, ids - 1, np.zeros(n))


class Refusing:
    def update(self, detections: Detections, pts_s: float, *, camera: FloatArray | None = None) -> Tracks:
        raise ValueError("no thanks")


class Slow(Embedder):
    """Takes its time, so that it shows where that is counted."""

    def of(self, picture: Picture) -> Look:
        look = super().of(picture)

        def slowly(xyxy: F32Array) -> F32Array:
            for _ in range(15):
                look(xyxy)
            return look(xyxy)

        return slowly


@pytest.fixture
def sequence(tmp_path: Path) -> MotSequence:
    (read,) = read_sequences([write_sequence(tmp_path / "s", truth15(), detected(), info(rate="8"))])
    return read


def staged(sequence: MotSequence, **options: Any) -> FloatArray:
    """What the stage `track` says of the sequence, as `TrackerRun.rows` has it."""
    stage = TrackStage(TrackOptions(**options), StageContext("s"))
    stage.open(StreamInfo("s", "file", "run", 320, 200))
    assert sequence.pictures is not None
    assert sequence.detections is not None
    rows = [np.empty((0, 6))]
    for number, bgr in enumerate(sequence.pictures.read(sequence.frames), 1):
        pts_s = sequence.pts_s(number)
        moment = Moment(pts_s, round(pts_s * 1e9), Clock.FILE)
        frame = Frame("s", "run", number, moment, BgrPicture(bgr), detections=sequence.detections.of(number))
        stage.process(frame)
        assert frame.tracks is not None
        xyxy = frame.tracks.xyxy.astype(np.float64)
        head = np.column_stack([np.full(len(xyxy), number), frame.tracks.id])
        rows.append(np.concatenate([head, xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1))
    return np.concatenate(rows)


@pytest.mark.parametrize(
    ("appearance", "width", "pan_px"),
    [
        (None, 320, 0),
        ("none", 320, 0),
        ("builtin", 320, 0),
        ("builtin", 1280, 3),  # looked at in half the size, before a camera that moves
        ("network", 320, 3),
    ],
)
def test_as_the_stage_does_it(appearance: Any, width: int, pan_px: float, tmp_path: Path) -> None:
    methods = ["sightline", "deepsort", "botsort", "sort"]
    if appearance == "network":
        said = {"limit": 0.11, "mean": [0.5] * 3, "std": [0.2] * 3, "channels": "rgb"}
        appearance = model_file(tmp_path / "m.onnx", metadata=json.dumps(said))
    pictured = street(tmp_path / "s", width=width, pan_px=pan_px)
    embedder = embedder_of(appearance or "builtin")
    runs = run_trackers(
        pictured,
        {name: make(embedder) for name, make in named_methods(methods).items()},
        embedder=embedder,
        requested=appearance is not None,
        camera_motion=pan_px > 0,
    )
    for method, got in runs.items():
        camera = pan_px > 0 and method != "sort"
        wanted = staged(pictured, method=method, appearance=appearance, camera_motion=camera)
        assert len(wanted) > 20
        np.testing.assert_array_equal(got.rows[:, :2], wanted[:, :2], method)
        np.testing.assert_allclose(got.rows[:, 2:6], wanted[:, 2:], atol=0.0051, err_msg=method)
        assert (got.camera_s is not None) is camera
        looks = method in ("sightline", "deepsort") if appearance is None else method != "sort"
        assert (got.looks is not None) is (looks and appearance != "none")


@pytest.mark.parametrize(
    ("method", "settings", "requested", "looking"),
    [
        ("sightline", {}, False, Looking.FEW),
        ("deepsort", {}, False, Looking.ALL),
        ("botsort", {}, False, Looking.NEVER),
        ("botsort", {}, True, Looking.ALL),
        ("bytetrack", {}, True, Looking.NEVER),
        ("bytetrack", {"appearance": 0.8}, True, Looking.ALL),
        ("sort", {}, True, Looking.NEVER),
        ("ocsort", {}, True, Looking.NEVER),
    ],
)
def test_who_looks(method: str, settings: dict[str, Any], requested: bool, looking: Looking) -> None:
    tracker = make_tracker(method, **settings)
    assert looking_of(tracker, Embedder(None), requested) is looking
    assert looking_of(tracker, None, requested) is Looking.NEVER


@pytest.mark.parametrize(
    ("method", "knows"),
    [
        ("sightline", True),
        ("deepsort", True),
        ("botsort", True),
        ("sort", False),
        ("bytetrack", False),
        ("ocsort", False),
    ],
)
def test_who_knows_the_camera(method: str, knows: bool) -> None:
    assert knows_camera(make_tracker(method)) is knows


def test_trackers_get_every_frame_at_its_true_time(sequence: MotSequence) -> None:
    trackers = {"a": Faithful(), "b": Faithful()}
    runs = run_trackers(sequence, trackers)
    for name, tracker in trackers.items():
        times = [pts_s for _, pts_s, _ in tracker.given]
        assert times == [(frame - 1) / 8 for frame in range(1, FRAMES + 1)]
        assert all(found.embedding is None and camera is None for found, _, camera in tracker.given)
        run = runs[name]
        assert run.rows[:, 0].tolist() == list(range(1, FRAMES + 1))
        np.testing.assert_array_equal(run.rows[0], [1, 1, 105, 50, 40, 80, 1])
        assert run.update_s.shape == (FRAMES,)
        assert (run.update_s > 0).all()
        assert run.boxes.tolist() == [1] * FRAMES
        assert run.looks is run.camera_s is None


def test_a_tracker_from_elsewhere_gets_all_there_is(tmp_path: Path) -> None:
    pictured = street(tmp_path / "s", pan_px=3, frames=8)
    tracker = Faithful()
    run = run_trackers(pictured, {"a": tracker}, embedder=Embedder(None), camera_motion=True)["a"]
    assert run.looks is not None
    assert run.looks.boxes.tolist() == run.boxes.tolist() == [3] * 8
    assert (run.looks.seconds > 0).all()
    assert all(found.embedding is not None for found, _, _ in tracker.given)
    assert {found.embedding.shape for found, _, _ in tracker.given if found.embedding is not None} == {
        (3, LENGTH)
    }
    assert run.camera_s is not None
    assert (run.camera_s > 0).all()
    assert tracker.given[0][2] is None
    shifts = [camera[0, 2] for _, _, camera in tracker.given[1:] if camera is not None]
    assert shifts == pytest.approx([-3] * 7, abs=0.3)


def test_a_camera_that_stands_is_told_as_the_identity(tmp_path: Path) -> None:
    tracker = Faithful()
    run_trackers(street(tmp_path / "s", frames=4), {"a": tracker}, camera_motion=True)
    cameras = [camera for _, _, camera in tracker.given]
    assert cameras[0] is None
    for camera in cameras[1:]:
        np.testing.assert_array_equal(camera, np.eye(2, 3))


def test_looking_is_no_part_of_the_trackers_time(tmp_path: Path) -> None:
    """Describing boxes 16 times over takes far longer than tracking three of them."""
    pictured = street(tmp_path / "s")
    trackers = {name: make_tracker(name) for name in ("sightline", "deepsort")}
    runs = run_trackers(pictured, trackers, embedder=Slow(None))
    for name, run in runs.items():
        assert run.looks is not None
        looked = run.looks.boxes > 0
        assert looked.any()
        share = run.update_s[looked].sum() / run.looks.seconds[looked].sum()
        assert share < 0.5, name
        assert (run.update_s > 0).all()
        assert (run.looks.boxes <= run.boxes).all()


def test_boxes_nobody_asked_for_are_not_described(tmp_path: Path) -> None:
    pictured = street(tmp_path / "s", frames=12)
    asked: list[int] = []

    class Counting(Embedder):
        def of(self, picture: Picture) -> Look:
            look = super().of(picture)

            def counted(xyxy: F32Array) -> F32Array:
                asked.append(len(xyxy))
                return look(xyxy)

            return counted

    embedder: Embedder = Counting(None)
    run = run_trackers(pictured, {"s": make_tracker("sightline")}, embedder=embedder)["s"]
    assert run.looks is not None
    assert run.looks.boxes.sum() == sum(asked) > 0


def test_low_scores_can_be_left_out(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "t", truth15(), [*detected(0.4)[:3], *detected()[3:]])
    (other,) = read_sequences([folder])
    run = run_trackers(other, {"a": Faithful()}, min_score=0.5)["a"]
    assert run.boxes.sum() == len(run.rows) == FRAMES - 3


def test_what_a_tracker_refuses_is_said_with_its_place(sequence: MotSequence) -> None:
    with pytest.raises(StageError, match=r"method 'r': s, frame 1: no thanks"):
        run_trackers(sequence, {"r": Refusing()})


@pytest.mark.parametrize("asked", [{"embedder": Embedder(None)}, {"camera_motion": True}])
def test_pictures_that_are_needed_and_missing(asked: dict[str, Any], sequence: MotSequence) -> None:
    with pytest.raises(ValueError, match="s has no pictures"):
        run_trackers(sequence, {"a": Faithful()}, **asked)


def test_costs_of_several_runs_are_pooled() -> None:
    def run(ms: list[float], boxes: list[int], looks: Looks | None) -> TrackerRun:
        return TrackerRun(np.empty((0, 7)), np.array(ms) / 1e3, np.array(boxes), looks)

    looked = run([1, 3], [2, 8], Looks(np.array([0.01, 0.0]), np.array([1, 0])))
    blind = run([2, 2], [50, 50], None)
    assert costs.update_ms([looked, blind]) == {"median": 2.0, "p99": pytest.approx(2.97), "mean": 2.0}
    assert costs.look_ms([looked, blind]) == {"median": 5.0, "p99": pytest.approx(9.9), "mean": 5.0}
    assert costs.looked_share([looked, blind]) == 0.1  # of the boxes that could be described
    assert costs.looked_share([blind]) is costs.look_ms([blind]) is costs.camera_ms([looked]) is None
