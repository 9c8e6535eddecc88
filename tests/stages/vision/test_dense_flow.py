import numpy as np
import pytest

from stages.vision.dense_flow import cell_flow
from stages.vision.sparse_flow import FlowView
from tests.stages.vision.pictures import luma, shifted, texture

TEXTURE = texture()
BEFORE = FlowView(luma(TEXTURE))


def _inner(points: np.ndarray, margin: int = 24) -> np.ndarray:
    return ((points > margin) & (points < np.array([320 - margin, 180 - margin]))).all(axis=1)


@pytest.mark.parametrize(("x", "y"), [(3.3, 1.2), (-8.0, 4.0), (0.0, -2.5)])
def test_a_shift_is_found_in_nearly_all_cells(x: float, y: float) -> None:
    flow = cell_flow(BEFORE, FlowView(luma(shifted(TEXTURE, x, y), seed=10)))
    inner = _inner(flow.points)
    assert flow.trusted[inner].mean() > 0.95
    error = np.hypot(*(flow.shift[inner] - (x, y)).T)
    assert np.percentile(error, 90) < 0.5


def test_only_what_moves_has_flow_and_where_it_is_now() -> None:
    scene, skin = TEXTURE.copy(), texture(seed=5)
    scene[60:120, 100:160] = skin[60:120, 100:160]
    later = TEXTURE.copy()
    later[60:120, 106:166] = skin[60:120, 100:160]
    flow = cell_flow(FlowView(luma(scene)), FlowView(luma(later, seed=10)))
    moving = flow.trusted & (np.hypot(*flow.shift.T) > 1)
    on = ((flow.points > (112, 66)) & (flow.points < (160, 114))).all(axis=1)
    off = ~((flow.points > (84, 44)) & (flow.points < (182, 136))).all(axis=1)
    assert moving[on].mean() > 0.9
    assert moving[off].mean() < 0.01
    assert np.median(flow.shift[on], axis=0) == pytest.approx((6, 0), abs=0.7)


@pytest.mark.parametrize(("gain", "offset"), [(0.7, 0), (1.15, 5), (1, 25)])
def test_neither_noise_nor_a_jump_of_exposure_is_flow(gain: float, offset: float) -> None:
    flow = cell_flow(BEFORE, FlowView(luma(gain * TEXTURE + offset, noise=2.0, seed=10)))
    assert (np.hypot(*flow.shift[flow.trusted].T) > 0.5).mean() < 0.02


def test_a_cut_is_not_trusted() -> None:
    flow = cell_flow(BEFORE, FlowView(luma(texture(seed=3))))
    assert flow.trusted.mean() < 0.3


@pytest.mark.parametrize("shape", [(1, 1), (3, 64), (64, 4), (16, 16), (17, 45)])
def test_pictures_of_any_size_are_taken(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    one, other = (FlowView(rng.integers(0, 255, shape, dtype=np.uint8)) for _ in range(2))
    flow = cell_flow(one, other)
    assert len(flow.points) == len(flow.shift) == len(flow.trusted) == (shape[0] // 8) * (shape[1] // 8)


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        cell_flow(BEFORE, FlowView(np.zeros((90, 160), np.uint8)))
