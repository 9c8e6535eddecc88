import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.picture import BgrPicture
from stages.detect.boxes import cxcywh_to_xyxy, suppress
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


@settings(max_examples=50, deadline=None)
@given(st.integers(8, 400), st.integers(8, 400), st.sampled_from([(416, 416), (640, 384), (320, 352)]))
def test_letterbox_there_and_back(width: int, height: int, size: tuple[int, int]) -> None:
    picture = BgrPicture(np.full((height, width, 3), 200, np.uint8))
    box = Letterbox.of(picture, *size)
    whole = np.array([[0, 0, box.inner_width, box.inner_height]], np.float32)
    assert np.allclose(box.to_picture(whole), [[0, 0, width, height]], atol=1e-3)
    filled = box.fill(picture)
    assert filled.shape == (size[1], size[0], 3)
    assert (filled[: box.inner_height, : box.inner_width] == 200).all()
    assert (filled[box.inner_height :] == 114).all()
    assert (filled[:, box.inner_width :] == 114).all()
    assert box.inner_width == size[0] or box.inner_height == size[1]


def test_letterbox_keeps_the_aspect_ratio_and_cuts_at_the_edges() -> None:
    image = np.zeros((90, 160, 3), np.uint8)
    cv2.rectangle(image, (40, 20), (79, 59), (255, 255, 255), -1)
    box = Letterbox.of(BgrPicture(image), 416, 416)
    ys, xs = np.nonzero(box.fill(BgrPicture(image))[:234, :, 0] > 128)
    inner = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32)
    assert np.abs(box.to_picture(inner) - [[40, 20, 80, 60]]).max() < 1
    assert box.to_picture(np.array([[-50, -50, 900, 900]], np.float32)).tolist() == [[0, 0, 160, 90]]
