"""Painted patches of known colour, place and size; names, hex, ranges around the hue circle."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.objects import Detections
from pipeline.picture import BgrPicture, YuvPicture
from stages.detect.colour import ColourDetector, ColourOptions
from tests.stages.detect.footage import CONTEXT

RED, BLUE, YELLOW = (40, 30, 210), (200, 80, 40), (40, 220, 250)
GREY = (110, 110, 110)


def painted(
    *boxes: tuple[tuple[int, int, int, int], tuple[int, int, int]], size: tuple[int, int] = (640, 360)
) -> BgrPicture:
    """Boxes (left, top, right, bottom) of a colour, right and bottom outside, on grey."""
    bgr = np.full((size[1], size[0], 3), GREY, np.uint8)
    for (left, top, right, bottom), colour in boxes:
        bgr[top:bottom, left:right] = colour
    return BgrPicture(bgr)


def detect(picture: BgrPicture | YuvPicture, **options: Any) -> Detections:
    return ColourDetector(ColourOptions(**options), CONTEXT).detect([picture])[0]


def test_patches_are_found_where_they_are() -> None:
    picture = painted(((100, 50, 160, 90), RED), ((300, 200, 420, 260), RED), ((500, 20, 540, 60), BLUE))
    found = detect(picture, colours={"stop": "red", "sea": ["blue"]})
    assert found.label.tolist() == ["stop", "stop", "sea"]
    assert found.xyxy.tolist() == [[300, 200, 420, 260], [100, 50, 160, 90], [500, 20, 540, 60]]
    assert found.score.tolist() == [1.0, 1.0, 1.0]
    assert found.outline is None


def test_boxes_are_in_pixels_of_the_picture() -> None:
    picture = painted(((600, 300, 900, 600), RED), size=(1920, 1080))
    found = detect(picture, colours={"red": "red"})
    assert found.xyxy[0] == pytest.approx([600, 300, 900, 600], abs=4)


def test_planes_of_a_decoder_are_searched_as_well() -> None:
    bgr = painted(((100, 48, 160, 90), RED)).bgr()
    i420 = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    y, u, v = np.split(i420, [640 * 360, 640 * 360 * 5 // 4])
    picture = YuvPicture(y.reshape(360, 640), u.reshape(180, 320), v.reshape(180, 320))
    assert detect(picture, colours={"red": "red"}).xyxy[0] == pytest.approx([100, 48, 160, 90], abs=2)


@pytest.mark.parametrize(
    "colour", ["red", "#d21e28", {"low": [170, 90, 50], "high": [8, 255, 255]}, ["white", "red"]]
)
def test_ways_to_name_a_colour(colour: Any) -> None:
    found = detect(painted(((100, 50, 160, 90), RED), ((300, 50, 360, 90), BLUE)), colours={"it": colour})
    assert found.xyxy.tolist() == [[100, 50, 160, 90]]


@given(st.integers(0, 179), st.integers(5, 60))
def test_a_range_of_hues_goes_around_the_circle(low: int, width: int) -> None:
    """Every hue within is found and no other, wherever the range begins."""
    high = (low + width) % 180
    hues = np.arange(180)
    hsv = np.zeros((20, 180 * 10, 3), np.uint8)
    hsv[..., 0] = np.repeat(hues, 10)
    hsv[..., 1:] = 255
    picture = BgrPicture(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))
    wanted = (hues - low) % 180 <= width
    # BGR of 8 bits rounds the hue: it comes back within 1.
    options = {
        "colours": {"it": {"low": [low, 200, 200], "high": [high, 255, 255]}},
        "min_area": 0.0005,
        "height": 32,
    }
    found = detect(picture, **options)
    covered = np.zeros(180, bool)
    for left, _, right, _ in found.xyxy.tolist():
        covered[round(left / 10) : round(right / 10)] = True
    inner = wanted & np.roll(wanted, 1) & np.roll(wanted, -1)
    outer = wanted | np.roll(wanted, 1) | np.roll(wanted, -1)
    assert covered[inner].all()
    assert not covered[~outer].any()


def test_small_and_large_patches_are_left_out() -> None:
    picture = painted(((10, 10, 14, 14), RED), ((100, 50, 160, 90), RED), ((200, 0, 640, 360), RED))
    found = detect(picture, colours={"red": "red"}, min_area=0.001, max_area=0.1)
    assert found.xyxy.tolist() == [[100, 50, 160, 90]]
    assert len(detect(picture, colours={"red": "red"}, max_detections=1)) == 1


def test_gaps_are_closed_and_lower_the_score() -> None:
    picture = painted(((100, 50, 130, 90), RED), ((136, 50, 160, 90), RED))
    assert len(detect(picture, colours={"red": "red"})) == 2
    joined = detect(picture, colours={"red": "red"}, close=9)
    assert joined.xyxy.tolist() == [[100, 50, 160, 90]]
    assert joined.score[0] == pytest.approx(0.9, abs=0.02)


def test_outlines_follow_the_patch() -> None:
    bgr = np.full((360, 640, 3), GREY, np.uint8)
    cv2.circle(bgr, (200, 150), 60, YELLOW, cv2.FILLED)
    found = detect(BgrPicture(bgr), colours={"ball": "yellow"}, outlines=True, height=180)
    assert found.outline is not None
    distance = np.hypot(*(found.outline[0] - [200, 150]).T)
    assert distance == pytest.approx(np.full(len(distance), 60), abs=3)
    assert len(found[:0].outline) == 0  # type: ignore[arg-type]


def test_nothing_of_the_colour_is_nothing() -> None:
    found = detect(painted(), colours={"red": "red", "blue": "blue"}, outlines=True)
    assert len(found) == 0
    assert found.outline is not None


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3)])
def test_odd_pictures(size: tuple[int, int]) -> None:
    assert len(detect(painted(size=size), colours={"red": "red"})) == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "required"),
        ({"colours": {}}, "at least 1"),
        ({"colours": {"it": []}}, "no colour"),
        ({"colours": {"it": "rde"}}, "did you mean 'red'"),
        ({"colours": {"it": {"low": [0, 0, 0], "high": [200, 1, 1]}}}, "degrees halved"),
        ({"colours": {"it": {"low": [0, 9, 0], "high": [9, 1, 1]}}}, "only the hue goes around"),
        ({"colours": {"it": "red"}, "min_area": 0.5, "max_area": 0.1}, "is above max_area"),
        ({"colours": "red"}, "dictionary"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ColourOptions(**wrong)
