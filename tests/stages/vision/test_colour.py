"""Colours by name and hex, HSV ranges, and the largest patch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stages.vision.colour import NAMED_COLOURS, ColourRange, largest_blob, parse_colour

U8Array = np.ndarray

# As a person would pick them, RGB.
SEEN = {
    "red": (210, 30, 40),
    "orange": (255, 140, 0),
    "brown": (110, 70, 40),
    "yellow": (250, 220, 40),
    "green": (40, 160, 60),
    "cyan": (0, 200, 210),
    "blue": (40, 80, 200),
    "purple": (120, 40, 180),
    "magenta": (230, 20, 200),
    "pink": (250, 130, 180),
    "white": (245, 245, 245),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
    "black": (15, 15, 15),
}


def pixel(rgb: tuple[int, int, int]) -> U8Array:
    return np.asarray(cv2.cvtColor(np.array([[rgb]], np.uint8), cv2.COLOR_RGB2HSV), np.uint8)


@pytest.mark.parametrize("name", NAMED_COLOURS)
def test_a_name_means_what_people_call_so(name: str) -> None:
    assert parse_colour(f" {name.upper()} ").mask(pixel(SEEN[name])).all()
    strangers = {"red": "blue", "blue": "orange", "green": "red"}.get(name, "green")
    assert not parse_colour(name).mask(pixel(SEEN[strangers])).any()


@pytest.mark.parametrize(
    ("text", "within", "without"),
    [
        ("#ff8800", (255, 136, 0), (255, 0, 0)),
        ("ff8800", (170, 95, 10), (255, 255, 0)),  # in the shade
        ("#f80", (255, 136, 0), (0, 0, 255)),
        ("#e01030", (220, 20, 20), (255, 136, 0)),  # the hue goes around
        ("#808080", (120, 125, 130), (255, 136, 0)),
        ("#000000", (20, 10, 10), (120, 120, 120)),
    ],
)
def test_hex(text: str, within: tuple[int, int, int], without: tuple[int, int, int]) -> None:
    assert parse_colour(text).mask(pixel(within)).all()
    assert not parse_colour(text).mask(pixel(without)).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ornage", "unknown colour 'ornage'; did you mean 'orange'\\? known: red, orange"),
        ("zzz", "unknown colour 'zzz'; known: red"),
        ("", "unknown colour ''; known: red"),
        ("#ff880", "'#ff880' is no hex colour; it needs three or six digits"),
        ("#gg8800", "'#gg8800' is no hex colour"),
    ],
)
def test_what_is_no_colour_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_colour(text)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ((180, 0, 0), (179, 255, 255), "low: hue 180 must be within 0..179; the hue is in degrees halved"),
        ((0, 0, 0), (20, 256, 255), "high: saturation 256 must be within 0..255"),
        ((0, 0, -1), (20, 255, 255), "low: value -1"),
        ((0, 90, 0), (20, 80, 255), r"low \[0, 90, 0\] must not be above high \[20, 80, 255\]"),
    ],
)
def test_a_wrong_range_is_refused(
    low: tuple[int, int, int], high: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ColourRange(low, high)


def patches(*boxes: tuple[int, int, int, int]) -> U8Array:
    mask = np.zeros((120, 160), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    return mask


@pytest.mark.parametrize(
    ("what", "mask", "box"),
    [
        ("one", patches((20, 30, 50, 70)), [20, 30, 50, 70]),
        ("the larger", patches((20, 30, 50, 70), (120, 20, 140, 40)), [20, 30, 50, 70]),
        ("parted by a stripe", patches((20, 30, 50, 50), (20, 60, 50, 80)), [20, 30, 50, 80]),
        ("with a speck beside it", patches((20, 30, 50, 70), (55, 40, 59, 44)), [20, 30, 50, 70]),
        ("too small", patches((20, 30, 25, 35)), None),
        ("single pixels", patches(*((x, 9, x + 1, 10) for x in range(0, 160, 3))), None),
        ("nothing", patches(), None),
    ],
)
def test_the_largest_patch(what: str, mask: U8Array, box: list[float] | None) -> None:
    found = largest_blob(mask, 50)
    if box is None:
        assert found is None, what
    else:
        assert found is not None, what
        assert found[0].tolist() == box, what
        assert found[1] >= 50, what
