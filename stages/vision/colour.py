"""Colours by name, hex or HSV range, and the largest patch of one in a picture."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]
F64Array = npt.NDArray[np.float64]

Hsv = tuple[int, int, int]
"""Hue 0..179 (degrees halved), saturation 0..255, value 0..255: OpenCV's units."""

HSV_LIMITS: Hsv = (179, 255, 255)
_HEX = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
# How far from a hex colour a pixel may be: hue to both sides, saturation and value as shares of the colour's.
_HUE_REACH, _LEAST_SHARE = 10, 0.45
_GREY_SATURATION, _VALUE_REACH = 45, 40
# A patch belongs to the largest one if the gap between their boxes is at most this share of the largest
# one's longer side, and its area at least that share of the largest one's area.
_JOINED_GAP, _JOINED_AREA = 0.4, 0.1


@dataclass(frozen=True, slots=True)
class ColourRange:
    """A box in HSV space, both ends included.

    Attributes:
        low: smallest hue, saturation and value.
        high: largest; a hue below the low one goes around the circle (red: 170 to 8).

    Raises:
        ValueError: if a value is outside OpenCV's units, or a low saturation or value is above the high one.
    """

    low: Hsv
    high: Hsv

    def __post_init__(self) -> None:
        for end, values in (("low", self.low), ("high", self.high)):
            for name, value, most in zip(("hue", "saturation", "value"), values, HSV_LIMITS, strict=True):
                if not 0 <= value <= most:
                    hint = "; the hue is in degrees halved, as in OpenCV" if name == "hue" else ""
                    raise ValueError(f"{end}: {name} {value} must be within 0..{most}{hint}")
        if self.low[1] > self.high[1] or self.low[2] > self.high[2]:
            raise ValueError(
                f"low {list(self.low)} must not be above high {list(self.high)} (only the hue goes around)"
            )

    def mask(self, hsv: U8Array) -> U8Array:
        """Return the mask (h, w) uint8 0/255 of the pixels (h, w, 3) within the range."""
        (hue, *low), (end, *high) = self.low, self.high
        if hue <= end:
            return _within(hsv, self.low, self.high)
        upper = _within(hsv, (hue, low[0], low[1]), (HSV_LIMITS[0], high[0], high[1]))
        return np.asarray(cv2.bitwise_or(upper, _within(hsv, (0, low[0], low[1]), self.high)), np.uint8)


NAMED_COLOURS: dict[str, ColourRange] = {
    "red": ColourRange((170, 90, 50), (8, 255, 255)),
    "orange": ColourRange((7, 110, 90), (21, 255, 255)),
    "brown": ColourRange((5, 60, 30), (20, 220, 140)),
    "yellow": ColourRange((21, 90, 90), (35, 255, 255)),
    "green": ColourRange((36, 60, 40), (85, 255, 255)),
    "cyan": ColourRange((84, 70, 60), (101, 255, 255)),
    "blue": ColourRange((100, 80, 40), (130, 255, 255)),
    "purple": ColourRange((128, 60, 40), (152, 255, 255)),
    "magenta": ColourRange((145, 80, 60), (170, 255, 255)),
    "pink": ColourRange((150, 40, 120), (176, 200, 255)),
    "white": ColourRange((0, 0, 200), (179, 40, 255)),
    "grey": ColourRange((0, 0, 60), (179, 40, 190)),
    "gray": ColourRange((0, 0, 60), (179, 40, 190)),
    "black": ColourRange((0, 0, 0), (179, 255, 45)),
}


def parse_colour(text: str) -> ColourRange:
    """Return the range of a colour given by its name ("orange") or as hex ("#ff8800", "f80").

    Raises:
        ValueError: if it is neither; names the nearest known colour.
    """
    word = text.strip().lower()
    if word in NAMED_COLOURS:
        return NAMED_COLOURS[word]
    match = _HEX.fullmatch(word)
    if match:
        return _around(match[1])
    if word.startswith("#"):
        raise ValueError(f"'{text}' is no hex colour; it needs three or six digits 0-9, a-f, like '#ff8800'")
    near = difflib.get_close_matches(word, NAMED_COLOURS, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ValueError(
        f"unknown colour '{text}'; {hint}known: {', '.join(NAMED_COLOURS)}, or hex like '#ff8800'"
    )


def largest_blob(mask: U8Array, least_area: float) -> tuple[F64Array, int] | None:
    """Return the largest connected patch of a mask, or None if it is smaller than `least_area`.

    Single pixels are taken away and small holes closed first (opening and closing, 3 x 3 and 5 x 5). A
    windscreen or a stripe parts an object: what is near the largest patch belongs to it.

    Args:
        mask: (h, w) uint8, 0 or 255.
        least_area: in pixels of the mask.

    Returns:
        The box (4,) float64 xyxy of all that belongs to it, and its area, in pixels of the mask.
    """
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(closed)
    if count < 2:
        return None
    xywh, area = stats[1:, :4].astype(np.float64), stats[1:, cv2.CC_STAT_AREA]
    largest = int(np.argmax(area))
    low, high = xywh[:, :2], xywh[:, :2] + xywh[:, 2:]
    gap = np.maximum(low - high[largest], low[largest] - high).max(axis=1)
    own = (gap <= _JOINED_GAP * xywh[largest, 2:].max()) & (area >= _JOINED_AREA * area[largest])
    total = int(area[own].sum())
    if total < least_area:
        return None
    return np.concatenate([low[own].min(axis=0), high[own].max(axis=0)]), total


def _around(digits: str) -> ColourRange:
    """Return the range around a hex colour of three or six digits."""
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    red, green, blue = bytes.fromhex(digits)
    pixel = np.array([[[blue, green, red]]], np.uint8)
    hue, saturation, value = (int(n) for n in np.asarray(cv2.cvtColor(pixel, cv2.COLOR_BGR2HSV))[0, 0])
    if saturation < _GREY_SATURATION or value < _VALUE_REACH:
        darkest, brightest = max(0, value - _VALUE_REACH), min(255, value + _VALUE_REACH)
        most = 255 if value < _VALUE_REACH else _GREY_SATURATION + 10
        return ColourRange((0, 0, darkest), (179, most, brightest))
    return ColourRange(
        ((hue - _HUE_REACH) % 180, round(_LEAST_SHARE * saturation), round(_LEAST_SHARE * value)),
        ((hue + _HUE_REACH) % 180, 255, 255),
    )


def _within(hsv: U8Array, low: Hsv, high: Hsv) -> U8Array:
    return np.asarray(cv2.inRange(hsv, np.array(low, np.uint8), np.array(high, np.uint8)), np.uint8)
