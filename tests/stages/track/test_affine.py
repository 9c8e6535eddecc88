"""Affine maps: inverse, composition, boxes against points, filter states against sampled ones, fits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.track.affine import (
    compose,
    fit_all,
    fit_similarity,
    identity,
    invert,
    is_identity,
    largest_shift,
    warp_boxes,
    warp_points,
    warp_xyah_state,
    zoom,
)
from stages.track.boxes import FloatArray, xyah_to_xyxy
from stages.track.kalman import ConstantVelocity


def similarity(x: float = 0.0, y: float = 0.0, turn: float = 0.0, scale: float = 1.0) -> FloatArray:
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    return np.array([[c, -s, x], [s, c, y]])


CASES = settings(max_examples=60, deadline=None)

shifts = st.floats(-500, 500)
similarities = st.builds(similarity, shifts, shifts, st.floats(-0.5, 0.5), st.floats(0.5, 2.0))
upright = st.builds(similarity, shifts, shifts, st.just(0.0), st.floats(0.5, 2.0))
points = st.lists(st.tuples(shifts, shifts), min_size=1, max_size=8).map(np.array)
boxes = st.lists(st.tuples(shifts, shifts, st.floats(1, 400), st.floats(1, 400)), min_size=1, max_size=8).map(
    lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows])
)


@CASES
@given(similarities, points)
def test_the_inverse_undoes_the_map(affine: FloatArray, xy: FloatArray) -> None:
    np.testing.assert_allclose(warp_points(warp_points(xy, affine), invert(affine)), xy, atol=1e-8)
    assert is_identity(compose(affine, invert(affine)), 1e-9)


@CASES
@given(similarities, similarities, points)
def test_composed_is_one_after_the_other(first: FloatArray, then: FloatArray, xy: FloatArray) -> None:
    one_by_one = warp_points(warp_points(xy, first), then)
    np.testing.assert_allclose(warp_points(xy, compose(first, then)), one_by_one, atol=1e-8)
    assert zoom(compose(first, then)) == pytest.approx(zoom(first) * zoom(then))


@CASES
@given(similarities, similarities, boxes)
def test_boxes_compose_like_points(first: FloatArray, then: FloatArray, xyxy: FloatArray) -> None:
    one_by_one = warp_boxes(warp_boxes(xyxy, first), then)
    np.testing.assert_allclose(warp_boxes(xyxy, compose(first, then)), one_by_one, atol=1e-8)


@CASES
@given(upright, boxes)
def test_without_a_turn_a_box_is_where_its_corners_are(affine: FloatArray, xyxy: FloatArray) -> None:
    warped = warp_boxes(xyxy, affine)
    np.testing.assert_allclose(warped[:, :2], warp_points(xyxy[:, :2], affine), atol=1e-8)
    np.testing.assert_allclose(warped[:, 2:], warp_points(xyxy[:, 2:], affine), atol=1e-8)


@CASES
@given(similarities, boxes)
def test_a_turn_keeps_a_box_upright_with_its_shape(affine: FloatArray, xyxy: FloatArray) -> None:
    warped = warp_boxes(xyxy, affine)
    sides, before = warped[:, 2:] - warped[:, :2], xyxy[:, 2:] - xyxy[:, :2]
    np.testing.assert_allclose(sides, before * zoom(affine), rtol=1e-6, atol=1e-8)
    middle = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    np.testing.assert_allclose((warped[:, :2] + warped[:, 2:]) / 2, warp_points(middle, affine), atol=1e-8)


def states(seed: int = 0, count: int = 6) -> FloatArray:
    """States as the filter makes them: seen at two places, 1/30 s apart."""
    rng = np.random.default_rng(seed)
    xyah = np.column_stack(
        [rng.uniform(0, 900, (count, 2)), rng.uniform(0.3, 2, count), rng.uniform(20, 200, count)]
    )
    motion = ConstantVelocity()
    state = motion.predict(motion.initiate(xyah), 1 / 30)
    return motion.update(state, xyah + rng.normal(0, [3, 2, 0.01, 1], xyah.shape))


@CASES
@given(similarities)
def test_the_state_moves_like_its_box(affine: FloatArray) -> None:
    state = states()
    warped = warp_xyah_state(state, affine)
    np.testing.assert_allclose(
        xyah_to_xyxy(warped[0]), warp_boxes(xyah_to_xyxy(state[0]), affine), rtol=1e-9, atol=1e-6
    )


@CASES
@given(similarities)
def test_predicting_and_warping_can_be_swapped(affine: FloatArray) -> None:
    """Where the object will be, seen by the other camera, is where the other camera says it will be."""
    state, motion = states(1), ConstantVelocity()
    swapped = motion.predict(warp_xyah_state(state, affine), 0.2)
    ahead = warp_xyah_state(motion.predict(state, 0.2), affine)
    np.testing.assert_allclose(ahead, swapped, rtol=1e-6, atol=1e-6)


@CASES
@given(similarities, similarities)
def test_states_compose(first: FloatArray, then: FloatArray) -> None:
    one_by_one = warp_xyah_state(warp_xyah_state(states(2), first), then)
    np.testing.assert_allclose(
        warp_xyah_state(states(2), compose(first, then)), one_by_one, rtol=1e-6, atol=1e-6
    )


def test_variances_are_those_of_warped_samples() -> None:
    """Position and velocity drawn from the state and warped one by one have the warped state's spread."""
    affine = similarity(5, -3, 0.4, 1.3)
    state, rng = states(3, 1), np.random.default_rng(3)
    warped = warp_xyah_state(state, affine)[:, 0]
    position, velocity, variance, covariance, velocity_variance = state[:, 0]
    drawn = np.empty((100_000, 2, 4))
    for k in range(4):
        spread = [[variance[k], covariance[k]], [covariance[k], velocity_variance[k]]]
        drawn[:, :, k] = rng.multivariate_normal([position[k], velocity[k]], spread, len(drawn))
    p, v = drawn[:, 0], drawn[:, 1]
    p[:, :2], v[:, :2] = warp_points(p[:, :2], affine), v[:, :2] @ affine[:, :2].T
    p[:, 3], v[:, 3] = p[:, 3] * zoom(affine), v[:, 3] * zoom(affine)
    np.testing.assert_allclose(warped[0], p.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(warped[2], p.var(axis=0), rtol=0.03)
    np.testing.assert_allclose(
        warped[3], ((p - p.mean(axis=0)) * (v - v.mean(axis=0))).mean(axis=0), rtol=0.03, atol=1e-6
    )
    np.testing.assert_allclose(warped[4], v.var(axis=0), rtol=0.03)


def test_the_identity_changes_no_bit() -> None:
    state, xyxy = states(), np.array([[1.5, 2.25, 30.0, 40.0]])
    assert warp_xyah_state(state, identity()).tobytes() == state.tobytes()
    assert warp_boxes(xyxy, identity()).tobytes() == xyxy.tobytes()
    assert is_identity(identity())
    assert not is_identity(similarity(1e-6))


def test_no_rows_are_no_rows() -> None:
    affine = similarity(1, 2, 0.1, 1.1)
    assert warp_points(np.zeros((0, 2)), affine).shape == (0, 2)
    assert warp_boxes(np.zeros((0, 4)), affine).shape == (0, 4)
    assert warp_xyah_state(np.zeros((5, 0, 4)), affine).shape == (5, 0, 4)


def test_inputs_stay_as_they_are() -> None:
    state, xyxy = states(), np.array([[1.0, 2.0, 3.0, 4.0]])
    before = state.copy()
    warp_xyah_state(state, similarity(3, 4, 0.2, 1.2))
    warp_boxes(xyxy, similarity(3, 4, 0.2, 1.2))
    assert (state == before).all()
    assert (xyxy == [[1.0, 2.0, 3.0, 4.0]]).all()


def test_a_map_that_flattens_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="flattens"):
        invert(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]))


@CASES
@given(similarities, st.floats(0, 1), st.floats(0, 1))
def test_no_pixel_moves_further_than_the_largest_shift(affine: FloatArray, x: float, y: float) -> None:
    point = np.array([[640 * x, 360 * y]])
    moved = math.hypot(*(warp_points(point, affine) - point)[0])
    assert moved <= largest_shift(affine, 640, 360) + 1e-9


@pytest.mark.parametrize("outliers", [0, 20, 50])
@pytest.mark.parametrize(
    "true",
    [similarity(), similarity(0.2, -0.1), similarity(30, -9, 0.05, 1.04), similarity(-3, 2, -0.2, 0.9)],
)
def test_the_fit_finds_the_motion_of_most(true: FloatArray, outliers: int) -> None:
    rng = np.random.default_rng(outliers)
    source = rng.uniform(0, 300, (90, 2))
    target = warp_points(source, true) + rng.normal(0, 0.05, source.shape)
    target[:outliers] += rng.normal([14.0, -6.0], 4, (outliers, 2))
    fit = fit_similarity(source, target, np.ones(90, np.bool_), 0.5)
    assert fit is not None
    assert fit.inliers[outliers:].all()
    assert fit.inliers[:outliers].sum() <= 2
    assert largest_shift(compose(invert(true), fit.affine), 300, 300) < 0.15


def test_the_fit_knows_its_error() -> None:
    """Over many fits the shift and the turn scatter as the standard errors say."""
    rng = np.random.default_rng(0)
    true, use = similarity(4, 5, 0.1, 1.1), np.ones(40, np.bool_)
    source = rng.uniform(0, 300, (40, 2))
    middle = source.mean(axis=0, keepdims=True)
    fits = [
        fit_all(source, warp_points(source, true) + rng.normal(0, 0.3, source.shape), use) for _ in range(500)
    ]
    shift = np.array([(warp_points(middle, fit.affine) - warp_points(middle, true))[0] for fit in fits])
    turn = np.array([fit.affine[1, 0] - true[1, 0] for fit in fits])
    stated = np.mean([fit.shift_error for fit in fits]), np.mean([fit.linear_error for fit in fits])
    # An error is that of a complex number, of which x and y, or zoom and turn, take half the variance each.
    assert shift.std() == pytest.approx(stated[0], rel=0.1)
    assert turn.std() == pytest.approx(stated[1], rel=0.1)


def test_a_turn_within_chance_is_none() -> None:
    rng = np.random.default_rng(5)
    source = rng.uniform(0, 40, (12, 2))
    fit = fit_all(source, source + rng.normal([3.0, 1.0], 0.2, source.shape), np.ones(12, np.bool_))
    assert fit.affine[0, 0] == 1.0
    assert fit.affine[1, 0] == 0.0


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_points_fit_nothing(count: int) -> None:
    source = np.arange(2.0 * count).reshape(count, 2)
    assert fit_similarity(source, source + 1, np.ones(count, np.bool_), 0.5) is None


def test_only_the_pairs_in_use_count() -> None:
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 300, (40, 2))
    use = np.arange(40) < 12
    target = source + np.where(use, 2.0, -7.0)[:, None]
    fit = fit_similarity(source, target, use, 0.5)
    assert fit is not None
    assert (fit.inliers == use).all()
    assert fit.affine[:, 2] == pytest.approx([2.0, 2.0])


def test_points_on_one_spot_fit_nothing_or_a_shift() -> None:
    source = np.full((20, 2), 7.0)
    fit = fit_similarity(source, source + 2, np.ones(20, np.bool_), 0.5)
    assert fit is None or np.isfinite(fit.affine).all()
