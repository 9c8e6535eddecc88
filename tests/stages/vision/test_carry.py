import numpy as np
import pytest

from stages.vision.carry import carry_boxes
from stages.vision.sparse_flow import FlowView
from tests.stages.vision.pictures import luma, moved, texture


def _scene(affine: np.ndarray, box: tuple[int, int, int, int]) -> tuple[FlowView, FlowView]:
    """A ground that stands, and an object in `box` that moves by the map."""
    ground, skin = texture(seed=1), texture(seed=5)
    hole = np.zeros_like(ground)
    hole[box[1] : box[3], box[0] : box[2]] = 1
    before = np.where(hole > 0, skin, ground)
    after = np.where(moved(hole, affine) > 0.5, moved(skin, affine), ground)
    return FlowView(luma(before)), FlowView(luma(after, seed=10))


@pytest.mark.parametrize("growth", [0.95, 1.0, 1.05])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (6.5, -2.0), (-11.0, 3.5)])
def test_a_box_moves_and_grows_with_its_object(shift: tuple[float, float], growth: float) -> None:
    box = np.array([100, 60, 170, 130], np.float32)
    centre = np.array([134.5, 94.5])
    affine = np.column_stack([np.eye(2) * growth, centre - growth * centre + shift])
    before, after = _scene(affine, (100, 60, 170, 130))
    (carried,), (support,) = carry_boxes(before, after, box[None])
    wanted = np.concatenate([(box[i : i + 2] - 135 - np.array([0, -40])) * growth for i in (0, 2)])
    wanted += np.tile([135, 95], 2) + np.tile(shift, 2)
    assert carried == pytest.approx(wanted, abs=1.0)
    assert support > 0.7


def test_a_box_that_cannot_be_followed_stays_and_says_so() -> None:
    before, after = FlowView(luma(texture(seed=1))), FlowView(luma(texture(seed=2)))
    boxes = np.array([[50, 50, 90, 90], [300, 150, 310, 160], [500, 500, 600, 600]], np.float32)
    carried, support = carry_boxes(before, after, boxes)
    assert (support < 0.5).all()
    assert np.array_equal(carried[support == 0], boxes[support == 0])
    assert support[2] == 0


def test_no_boxes() -> None:
    view = FlowView(luma(texture()))
    carried, support = carry_boxes(view, view, np.zeros((0, 4), np.float32))
    assert carried.shape == (0, 4)
    assert support.shape == (0,)
