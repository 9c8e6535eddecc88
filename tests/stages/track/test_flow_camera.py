import cv2
import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.motion import MotionField
from pipeline.objects import Detections
from pipeline.plugin import StreamInfo
from pipeline.registry import load_plugin
from stages.track.camera import CameraMotion
from stages.track.flow_camera import FlowCamera, camera_of
from stages.track.stage import TrackOptions, TrackStage
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frame, frames, grey
from tests.stages.vision.pictures import luma, moved, texture

SIZE = 640, 360
NONE = np.zeros((0, 4))


def _field(affine: np.ndarray, noise_px: float = 0.2, count: int = 200, strays: float = 0.3) -> MotionField:
    """A field of points that the map has moved, some of which went their own ways."""
    rng = np.random.default_rng(4)
    points = rng.uniform((0, 0), SIZE, (count, 2))
    before = (points - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    shift = points - before + rng.normal(0, noise_px, points.shape)
    stray = rng.random(count) < strays
    shift[stray] += rng.uniform(-20, 20, (int(stray.sum()), 2))
    return MotionField(points, shift / 0.04, 0.04, 25.0)


@pytest.mark.parametrize(
    ("turn", "zoom", "x", "y"), [(0, 1, 8, -3), (0.02, 1, 0, 0), (0, 1.03, -4, 2), (-0.01, 0.98, 5, 5)]
)
def test_the_camera_s_motion_is_what_most_points_do(turn: float, zoom: float, x: float, y: float) -> None:
    a, b = zoom * np.cos(turn), zoom * np.sin(turn)
    affine = np.array([[a, -b, x], [b, a, y]])
    found = camera_of(_field(affine), SIZE, NONE)
    assert found is not None
    corners = np.array([[0, 0, 1], [640, 0, 1], [0, 360, 1], [640, 360, 1]])
    assert corners @ found.T == pytest.approx(corners @ affine.T, abs=0.6)


def test_a_camera_that_stands_stands() -> None:
    assert np.array_equal(camera_of(_field(np.eye(2, 3)), SIZE, NONE), np.eye(2, 3))


def test_points_in_boxes_do_not_count_and_too_few_tell_nothing() -> None:
    field = _field(np.array([[1, 0, 8.0], [0, 1, 0]]))
    assert camera_of(field, SIZE, np.array([[0, 0, 640, 360.0]])) is None
    assert camera_of(_field(np.eye(2, 3), strays=1.0), SIZE, NONE) is None


def test_flow_that_does_not_come_or_skips_pictures_is_a_mistake_of_the_configuration() -> None:
    camera = FlowCamera()
    for index in range(125):
        assert camera.update(None, index / 25, SIZE, NONE) is None
    camera.update(None, 4.99, SIZE, NONE)
    with pytest.raises(ConfigError, match="needs a stage 'flow' before 'track'"):
        camera.update(None, 5.04, SIZE, NONE)
    camera = FlowCamera()
    camera.update(None, 0.0, SIZE, NONE)
    with pytest.raises(ConfigError, match="every_s"):
        camera.update(_field(np.eye(2, 3)), 0.02, SIZE, NONE)


def test_a_slow_camera_and_a_lost_picture_only_tell_nothing() -> None:
    camera = FlowCamera()
    for index in range(20):
        assert camera.update(None, 2.0 * index, SIZE, NONE) is None
    assert camera.update(_field(np.eye(2, 3)), 38.08, SIZE, NONE) is None
    assert camera.update(_field(np.eye(2, 3)), 38.12, SIZE, NONE) is not None


def test_it_agrees_with_the_camera_s_own_measurement_on_a_dashcam() -> None:
    stage = load_plugin("stage", "flow")
    own, apart, seen_both = CameraMotion(), [], 0
    flow = stage(stage.Options(), CONTEXT)
    for index, seen in enumerate(frames(shared("video/dashcam_vehicles_720p.mp4"))):
        if index == 0:
            size = seen.picture.width, seen.picture.height
            flow.open(StreamInfo("test", "test://", "run", *size))
        if index == 40:
            break
        flow.process(seen)
        one = own.update(seen.picture, seen.moment.pts_s)
        other = None if seen.motion is None else camera_of(seen.motion, size, NONE)
        if one is not None and other is not None:
            seen_both += 1
            middle = np.array([size[0] / 2, size[1] / 2, 1])
            apart.append(np.hypot(*((one - other) @ middle)))
    assert seen_both >= 15
    assert np.median(apart) < 2.0


def test_track_takes_it_from_the_frame() -> None:
    flow = load_plugin("stage", "flow")
    ground = texture(360, 640, 3)
    track = TrackStage(TrackOptions(camera_motion="flow", appearance="none", n_init=1), CONTEXT)
    stage = flow(flow.Options(), CONTEXT)
    info = StreamInfo("test", "test://", "run", 640, 360)
    stage.open(info)
    track.open(info)
    ids = set()
    for index in range(12):
        # The camera jerks to and fro by more than the box is wide.
        x = 0 if index % 2 else 30
        picture = luma(moved(ground, np.array([[1, 0, x], [0, 1, 0]], float)), seed=index)
        cv2.rectangle(picture, (300 + x, 150), (316 + x, 190), 250, cv2.FILLED)
        seen = frame(grey(picture), index / 25, index)
        box = np.array([[300 + x, 150, 316 + x, 190]], np.float32)
        seen.detections = Detections(box, np.ones(1, np.float32), np.array(["person"]))
        stage.process(seen)
        track.process(seen)
        assert seen.tracks is not None
        ids.update(seen.tracks.id.tolist())
    assert len(ids) == 1
