"""Camera motion on warped pictures with a known answer, and on recordings from still and moving cameras."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import cv2
import numpy as np
import pytest

from pipeline.picture import BgrPicture, Picture, U8Array, YuvPicture
from stages.track.affine import compose, identity, invert, largest_shift, warp_points
from stages.track.boxes import FloatArray
from stages.track.camera import CameraMotion, Verdict
from tests.shared_data import shared

STEP_S = 0.04
SIZES = [
    (640, 360),
    pytest.param(1280, 720, marks=pytest.mark.slow),
    pytest.param(1920, 1080, marks=pytest.mark.slow),
]


@cache
def texture(width: int, height: int, seed: int = 0) -> U8Array:
    """Noise of several sizes, like foliage and asphalt."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width))
    for grain in (2, 4, 8, 16, 32):
        noise = rng.normal(size=(height // grain + 2, width // grain + 2))
        picture += grain**0.3 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    picture *= 45 / max(float(picture.std()), 1e-9)
    return np.clip(128 + picture - picture.mean(), 0, 255).astype(np.uint8)


@cache
def scene(name: str, width: int, height: int) -> U8Array:
    """A picture larger than the camera's, so that warps bring in real content at its borders."""
    size = (width * 3 // 2, height * 8 // 5)
    if name == "texture":
        return texture(*size)
    luma = next(recording("video/dashcam_vehicles_720p.mp4")).luma()
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def motion(
    width: int, height: int, x: float = 0.0, y: float = 0.0, degrees: float = 0.0, scale: float = 1.0
) -> FloatArray:
    """A turn and zoom about the picture's middle, and a shift."""
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    matrix, middle = np.array([[c, -s], [s, c]]), np.array([width / 2, height / 2])
    return np.column_stack([matrix, middle - matrix @ middle + [x, y]])


def seen(name: str, pose: FloatArray, width: int, height: int) -> U8Array:
    """The scene as a camera sees it whose picture is moved by `pose`."""
    canvas = scene(name, width, height)
    border = np.array([[1.0, 0, (width - canvas.shape[1]) // 2], [0, 1.0, (height - canvas.shape[0]) // 2]])
    whole = compose(border, pose)
    # OpenCV counts from the middle of pixels, the poses from their corners.
    whole[:, 2] += whole[:, :2] @ [0.5, 0.5] - 0.5
    return np.asarray(cv2.warpAffine(canvas, whole, (width, height)), np.uint8)


def picture(luma: U8Array, noise_seed: int | None = None) -> Picture:
    """As a decoder delivers it; with noise of 2 levels when there is a seed."""
    if noise_seed is not None:
        noise = np.random.default_rng(noise_seed).normal(0, 2, luma.shape)
        luma = np.clip(np.rint(luma + noise), 0, 255).astype(np.uint8)
    chroma = np.full(((luma.shape[0] + 1) // 2, (luma.shape[1] + 1) // 2), 128, np.uint8)
    return YuvPicture(luma, chroma, chroma)


def recording(relative: str, limit: int | None = None) -> Iterator[Picture]:
    capture = cv2.VideoCapture(str(shared(relative)))
    count = 0
    while limit is None or count < limit:
        good, bgr = capture.read()
        if not good:
            return
        count += 1
        yield BgrPicture(np.asarray(bgr, np.uint8))


def follow(
    pictures: list[U8Array], boxes: FloatArray | None = None
) -> tuple[list[FloatArray | None], list[Verdict]]:
    camera, maps, verdicts = CameraMotion(), [], []
    for k, luma in enumerate(pictures):
        maps.append(camera.update(picture(luma, noise_seed=k), k * STEP_S, boxes))
        verdicts.append(camera.verdict)
    return maps, verdicts


def error(found: FloatArray | None, true: FloatArray, width: int, height: int) -> float:
    """How far off, in px of the full picture, its worst corner is."""
    return largest_shift(compose(invert(true), identity() if found is None else found), width, height)


# Bounds are about twice what was measured, in px at the worst corner; "still" is right, too, for what moves
# less than 0.1 px in the reduced picture.
@pytest.mark.parametrize("name", ["texture", "real"])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("how", "bound"),
    [
        ({"x": 0.3}, 0.4),
        ({"x": 1.0, "y": -0.5}, 0.5),
        ({"x": 5.0, "y": 2.0}, 0.5),
        ({"x": 20.0, "y": -8.0}, 0.6),
        ({"x": 60.0}, 0.4),
        ({"x": -100.0, "y": 40.0}, 0.5),
        ({"degrees": 0.1}, 0.6),
        ({"degrees": 1.0}, 0.5),
        ({"degrees": 5.0}, 0.7),
        ({"degrees": -10.0}, 3.0),
        ({"scale": 1.002}, 0.5),
        ({"scale": 1.02}, 0.5),
        ({"scale": 1.1}, 0.8),
        ({"scale": 0.9}, 1.3),
        ({"x": 12.0, "y": 5.0, "degrees": 2.0, "scale": 1.03}, 0.7),
    ],
)
def test_known_motion(name: str, width: int, height: int, how: dict[str, float], bound: float) -> None:
    true = motion(width, height, **how)
    maps, verdicts = follow([seen(name, pose, width, height) for pose in (identity(), true)])
    assert maps[0] is None
    assert verdicts[0] is Verdict.START
    assert error(maps[1], true, width, height) < bound


def test_shake_adds_up_without_drift() -> None:
    """Two seconds of hand-held shake: the composed maps stay with the true pose to a pixel."""
    rng = np.random.default_rng(0)
    width, height, walked = 640, 360, identity()
    poses = [identity()] + [
        motion(width, height, *rng.normal(0, 5, 2), rng.normal(0, 0.5), 1 + rng.normal(0, 0.005))
        for _ in range(50)
    ]
    maps, verdicts = follow([seen("texture", pose, width, height) for pose in poses])
    for k, (pose, found) in enumerate(zip(poses, maps, strict=True)):
        walked = walked if found is None else compose(walked, found)
        assert error(walked, pose, width, height) < 1.5, f"picture {k}"
    assert set(verdicts[1:]) == {Verdict.MOVING}


def test_slow_motion_adds_up_until_it_shows() -> None:
    """A pan of 0.08 px a picture is nothing from one to the next, and 4 px in two seconds."""
    width, height, walked = 640, 360, identity()
    poses = [motion(width, height, 0.08 * k) for k in range(51)]
    maps, verdicts = follow([seen("texture", pose, width, height) for pose in poses])
    for found in maps:
        walked = walked if found is None else compose(walked, found)
    assert error(walked, poses[-1], width, height) < 0.5
    assert verdicts.count(Verdict.STILL) > 25


def with_lorry(luma: U8Array, share: float, x: int) -> U8Array:
    """Paint a textured lorry over `share` of the picture, its left side at x."""
    height, width = luma.shape
    side = math.sqrt(share)
    lorry = texture(round(width * side), round(height * side), seed=7)
    painted = luma.copy()
    left, right = max(x, 0), min(x + lorry.shape[1], width)
    painted[height - lorry.shape[0] :, left:right] = lorry[:, left - x : right - x]
    return painted


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("speed", [3, 15])
@pytest.mark.parametrize("name", ["texture", "real"])
def test_a_lorry_moves_no_standing_camera(name: str, speed: int, share: float) -> None:
    still = seen(name, identity(), 640, 360)
    maps, verdicts = follow([with_lorry(still, share, 40 + speed * k) for k in range(8)])
    assert maps == [None] * 8
    assert verdicts[1:] == [Verdict.STILL] * 7


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("told", [False, True], ids=["unknown", "box given"])
def test_a_lorry_does_not_disturb_a_pan(share: float, told: bool) -> None:
    pan = [motion(640, 360, -6.0 * k, 1.0 * k) for k in range(8)]
    pictures = [with_lorry(seen("texture", pose, 640, 360), share, 40 + 9 * k) for k, pose in enumerate(pan)]
    side = math.sqrt(share)
    box = np.array([[40.0, 360 * (1 - side), 110 + 640 * side, 360.0]]) if told else None
    maps, verdicts = follow(pictures, box)
    assert verdicts[1:] == [Verdict.MOVING] * 7
    for before, after, found in zip(pan[:-1], pan[1:], maps[1:], strict=True):
        assert error(found, compose(invert(before), after), 640, 360) < 0.6


def test_a_picture_full_of_boxes_says_nothing() -> None:
    maps, verdicts = follow([seen("texture", identity(), 640, 360)] * 3, np.array([[0.0, 0.0, 640.0, 360.0]]))
    assert maps == [None] * 3
    assert verdicts == [Verdict.START, Verdict.BLANK, Verdict.BLANK]


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0), (1.4, 0), (1.0, 40), (0.7, 50)])
@pytest.mark.parametrize("x", [0.0, 9.0])
def test_a_change_of_exposure_is_no_motion(gain: float, offset: float, x: float) -> None:
    after = seen("texture", motion(640, 360, x), 640, 360)
    exposed = np.clip(gain * after + offset, 0, 255).astype(np.uint8)
    maps, verdicts = follow([seen("texture", identity(), 640, 360), exposed])
    assert verdicts[1] is (Verdict.MOVING if x else Verdict.STILL)
    assert error(maps[1], motion(640, 360, x), 640, 360) < 0.5


def test_a_cut_is_no_motion() -> None:
    one, other = texture(640, 360, seed=1), texture(640, 360, seed=2)
    maps, verdicts = follow([one, one, other, other, one])
    assert maps == [None] * 5
    assert verdicts == [Verdict.START, Verdict.STILL, Verdict.LOST, Verdict.STILL, Verdict.LOST]


@pytest.mark.parametrize("level", [0, 16, 255])
def test_a_blackout_is_no_motion(level: int) -> None:
    scenery, blank = seen("texture", identity(), 640, 360), np.full((360, 640), level, np.uint8)
    camera, verdicts = CameraMotion(), []
    for k, luma in enumerate([scenery, blank, blank, scenery, scenery]):
        assert camera.update(picture(luma), k * STEP_S) is None
        verdicts.append(camera.verdict)
    assert verdicts == [Verdict.START, Verdict.LOST, Verdict.BLANK, Verdict.BLANK, Verdict.STILL]


@pytest.mark.parametrize(("x", "verdict"), [(0.0, Verdict.STILL), (8.0, Verdict.GAP)])
def test_across_a_gap_only_standing_still_can_be_told(x: float, verdict: Verdict) -> None:
    camera = CameraMotion()
    camera.update(picture(seen("texture", identity(), 640, 360)), 0.0)
    assert camera.update(picture(seen("texture", motion(640, 360, x), 640, 360)), 60.0) is None
    assert camera.verdict is verdict


def test_another_size_begins_afresh() -> None:
    camera = CameraMotion()
    for k, (width, height) in enumerate([(640, 360), (1280, 720), (640, 480)]):
        camera.update(picture(texture(width, height)), float(k))
        assert camera.verdict is (Verdict.START if k != 1 else Verdict.LOST)


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (2, 2), (7, 5), (16, 16), (40, 3), (3, 700), (641, 359), (4000, 12)]
)
def test_any_size_of_picture(width: int, height: int) -> None:
    camera = CameraMotion()
    for k in range(4):
        found = camera.update(picture(np.roll(texture(width, height), k, axis=1)), k * STEP_S)
        assert found is None or np.isfinite(found).all()


@pytest.mark.parametrize("pts_s", [1.0, 0.5, math.nan, math.inf])
def test_time_must_advance(pts_s: float) -> None:
    camera, luma = CameraMotion(), texture(320, 180)
    camera.update(picture(luma), 1.0)
    with pytest.raises(ValueError, match="time must advance"):
        camera.update(picture(luma), pts_s)
    camera.update(picture(luma), 1.1)
    assert camera.verdict is Verdict.STILL


@pytest.mark.parametrize("boxes", [np.zeros(4), np.zeros((2, 5))])
def test_boxes_of_another_shape_are_refused(boxes: FloatArray) -> None:
    with pytest.raises(ValueError, match="boxes are"):
        CameraMotion().update(picture(texture(320, 180)), 0.0, boxes)


def test_the_decoders_buffer_is_not_held() -> None:
    """A small picture is not reduced; it must be copied, since decoders use their buffers again."""
    camera, buffer = CameraMotion(), texture(320, 180).copy()
    camera.update(picture(buffer), 0.0)
    buffer[:] = 0
    assert camera.update(picture(texture(320, 180)), STEP_S) is None
    assert camera.verdict is Verdict.STILL


@pytest.mark.parametrize(
    ("clip", "limit", "allowed"),
    [
        ("video/traffic_a.mp4", 250, 0),
        ("mot15/TUD-Campus/TUD-Campus.mp4", 71, 0),
        pytest.param("mot15/TUD-Stadtmitte/TUD-Stadtmitte.mp4", 179, 0, marks=pytest.mark.slow),
    ],
)
def test_a_still_camera_stands_whatever_moves_before_it(clip: str, limit: int, allowed: int) -> None:
    camera, verdicts = CameraMotion(), []
    for k, shot in enumerate(recording(clip, limit)):
        camera.update(shot, k * STEP_S)
        verdicts.append(camera.verdict)
    assert len(verdicts) == limit
    assert sum(verdict is not Verdict.STILL for verdict in verdicts[1:]) <= allowed


@pytest.mark.slow
def test_a_swaying_pole_is_followed_through_jumps_of_exposure() -> None:
    """The camera of this clip sways by some px; the added-up maps agree with the first picture throughout.

    Cars that fill half the picture pass, and the exposure halves and doubles.
    """
    camera, walked, worst, lost = CameraMotion(), identity(), 0.0, 0
    first: U8Array | None = None
    for k, shot in enumerate(recording("video/car-detection.mp4", 160)):
        found = camera.update(shot, k * 0.08)
        lost += camera.verdict is Verdict.LOST
        if found is not None:
            walked = compose(walked, found)
            worst = max(worst, largest_shift(found, shot.width, shot.height))
        if first is None:
            first = shot.luma()
    assert first is not None
    assert lost <= 2
    assert worst < 3.0
    # Registered directly, by another method and at full size, the last picture lies 6 to 8 px to the right.
    start = np.eye(2, 3, dtype=np.float32)
    _, direct = cv2.findTransformECC(first, shot.luma(), start, cv2.MOTION_EUCLIDEAN)
    middle = np.array([[shot.width / 2, shot.height / 2]])
    apart = warp_points(middle, walked) - warp_points(middle, np.asarray(direct, np.float64))
    assert np.hypot(*apart[0]) < 1.0


@pytest.mark.parametrize(
    ("clip", "gain"),
    [
        ("video/dashcam_motorway.mp4", 1.5),
        pytest.param("video/dashcam_vehicles_720p.mp4", 1.2, marks=pytest.mark.slow),
    ],
)
def test_a_dashcams_motion_explains_features_it_has_not_seen(clip: str, gain: float) -> None:
    """Features found and followed apart, at full size, are nearer to where the map puts them than to where
    they were.
    """
    camera, without, left = CameraMotion(), [], []
    before: U8Array | None = None
    for k, shot in enumerate(recording(clip, 38)):
        found = camera.update(shot, k * STEP_S)
        after = shot.luma()
        if before is not None and found is not None and k % 2 == 0:
            source, target = followed(before, after)
            without.append(np.median(np.hypot(*(target - source).T)))
            left.append(np.median(np.hypot(*(target - warp_points(source, found)).T)))
        before = after
    assert len(left) >= 15
    assert np.mean(without) > gain * np.mean(left)


def followed(before: U8Array, after: U8Array) -> tuple[FloatArray, FloatArray]:
    """Corners of the full picture that Lucas-Kanade finds again, and its way back to them within 0.3 px."""
    source = cv2.goodFeaturesToTrack(before, 150, 0.01, 20)
    target, there, _ = cv2.calcOpticalFlowPyrLK(before, after, source, np.empty_like(source))
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, target, np.empty_like(source))
    good = (there[:, 0] > 0) & (again[:, 0] > 0) & (np.abs(back - source).max(axis=(1, 2)) < 0.3)
    return source[good, 0].astype(np.float64), target[good, 0].astype(np.float64)


def answers(clip: str, limit: int) -> bytes:
    camera = CameraMotion()
    maps = [camera.update(shot, k * STEP_S) for k, shot in enumerate(recording(clip, limit))]
    return b"".join(b"-" if found is None else found.tobytes() for found in maps)


def test_equal_pictures_give_equal_bytes_also_in_other_threads() -> None:
    clip = "video/dashcam_vehicles_720p.mp4"
    alone = answers(clip, 12)
    assert len(alone) > 8 * 48
    cv2.setRNGSeed(12345)
    with ThreadPoolExecutor(2) as pool:
        beside = [pool.submit(answers, clip, 12) for _ in range(2)]
    assert {alone} == {answers(clip, 12), *(future.result() for future in beside)}
