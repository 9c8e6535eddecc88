"""Display matrices against numpy's turns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streams.sources.upright import Upright

IMAGE = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270, -90, 88.5])
def test_turns(clockwise_deg: float) -> None:
    turn = math.radians(clockwise_deg)
    upright = Upright.from_matrix(math.cos(turn), math.sin(turn), -math.sin(turn), math.cos(turn))
    quarters = round(clockwise_deg / 90)
    np.testing.assert_array_equal(upright.apply(IMAGE), np.rot90(IMAGE, -quarters))
    assert upright.turn_deg == quarters * 90 % 360
    assert upright.size(3, 2) == upright.apply(IMAGE).shape[::-1]


@pytest.mark.parametrize(
    ("matrix", "wanted", "turn_deg"),
    [
        ((-1, 0, 0, 1), np.fliplr(IMAGE), 0),
        ((1, 0, 0, -1), np.flipud(IMAGE), 180),
        ((0, 1, 1, 0), IMAGE.T, 270),
        ((0, -1, -1, 0), np.rot90(IMAGE, 2).T, 90),
    ],
)
def test_mirrors(matrix: tuple[int, int, int, int], wanted: np.ndarray, turn_deg: int) -> None:
    upright = Upright.from_matrix(*matrix)
    np.testing.assert_array_equal(upright.apply(IMAGE), wanted)
    np.testing.assert_array_equal(np.rot90(np.fliplr(IMAGE), -turn_deg // 90), wanted)
    assert upright.turn_deg == turn_deg


def test_an_upright_picture_is_not_copied() -> None:
    assert Upright().apply(IMAGE) is IMAGE


def test_colour_pictures_keep_their_channels() -> None:
    bgr = np.dstack([IMAGE, IMAGE + 10, IMAGE + 20])
    np.testing.assert_array_equal(Upright.from_matrix(0, 1, -1, 0).apply(bgr), np.rot90(bgr, -1))
