"""Polygons around masks: the same area again, few points, also of nothing and of noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.detect.outlines import MAX_POINTS, outline_of, simplified


def filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [polygon.astype(np.int32)], 1)
    return mask


def test_a_rectangle_has_four_corners() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:21, 5:31] = 1
    assert sorted(outline_of(mask).tolist()) == [[5, 10], [5, 20], [30, 10], [30, 20]]


@pytest.mark.parametrize("radius", [4, 20, 300])
def test_a_disc_is_outlined_within_a_pixel(radius: int) -> None:
    size = 2 * radius + 11
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (size // 2, size // 2), radius, 1, cv2.FILLED)
    polygon = outline_of(mask)
    assert 3 <= len(polygon) <= MAX_POINTS
    differing = cv2.erode((filled(polygon, mask.shape) != mask).astype(np.uint8), np.ones((3, 3), np.uint8))
    assert not differing.any()


def test_of_several_parts_the_largest_is_told() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[1:4, 1:4] = 1
    mask[20:30, 20:40] = 1
    assert outline_of(mask).min() == 20


def test_an_empty_mask_has_no_outline() -> None:
    assert outline_of(np.zeros((8, 8), np.uint8)).shape == (0, 2)


def test_a_single_pixel_is_a_point() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[3, 5] = 1
    assert outline_of(mask).tolist() == [[5, 3]]


@given(st.integers(0, 2**32 - 1), st.integers(3, 2000))
def test_any_polygon_gets_few_points(seed: int, points: int) -> None:
    polygon = np.random.default_rng(seed).uniform(-1e4, 1e4, (points, 2)).astype(np.float32)
    assert 1 <= len(simplified(polygon)) <= MAX_POINTS
