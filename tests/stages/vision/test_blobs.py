import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.vision.background import Foreground
from stages.vision.blobs import find_blobs, join_fragments

CASES = {
    "nothing": ([], 0),
    "one": ([(0, 0, 10, 10)], 1),
    "one inside the other": ([(0, 0, 50, 50), (10, 10, 30, 30)], 1),
    "halves of one object": ([(0, 0, 40, 20), (0, 21, 40, 44)], 1),
    "a chain of parts": ([(0, 0, 40, 20), (0, 21, 40, 41), (0, 42, 40, 62)], 1),
    "a fragment beside its object": ([(0, 0, 40, 40), (10, 42, 30, 50)], 1),
    "a fragment far from it": ([(0, 0, 40, 40), (10, 60, 30, 68)], 2),
    "cars side by side": ([(0, 0, 40, 60), (50, 0, 90, 60)], 2),
    "neighbours on a diagonal": ([(0, 0, 40, 40), (36, 36, 76, 76)], 2),
    "a speck beside an object": ([(0, 0, 60, 60), (62, 30, 65, 33)], 2),
}


@pytest.mark.parametrize(("boxes", "objects"), CASES.values(), ids=CASES.keys())
def test_join_fragments(boxes: list[tuple[int, ...]], objects: int) -> None:
    joined = join_fragments(np.array(boxes, np.float32).reshape(-1, 4))
    assert joined.shape == (objects, 4)


_SIDE = st.integers(0, 100)
_BOX = st.tuples(_SIDE, _SIDE, st.integers(1, 60), st.integers(1, 60)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_BOX, max_size=15))
def test_joined_boxes_hold_all_fragments_and_no_more(boxes: list[tuple[int, int, int, int]]) -> None:
    fragments = np.array(boxes, np.float32).reshape(-1, 4)
    joined = join_fragments(fragments)
    assert len(joined) <= len(fragments)
    for box in fragments:
        assert ((joined[:, :2] <= box[:2]) & (joined[:, 2:] >= box[2:])).all(axis=1).any()
    for box in joined:
        assert all((fragments[:, side] == box[side]).any() for side in range(4))


def _foreground(picture: np.ndarray, background: np.ndarray, box: tuple[int, int, int, int]) -> Foreground:
    mask = np.zeros(picture.shape, np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return Foreground(mask, picture, background)


def test_an_object_is_found_and_a_ghost_is_not() -> None:
    box = (40, 30, 80, 60)
    ground = np.full((90, 160), 100, np.uint8)
    with_object = ground.copy()
    with_object[30:60, 40:80] = 170
    xyxy, score = find_blobs(_foreground(with_object, ground, box), 0.001)
    assert xyxy.tolist() == [list(box)]
    assert score[0] > 0.9
    assert len(find_blobs(_foreground(ground, with_object, box), 0.001)[0]) == 0


def test_the_ground_under_another_light_is_no_object() -> None:
    ground = np.random.default_rng(2).integers(60, 140, (12, 20), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    lit = (ground * 1.5).astype(np.uint8)
    assert len(find_blobs(_foreground(lit, ground, (40, 30, 80, 60)), 0.001)[0]) == 0


@pytest.mark.parametrize(("min_area", "found"), [(0.05, 1), (0.1, 0)])
def test_min_area_is_a_share_of_the_picture(min_area: float, found: int) -> None:
    ground = np.full((90, 160), 100, np.uint8)
    picture = ground.copy()
    picture[30:60, 40:80] = 170
    assert len(find_blobs(_foreground(picture, ground, (40, 30, 80, 60)), min_area)[0]) == found


def test_a_picture_full_of_specks_costs_little_memory() -> None:
    mask = np.zeros((540, 960), np.uint8)
    mask[::8, :] = mask[:, ::8] = 255
    noisy = Foreground(255 - mask, np.full(mask.shape, 200, np.uint8), np.full(mask.shape, 100, np.uint8))
    assert len(find_blobs(noisy, 1e-6)[0]) <= 200
