import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.vision.sparse_flow import FlowView, corners, corners_in_boxes, follow_points
from tests.stages.vision.pictures import luma, shifted, texture

TEXTURE = texture()
BEFORE = FlowView(luma(TEXTURE))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_shift_is_found_to_a_tenth_of_a_pixel(x: float, y: float) -> None:
    after = FlowView(luma(shifted(TEXTURE, x, y), seed=10))
    points = corners(BEFORE, 100)
    inner = points[((points > 35) & (points < np.array([285, 145]))).all(axis=1)]
    positions, good = follow_points(BEFORE, after, inner)
    assert good.mean() > 0.7
    assert np.median(np.abs(positions[good] - inner[good] - (x, y))) < 0.1


def test_a_guess_reaches_further() -> None:
    after = FlowView(luma(shifted(TEXTURE, 110, 0), seed=10))
    points = corners(BEFORE, 100)
    inner = points[(points[:, 0] > 20) & (points[:, 0] < 180)]
    _, without = follow_points(BEFORE, after, inner)
    positions, good = follow_points(BEFORE, after, inner, np.array([108, 1], np.float32))
    assert good.mean() > 0.8
    assert without.mean() < 0.5
    assert np.median(np.abs(positions[good] - inner[good] - (110, 0))) < 0.1


def test_what_is_gone_or_hidden_is_not_trusted() -> None:
    after = TEXTURE.copy()
    after[60:140, 100:200] = texture(seed=7)[60:140, 100:200]
    points = corners(BEFORE, 200)
    hidden = ((points > (108, 68)) & (points < (192, 132))).all(axis=1)
    clear = (points[:, 0] < 80) | (points[:, 0] > 220)
    positions, good = follow_points(BEFORE, FlowView(luma(after, seed=10)), points)
    assert good[clear].mean() > 0.95
    assert good[hidden].mean() < 0.35
    assert np.array_equal(positions[~good], points[~good])


def test_a_point_that_leaves_the_picture_is_not_trusted() -> None:
    points = corners(BEFORE, 200)
    leaving = points[points[:, 0] > 305]
    _, good = follow_points(BEFORE, FlowView(luma(shifted(TEXTURE, 20, 0))), leaving)
    assert len(leaving)
    assert not good.any()


@pytest.mark.parametrize(("gain", "offset"), [(0.7, 0), (1.15, 5), (1, 25)])
def test_a_jump_of_exposure_is_no_flow(gain: float, offset: float) -> None:
    points = corners(BEFORE, 100)
    positions, good = follow_points(BEFORE, FlowView(luma(gain * TEXTURE + offset, seed=10)), points)
    assert good.mean() > 0.8
    assert np.median(np.hypot(*(positions - points)[good].T)) < 0.15


def test_plain_pictures_have_no_corners_and_no_flow() -> None:
    plain = FlowView(np.full((90, 160), 120, np.uint8))
    assert len(corners(plain, 50)) == 0
    grid = np.array([[40.5, 40.5], [80.5, 50.5]], np.float32)
    _, good = follow_points(plain, plain, grid)
    assert not good.any()


def test_corners_of_boxes_lie_in_them_and_know_which() -> None:
    boxes = np.array(
        [[10, 10, 60, 50], [-30, 150, 20, 400], [400, 0, 500, 90], [70, 70, 70.2, 70.2]], np.float32
    )
    points, owner = corners_in_boxes(BEFORE, boxes, (4, 3))
    assert np.unique(owner).tolist() == [0, 1]
    assert (np.bincount(owner) <= 12).all()
    assert ((points >= boxes[owner, :2]) & (points <= boxes[owner, 2:])).all()


def test_corners_avoid_boxes() -> None:
    boxes = np.array([[0, 0, 160, 180]], np.float32)
    assert corners(BEFORE, 100, boxes)[:, 0].min() > 160
    assert corners(BEFORE, 100)[:, 0].min() < 30


@pytest.mark.parametrize("shape", [(1, 1), (3, 64), (64, 4), (16, 16)])
def test_pictures_of_any_size_are_taken(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    one, other = (FlowView(rng.integers(0, 255, shape, dtype=np.uint8)) for _ in range(2))
    points = corners(one, 20)
    positions, good = follow_points(one, other, points)
    assert positions.shape == points.shape
    assert good.shape == (len(points),)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one size, got 320 x 180 and 160 x 90"):
        follow_points(BEFORE, FlowView(np.zeros((90, 160), np.uint8)), np.zeros((1, 2), np.float32))
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        follow_points(BEFORE, BEFORE, np.zeros(3, np.float32))


def test_no_points_are_no_answer() -> None:
    positions, good = follow_points(BEFORE, BEFORE, np.zeros((0, 2), np.float32))
    assert positions.shape == (0, 2)
    assert good.shape == (0,)
