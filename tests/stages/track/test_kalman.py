"""The four 2 x 2 blocks are the 8 x 8 filter of the paper, exact to rounding."""

from __future__ import annotations

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from stages.track.association import GATE
from stages.track.kalman import REFERENCE_FRAME_S, ConstantVelocity

POSITION_STD, VELOCITY_STD = 1 / 20, 1 / 160
HISTORY = st.lists(
    st.tuples(
        st.floats(0.1, 40),  # elapsed reference frames
        st.tuples(st.floats(-2e3, 2e3), st.floats(-2e3, 2e3), st.floats(0.2, 4), st.floats(5, 800)),
        st.booleans(),  # seen?
    ),
    min_size=1,
    max_size=12,
)


def textbook(xyah: np.ndarray) -> KalmanFilter:
    """DeepSORT's filter as the paper and the reference implementation state it, at its first measurement."""
    h = xyah[3]
    oracle = KalmanFilter(dim_x=8, dim_z=4)
    oracle.x = np.concatenate([xyah, np.zeros(4)])
    oracle.H = np.eye(4, 8)
    p, v = 2 * POSITION_STD * h, 10 * VELOCITY_STD * h
    oracle.P = np.diag(np.square([p, p, 1e-2, p, v, v, 1e-5, v]))
    return oracle


def step(oracle: KalmanFilter, frames: float) -> None:
    h = oracle.x[3]
    oracle.F = np.eye(8)
    oracle.F[:4, 4:] = frames * np.eye(4)
    p, v = POSITION_STD * h, VELOCITY_STD * h
    oracle.Q = frames * np.diag(np.square([p, p, 1e-2, p, v, v, 1e-5, v]))
    oracle.predict()
    m = POSITION_STD * oracle.x[3]
    oracle.R = np.diag(np.square([m, m, 1e-1, m]))


def covariance(state: np.ndarray, row: int) -> np.ndarray:
    """The 8 x 8 matrix that the blocks of one track stand for."""
    _, _, variance, between, velocity_variance = state[:, row]
    return np.block([[np.diag(variance), np.diag(between)], [np.diag(between), np.diag(velocity_variance)]])


def assert_equal(state: np.ndarray, row: int, oracle: KalmanFilter) -> None:
    np.testing.assert_allclose(state[:2, row].ravel(), oracle.x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(covariance(state, row), oracle.P, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("true_dt", [False, True], ids=["reference frame time", "variable time"])
@settings(max_examples=60, deadline=None)
@given(history=HISTORY)
def test_states_and_covariances_are_those_of_filterpy(
    true_dt: bool, history: list[tuple[float, tuple[float, ...], bool]]
) -> None:
    motion = ConstantVelocity(POSITION_STD, VELOCITY_STD)
    first = np.array([[50.0, 60.0, 0.5, 100.0], [900.0, -20.0, 2.0, 30.0]])
    state, oracles = motion.initiate(first), [textbook(xyah) for xyah in first]
    for frames, box, seen in history:
        elapsed = frames if true_dt else 1.0
        state = motion.predict(state, elapsed * REFERENCE_FRAME_S)
        measured = np.array([box, box[::-1]])
        measured[1, 2:] = 1.5, 40.0
        distance = motion.gating_distance(state, measured)
        for row, oracle in enumerate(oracles):
            step(oracle, elapsed)
            assert_equal(state, row, oracle)
            innovation = measured[row] - oracle.x[:4]
            spread = oracle.H @ oracle.P @ oracle.H.T + oracle.R
            assert distance[row] == pytest.approx(innovation @ np.linalg.solve(spread, innovation), rel=1e-8)
        if seen:
            state = motion.update(state, measured)
            for row, oracle in enumerate(oracles):
                oracle.update(measured[row])
                assert_equal(state, row, oracle)


SIZES = np.array(
    [[0.0, 0.0, 1.0, 1.5], [3e4, -2e4, 0.01, 8e3], [1e3, 5e2, 8.0, 20.0], [640.0, 360.0, 0.41, 170.0]]
)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.slow
def test_a_thousand_steps_of_tracks_of_very_different_size(seed: int) -> None:
    """Seen at random, at random times; after misses the filter is as far off as it may ever be."""
    rng = np.random.default_rng(seed)
    motion = ConstantVelocity(POSITION_STD, VELOCITY_STD)
    state, oracles = motion.initiate(SIZES), [textbook(xyah) for xyah in SIZES]
    truth, velocity = SIZES.copy(), np.zeros_like(SIZES)
    for _ in range(1000):
        frames = rng.choice([1.0, rng.uniform(0.2, 3), 12.0], p=[0.6, 0.38, 0.02])
        velocity[:, :2] += rng.normal(0, 0.01, (4, 2)) * SIZES[:, 3:]
        truth += frames * velocity
        noise = rng.normal(0, 0.05, (4, 4)) * SIZES[:, [3, 3, 2, 3]]
        seen = rng.random(4) < 0.8
        motion.predict(state, frames * REFERENCE_FRAME_S, out=state)
        motion.update(state, truth + noise, seen=seen, out=state)
        for row, oracle in enumerate(oracles):
            step(oracle, frames)
            if seen[row]:
                oracle.update((truth + noise)[row])
            assert_equal(state, row, oracle)
    assert (state[2] > 0).all()


@pytest.mark.parametrize("aliased", [False, True])
def test_results_go_where_they_should_and_inputs_stay(aliased: bool) -> None:
    motion = ConstantVelocity()
    before = motion.predict(motion.initiate(SIZES), 0.3)
    measured, seen = SIZES + 1.0, np.array([True, False, True, False])
    predicted, updated = motion.predict(before, 0.1), motion.update(before, measured)
    spread = motion.innovation_variance(before)
    np.testing.assert_array_equal(motion.update(before, measured, spread=spread), updated)

    state = before.copy()
    out = state if aliased else np.full_like(state, np.nan)
    assert motion.predict(state, 0.1, out=out) is out
    np.testing.assert_array_equal(out, predicted)
    state = before.copy()
    out = state if aliased else np.full_like(state, np.nan)
    assert motion.update(state, measured, seen=seen, out=out) is out
    np.testing.assert_array_equal(out[:, seen], updated[:, seen])
    np.testing.assert_array_equal(out[:, ~seen], before[:, ~seen])
    if not aliased:
        np.testing.assert_array_equal(state, before)


def test_the_gate_is_the_papers() -> None:
    assert pytest.approx(chi2.ppf(0.95, df=4), abs=5e-5) == GATE


def test_it_learns_a_velocity_whatever_the_frame_rate() -> None:
    """100 px/s to the right, seen at 5 and at 50 frames/s, is 100 px/s."""
    for rate_hz in (5, 50):
        motion = ConstantVelocity()
        state = motion.initiate(np.array([[0.0, 0.0, 0.5, 100.0]]))
        for k in range(1, 4 * rate_hz + 1):
            state = motion.predict(state, 1 / rate_hz)
            state = motion.update(state, np.array([[100.0 * k / rate_hz, 0.0, 0.5, 100.0]]))
        assert state[1, 0, 0] / REFERENCE_FRAME_S == pytest.approx(100, rel=0.05)
        ahead = motion.predict(state, 0.5)
        assert ahead[0, 0, 0] == pytest.approx(450, rel=0.02)


def test_no_tracks_are_no_trouble() -> None:
    motion = ConstantVelocity()
    state = motion.initiate(np.zeros((0, 4)))
    assert motion.update(motion.predict(state, 1.0), np.zeros((0, 4))).shape == (5, 0, 4)
