"""Colour models: what is learnt of an object, and how alike other places are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stages.follow.histogram import HUE_BINS, SATURATION_BINS, learn
from tests.stages.follow.scenes import BLUE, ORANGE, F64Array, U8Array

BOX: F64Array = np.array([20.0, 20.0, 60.0, 60.0])


def scene(*halves: tuple[int, int, int], around: tuple[int, int, int] = (110, 110, 110)) -> U8Array:
    """80 x 80 px in HSV: a square of one colour, or of two above one another, in its surroundings."""
    bgr = np.full((80, 80, 3), around, np.uint8)
    for k, colour in enumerate(halves):
        bgr[20 + 40 * k // len(halves) : 60, 20:60] = colour
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV), np.uint8)


def test_the_model_is_a_distribution() -> None:
    model = learn(scene(ORANGE, BLUE), BOX)
    assert model.colours.shape == model.weight.shape == (HUE_BINS, SATURATION_BINS)
    assert model.colours.sum() == pytest.approx(1)
    assert ((model.weight >= 0) & (model.weight <= 1)).all()
    assert 0.9 < model.share <= 1


def test_the_back_projection_shows_the_object_only() -> None:
    hsv = scene(ORANGE)
    weights = learn(hsv, BOX).weights(hsv)
    assert weights.dtype == np.uint8
    assert weights[20:60, 20:60].min() >= 250
    weights[20:60, 20:60] = 0
    assert not weights.any()


@pytest.mark.parametrize(
    ("what", "pixels", "low", "high"),
    [
        ("the same", scene(ORANGE)[20:60, 20:60], 0.99, 1),
        ("half of it covered", scene(ORANGE, (90, 90, 90))[20:60, 20:60], 0.69, 0.72),
        ("three quarters covered", scene(ORANGE)[10:30, 10:30], 0.48, 0.52),
        ("30 % darker", scene((21, 84, 161))[20:60, 20:60], 0.9, 1),
        ("another colour", scene(BLUE)[20:60, 20:60], 0, 0.01),
        ("no colour", scene()[20:60, 20:60], 0, 0),
        ("no pixels", scene()[20:20, 20:60], 0, 0),
    ],
)
def test_similarity(what: str, pixels: U8Array, low: float, high: float) -> None:
    assert low <= learn(scene(ORANGE), BOX).similarity(pixels) <= high, what


def test_colours_that_the_surroundings_have_too_decide_little() -> None:
    """Half orange, half blue on blue: it is the orange by which it is found."""
    model = learn(scene(ORANGE, BLUE, around=BLUE), BOX)
    orange, blue = (model.similarity(scene(c)[20:60, 20:60]) for c in (ORANGE, BLUE))
    assert orange > 1.4 * blue


@pytest.mark.parametrize(
    ("box", "hsv", "message"),
    [
        ([20.0, 20.0, 20.2, 60.0], scene(ORANGE), "the box is empty"),
        ([100.0, 100.0, 140.0, 140.0], scene(ORANGE), "the box is empty"),
        ([20.0, 20.0, 60.0, 60.0], scene((80, 80, 80)), r"only 0 % of the box has a colour; grey, black and"),
    ],
)
def test_what_has_no_colour_is_refused(box: list[float], hsv: U8Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learn(hsv, np.array(box))
