import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.detect.boxes import (
    _probabilistic_iou,
    cxcywh_to_xyxy,
    rotated_corners,
    suppress,
    suppress_rotated,
)
from stages.detect.letterbox import Letterbox
from tests.stages.detect.scenes import iou


def test_cxcywh_to_xyxy() -> None:
    assert cxcywh_to_xyxy(np.array([[10, 20, 4, 6]], np.float32)).tolist() == [[8, 17, 12, 23]]


def test_suppress_keeps_the_best_of_each_group() -> None:
    xyxy = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    score = np.array([0.6, 0.9, 0.7, 0.8], np.float32)
    assert suppress(xyxy, score, np.array([0, 0, 1, 0]), 0.5).tolist() == [1, 3, 2]
    assert suppress(xyxy, score, np.zeros(4, np.int64), 0.5).tolist() == [1, 3]
    assert suppress(xyxy, score, np.zeros(4, np.int64), 0.95).tolist() == [1, 3, 0]
    assert suppress(xyxy[:0], score[:0], np.empty(0, np.int64), 0.5).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.1, 0.9))
def test_suppress_is_greedy(seed: int, n: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (n, 2))
    xyxy = np.concatenate([corner, corner + rng.uniform(5, 40, (n, 2))], axis=1).astype(np.float32)
    score = rng.permutation(np.linspace(0.1, 0.9, n)).astype(np.float32)
    group = rng.integers(0, 2, n)
    kept: list[int] = []
    for row in np.argsort(-score):
        rivals = [other for other in kept if group[other] == group[row]]
        if not rivals or iou(xyxy[[row]], xyxy[rivals]).max() <= threshold:
            kept.append(int(row))
    assert suppress(xyxy, score, group, threshold).tolist() == kept


def test_letterbox_cuts_at_the_edges_and_puts_corners_in_order() -> None:
    box = Letterbox.of(160, 90, 416, 416)
    assert box.boxes_to_picture(np.array([[-50, -50, 900, 900]], np.float32)).tolist() == [[0, 0, 160, 90]]
    swapped = box.boxes_to_picture(np.array([[208, 104, 104, 52]], np.float32))
    assert np.allclose(swapped, [[40, 20, 80, 40]])


def test_a_box_left_of_the_picture_does_not_reach_into_another_group() -> None:
    xyxy = np.array([[-200, 0, 40, 40], [100, 0, 340, 40]], np.float32)
    kept = suppress(xyxy, np.array([0.9, 0.8], np.float32), np.array([1, 0]), 0.1)
    assert kept.tolist() == [0, 1]


def test_corners_of_a_rotated_box() -> None:
    upright, turned = rotated_corners(np.array([[10, 20, 8, 4, 0], [10, 20, 8, 4, np.pi / 2]], np.float32))
    assert sorted(map(tuple, upright.tolist())) == [(6, 18), (6, 22), (14, 18), (14, 22)]
    assert np.allclose(sorted(map(tuple, turned.tolist())), [(8, 16), (8, 24), (12, 16), (12, 24)], atol=1e-5)
    # Clockwise on the screen, where y points down.
    (slanted,) = rotated_corners(np.array([[0, 0, 100, 2, np.pi / 4]], np.float32))
    right = slanted[slanted[:, 0].argmax()]
    assert right[1] > 30


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(-3, 3))
def test_rotated_boxes_are_suppressed_whatever_way_they_all_turn(seed: int, n: int, turn: float) -> None:
    rng = np.random.default_rng(seed)
    boxes = np.column_stack([rng.uniform(0, 90, (n, 2)), rng.uniform(8, 40, (n, 2)), rng.uniform(-1, 1, n)])
    score = rng.permutation(np.linspace(0.1, 0.9, n)).astype(np.float32)
    group = rng.integers(0, 2, n)
    alike = _probabilistic_iou(boxes)
    assume(np.abs(alike - 0.45).min() > 1e-4)  # nearer, rounding decides
    cos, sin = np.cos(turn), np.sin(turn)
    round_about = boxes.copy()
    round_about[:, :2] = boxes[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    round_about[:, 4] += turn
    kept = suppress_rotated(boxes.astype(np.float32), score, group, 0.45)
    again = suppress_rotated(round_about.astype(np.float32), score, group, 0.45)
    assert kept.tolist() == again.tolist()
    assert kept[0] == score.argmax()


def test_rotated_suppression_tells_a_cross_from_a_pair() -> None:
    boxes = np.array([[50, 50, 60, 6, 0], [50, 50, 60, 6, np.pi / 2], [51, 50, 60, 6, 0]], np.float32)
    score = np.array([0.9, 0.8, 0.7], np.float32)
    assert suppress_rotated(boxes, score, np.zeros(3, np.int64), 0.45).tolist() == [0, 1]
    assert suppress_rotated(boxes, score, np.array([0, 0, 1]), 0.45).tolist() == [0, 1, 2]
