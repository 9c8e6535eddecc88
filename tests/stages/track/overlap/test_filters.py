"""The block form is the published 7- and 8-dimensional filters, exact to rounding."""

from __future__ import annotations

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.track.overlap.filters import FILTERS, warp_boxes, zoom_of

NAMES = ["xysr", "xyah", "xywh"]
BOX = st.tuples(st.floats(-2e3, 2e3), st.floats(-2e3, 2e3), st.floats(5, 800), st.floats(5, 800))
HISTORY = st.lists(st.tuples(st.sampled_from([1.0, 0.25, 3.0]), BOX, st.booleans()), min_size=1, max_size=10)


def corners(box: tuple[float, ...]) -> np.ndarray:
    x, y, w, h = box
    return np.array([[x - w / 2, y - h / 2, x + w / 2, y + h / 2]])


def measured(name: str, box: tuple[float, ...]) -> np.ndarray:
    x, y, w, h = box
    return np.array({"xysr": [x, y, w * h, w / h], "xyah": [x, y, w / h, h], "xywh": [x, y, w, h]}[name])


def stds(name: str, z: np.ndarray, weight: float, aspect: float) -> np.ndarray:
    if name == "xyah":
        return np.array([weight * z[3], weight * z[3], aspect, weight * z[3]])
    return weight * np.array([z[2], z[3], z[2], z[3]])


class Published:
    """The filters as SORT, ByteTrack and BoT-SORT state them, with filterpy's general matrices."""

    def __init__(self, name: str, z: np.ndarray) -> None:
        self.name, dim = name, 7 if name == "xysr" else 8
        self.kf = KalmanFilter(dim_x=dim, dim_z=4)
        self.kf.x = np.concatenate([z, np.zeros(dim - 4)])
        self.kf.H = np.eye(4, dim)
        if name == "xysr":
            self.kf.P = np.diag([10.0] * 4 + [1e4] * 3)
            self.kf.R = np.diag([1.0, 1.0, 10.0, 10.0])
            self.q = np.diag([1.0, 1.0, 1.0, 1.0, 0.01, 0.01, 0.0001])
        else:
            p, v = stds(name, z, 2 / 20, 1e-2), stds(name, z, 10 / 160, 1e-5)
            self.kf.P = np.diag(np.square(np.concatenate([p, v])))

    def predict(self, frames: float) -> None:
        dim = len(self.kf.x)
        self.kf.F = np.eye(dim)
        self.kf.F[: dim - 4, 4:] += frames * np.eye(dim - 4)
        if self.name != "xysr":
            p, v = stds(self.name, self.kf.x, 1 / 20, 1e-2), stds(self.name, self.kf.x, 1 / 160, 1e-5)
            self.q = np.diag(np.square(np.concatenate([p, v])))
        self.kf.Q = frames * self.q
        self.kf.predict()

    def update(self, z: np.ndarray) -> None:
        if self.name != "xysr":
            self.kf.R = np.diag(np.square(stds(self.name, self.kf.x, 1 / 20, 1e-1)))
        self.kf.update(z)


def assert_equal(state: np.ndarray, oracle: Published) -> None:
    mean, blocks = state[:2, 0].ravel(), state[2:, 0]
    covariance = np.block(
        [[np.diag(blocks[0]), np.diag(blocks[1])], [np.diag(blocks[1]), np.diag(blocks[2])]]
    )
    dim = len(oracle.kf.x)
    np.testing.assert_allclose(mean[:dim], oracle.kf.x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(covariance[:dim, :dim], oracle.kf.P, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(first=BOX, history=HISTORY)
def test_states_and_covariances_are_those_of_filterpy(name, first, history) -> None:
    motion = FILTERS[name]
    state, oracle = motion.initiate(motion.measure(corners(first))), Published(name, measured(name, first))
    for frames, box, seen in history:
        if state[0, 0, 2:].min() < 10:  # the one difference: sizes below 1 px count as 1 px
            break
        state = motion.predict(state, frames)
        oracle.predict(frames)
        assert_equal(state, oracle)
        if seen and state[0, 0, 2:].min() >= 10:
            state = motion.update(state, motion.measure(corners(box)))
            oracle.update(measured(name, box))
            assert_equal(state, oracle)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(box=BOX)
def test_a_box_comes_back_from_its_measurement(name, box) -> None:
    motion = FILTERS[name]
    np.testing.assert_allclose(motion.measure(corners(box))[0], measured(name, box), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(motion.box(motion.measure(corners(box))), corners(box), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(0.0, 0.0), (-5.0, 3.0), (3.0, -5.0), (-5.0, -5.0)])
def test_sizes_that_are_none_give_boxes_without_area(name, size) -> None:
    left, top, right, bottom = FILTERS[name].box(np.array([[7.0, 8.0, *size]]))[0]
    assert left <= 7 <= right
    assert top <= 8 <= bottom
    assert (right - left) * (bottom - top) == 0


@pytest.mark.parametrize("name", NAMES)
def test_frames_may_differ_from_track_to_track(name) -> None:
    motion = FILTERS[name]
    state = motion.initiate(motion.measure(np.array([[0, 0, 40, 100], [9, 9, 80, 70.0]])))
    both = motion.predict(state, np.array([[0.5], [4.0]]))
    np.testing.assert_array_equal(both[:, :1], motion.predict(state[:, :1], 0.5))
    np.testing.assert_array_equal(both[:, 1:], motion.predict(state[:, 1:], 4.0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "camera",
    [
        [[1, 0, 100], [0, 1, -30]],
        [[1.25, 0, 5], [0, 1.25, 7]],
        [[np.cos(0.1), -np.sin(0.1), 20], [np.sin(0.1), np.cos(0.1), 3]],
    ],
    ids=["shift", "zoom", "roll"],
)
def test_the_camera_moves_a_state_like_its_box(name, camera) -> None:
    motion, affine = FILTERS[name], np.array(camera, float)
    boxes = np.array([[10, 20, 50, 120], [300, 40, 390, 200.0]])
    state = motion.predict(motion.initiate(motion.measure(boxes)), 1.0)
    state[1, :, :2] = [[3, 4], [-6, 8]]
    before = state.copy()
    motion.warp(state, affine)
    np.testing.assert_allclose(motion.box(state[0]), warp_boxes(boxes, affine), rtol=1e-9)
    np.testing.assert_allclose(state[1, :, :2], before[1, :, :2] @ affine[:, :2].T, rtol=1e-12)
    for n in range(2):
        for row in (2, 3, 4):
            full = affine[:, :2] @ np.diag(before[row, n, :2]) @ affine[:, :2].T
            np.testing.assert_allclose(state[row, n, :2], np.diag(full), rtol=1e-9)
    assert zoom_of(affine) == pytest.approx(np.sqrt(np.linalg.det(affine[:, :2])))


def test_areas_do_not_vanish_by_prediction() -> None:
    motion = FILTERS["xysr"]
    state = motion.initiate(motion.measure(np.array([[0, 0, 10, 10], [0, 0, 10, 10.0]])))
    state[1, :, 2] = [-60, -40]
    motion.shrink_no_further(state, 2.0)
    assert state[1, :, 2].tolist() == [0, -40]
