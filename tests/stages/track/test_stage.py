"""The stage `track`: from a frame's detections to its tracks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError, ModelError, SourceError
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections
from pipeline.picture import BgrPicture, Picture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.registry import load_plugin
from stages.track.methods import METHODS
from stages.track.stage import TrackOptions, TrackStage
from tests.shared_data import shared

BOX = (100, 60, 160, 240)


class UntouchedPicture(Picture):
    """A picture that nobody may look at."""

    nbytes = 0

    def luma(self) -> Any:
        raise AssertionError("luma")

    def _convert(self, width: int, height: int) -> Any:
        raise AssertionError("bgr")


def stage(**options: Any) -> TrackStage:
    made = TrackStage(TrackOptions(**options), StageContext("door"))
    made.open(StreamInfo("door", "file.mp4", "run", 320, 300))
    return made


def frame(
    sequence: int, boxes: list[tuple[float, ...]], picture: Picture | None = None, **fields: Any
) -> Frame:
    pts_s = fields.pop("pts_s", sequence / 25)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    n = len(xyxy)
    detections = Detections(xyxy, np.full(n, 0.8), np.full(n, "person"), fields.pop("embedding", None))
    moment = Moment(pts_s, round(pts_s * 1e9), Clock.FILE)
    return Frame(
        "door",
        fields.pop("run", "run"),
        sequence,
        moment,
        picture or painted(),
        detections=detections,
        **fields,
    )


def painted(*people: tuple[int, tuple[int, int, int]], size: tuple[int, int] = (300, 900)) -> Picture:
    """A grey picture with people at x, each of one colour."""
    bgr = np.full((*size, 3), 110, np.uint8)
    for x, colour in people:
        bgr[60:240, x : x + 60] = colour
    return BgrPicture(bgr)


def test_it_is_registered() -> None:
    assert load_plugin("stage", "track") is TrackStage


def test_tracks_are_set_and_link_to_detections() -> None:
    tracker = stage()
    for k in range(5):
        now = frame(k, [(400 + k, 60, 460 + k, 240), (100, 60, 160, 240)])
        tracker.process(now)
        assert now.tracks is not None
    assert now.tracks.id.tolist() == [1, 2]
    assert now.tracks.detection.tolist() == [0, 1]
    assert now.tracks.label.tolist() == ["person", "person"]


RED, BLUE = (40, 40, 200), (200, 60, 40)


@pytest.mark.parametrize("width", [900, 1280], ids=["full size", "halved"])
@pytest.mark.parametrize(("appearance", "ids"), [("builtin", [2, 1]), ("none", [1, 2])])
def test_the_builtin_embedding_tells_colours_apart(width: int, appearance: str, ids: list[int]) -> None:
    """Two people are hidden for a second and come back with their places exchanged."""
    tracker = stage(appearance=appearance, n_init=2)
    boxes = [(100, 60, 160, 240), (200, 60, 260, 240)]
    for k in range(10):
        tracker.process(frame(k, boxes, painted((100, RED), (200, BLUE), size=(300, width))))
    back = frame(35, boxes, painted((100, BLUE), (200, RED), size=(300, width)))
    for k in range(10, 35):
        tracker.process(frame(k, [], painted(size=(300, width))))
    tracker.process(back)
    assert back.tracks is not None
    assert dict(zip(back.tracks.detection.tolist(), back.tracks.id.tolist(), strict=True)) == dict(
        enumerate(ids)
    )


@pytest.mark.parametrize(
    ("what", "options", "boxes", "embedding"),
    [
        ("no appearance wanted", {"appearance": "none"}, [BOX], None),
        ("the detector has embeddings", {}, [BOX], np.ones((1, 16), np.float32)),
        ("nothing detected", {}, [], None),
    ],
)
def test_the_picture_is_left_alone(what: str, options: dict[str, Any], boxes: Any, embedding: Any) -> None:
    now = frame(0, boxes, UntouchedPicture(1920, 1080), embedding=embedding)
    stage(n_init=1, **options).process(now)
    assert now.tracks is not None, what
    assert len(now.tracks) == len(boxes), what


def test_a_new_run_begins_with_new_tracks() -> None:
    tracker = stage()
    for run in ("monday", "tuesday"):
        for k in range(4):
            now = frame(k, [BOX], run=run)
            tracker.process(now)
        assert now.tracks is not None
        assert now.tracks.id.tolist() == [1]


def test_empty_frames_before_the_first_embedding_change_nothing() -> None:
    """The limit that suits the embeddings is chosen when the first detection comes."""
    looks = np.array([[1.0, 0.0]], np.float32)
    changed = np.array([[0.9, 0.436]], np.float32)  # a cosine distance of 0.1: within 0.2, beyond 0.05
    tracker = stage(method="deepsort", n_init=2)
    tracker.process(frame(0, []))
    for k in (1, 2, 3):
        tracker.process(frame(k, [BOX], embedding=looks))
    # Far enough for no overlap, near enough for the gate.
    later = frame(20, [(170, 60, 230, 240)], embedding=changed)
    tracker.process(later)
    assert later.tracks is not None
    assert later.tracks.id.tolist() == [1]


def test_a_missing_detector_is_told() -> None:
    now = frame(0, [])
    now.detections = None
    with pytest.raises(ConfigError, match="stage 'track' needs detections; put a detector"):
        stage().process(now)


def test_time_that_stands_still_is_told() -> None:
    tracker = stage()
    tracker.process(frame(0, [BOX], pts_s=1.5))
    with pytest.raises(SourceError, match=r"picture 1: time must advance: a frame at 1\.5 s"):
        tracker.process(frame(1, [BOX], pts_s=1.5))


@pytest.mark.parametrize(
    "options",
    [
        {"max_age_s": -1},
        {"max_age_s": float("inf")},
        {"n_init": 0},
        {"method": "deepsort", "max_cosine_distance": 0},
        {"method": "deepsort", "max_iou_distance": 1.5},
        {"appearance": "network"},
        {"max_tracks": 0},
        {"max_age": 30},
        {"method": "centertrack"},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrackOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_cosine_distance": 0.2}, "method 'sightline' has no setting 'max_cosine_distance'"),
        ({"method": "sort", "min_score": 0.5}, "method 'sort' has no setting 'min_score'"),
        ({"method": "ocsort", "camera_motion": True}, "method 'ocsort' knows no camera motion"),
        ({"appearance": "osnet.pt"}, "'builtin', 'none', or the path of an .onnx file"),
    ],
)
def test_options_that_do_not_fit_each_other_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrackOptions(**options)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_follows_an_object(method: str) -> None:
    tracker = stage(method=method, max_age_s=1.0)
    for k in range(10):
        now = frame(k, [(100 + 2 * k, 60, 160 + 2 * k, 240)])
        tracker.process(now)
    assert now.tracks is not None
    assert now.tracks.id.tolist() == [1]
    assert now.tracks.detection.tolist() == [0]


def test_a_network_that_is_missing_is_told() -> None:
    with pytest.raises(ModelError, match=r"no-such\.onnx"):
        stage(appearance="no-such.onnx")


def test_a_network_tells_people_apart() -> None:
    """Boxes of two real people, as far as the network can know: it is asked, and its answers are used."""
    tracker = stage(appearance=str(shared("weights/osnet_x0_25_msmt17.onnx")), n_init=2)
    boxes = [(100, 60, 160, 240), (200, 60, 260, 240)]
    for k in range(10):
        tracker.process(frame(k, boxes, painted((100, RED), (200, BLUE))))
    for k in range(10, 35):
        tracker.process(frame(k, [], painted()))
    back = frame(35, boxes, painted((100, BLUE), (200, RED)))
    tracker.process(back)
    assert back.tracks is not None
    assert dict(zip(back.tracks.detection.tolist(), back.tracks.id.tolist(), strict=True)) == {0: 2, 1: 1}


@pytest.mark.parametrize(("camera_motion", "ids"), [(True, [1]), (False, [2])])
def test_a_camera_that_swings_round(camera_motion: bool, ids: list[int]) -> None:
    """One object only, so that nothing but the picture tells that the camera moved."""
    rng = np.random.default_rng(5)
    world = np.kron(rng.integers(40, 220, (40, 200, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    tracker = stage(camera_motion=camera_motion, appearance="none", n_init=1)
    for k in range(12):
        left = 0 if k < 8 else 90 * (k - 7)
        now = frame(k, [(600 - left, 60, 660 - left, 240)], BgrPicture(world[:300, left : left + 900].copy()))
        tracker.process(now)
    assert now.tracks is not None
    assert now.tracks.id.tolist() == ids


def test_tracks_outlive_a_reconnect_while_media_time_goes_on() -> None:
    tracker = stage()
    for k, run in enumerate(["before"] * 4 + ["after"] * 4):
        now = frame(k + (20 if run == "after" else 0), [BOX], run=run)
        tracker.process(now)
    assert now.tracks is not None
    assert now.tracks.id.tolist() == [1]


@pytest.mark.parametrize("method", ["sightline", "deepsort"])
def test_what_was_described_is_left_on_the_detections(method: str) -> None:
    """`sightline` looks only where it must: rows of zeros were not described."""
    tracker, described = stage(method=method, appearance="builtin"), 0
    for sequence in range(6):
        shown = frame(sequence, [BOX, (190, 60, 250, 240)])
        tracker.process(shown)
        assert shown.detections is not None
        if shown.detections.embedding is not None:
            assert shown.detections.embedding.shape == (2, 128)
            lengths = np.linalg.norm(shown.detections.embedding, axis=1)
            assert all(length == pytest.approx(1) or length == 0 for length in lengths)
            described += int((lengths > 0).sum())
    assert described == 12 if method == "deepsort" else 2 <= described <= 12


def test_without_looks_the_detections_stay_as_they_are() -> None:
    shown = frame(0, [BOX], UntouchedPicture(320, 300))
    before = shown.detections
    stage(appearance="none").process(shown)
    assert shown.detections is before


@pytest.mark.parametrize("appearance", ["builtin", "none"])
def test_who_is_lost_between_two_looks_is_reported_until_the_second(appearance: str) -> None:
    """A detector that looks at every 10th picture; optical flow loses the box after 3."""
    tracker = stage(appearance=appearance)
    reported = []
    for k in range(20):
        seen = frame(k, [BOX] if k <= 3 else [], carried_s=k % 10 / 25)
        tracker.process(seen)
        assert seen.tracks is not None
        reported.append(len(seen.tracks))
    assert reported == [0, 0] + [1] * 8 + [0] * 10
