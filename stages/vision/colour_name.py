"""What a person would call the colour of a thing: one of eleven basic names."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.picture import Picture

U8Array = npt.NDArray[np.uint8]

ColourName = Literal[
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"
]
"""The eleven basic colour terms of English (Berlin and Kay 1969)."""

COLOUR_NAMES: tuple[ColourName, ...] = get_args(ColourName)

_GRID = 24  # pixels looked at along each side of a box
# Hue in degrees halved, as OpenCV has it: where each colour ends. Red goes around the circle.
_ENDS: tuple[tuple[int, ColourName], ...] = (
    (6, "red"), (20, "orange"), (34, "yellow"), (84, "green"), (130, "blue"), (150, "purple"), (168, "pink"),
    (180, "red"),
)  # fmt: skip
_LEAST_SATURATION, _LEAST_VALUE = 70, 45
_BROWN_VALUE, _PINK_SATURATION, _PINK_VALUE = 150, 100, 180
# A car of a colour has windows, tyres and shadows too, so less than half of it may be of that colour.
_LEAST_SHARE = 0.25
_BRIGHT_PERCENTILE, _BLACK_BELOW, _WHITE_FROM = 65, 75, 185


def sampled(picture: Picture, xyxy: tuple[float, float, float, float], inner: float) -> U8Array:
    """Return pixels on a grid in the middle of a box, (N, 3) uint8 BGR, N = 0 outside the picture.

    Where the decoder's planes are there, only these pixels are converted.

    Args:
        picture: where the box is.
        xyxy: px.
        inner: which share of the box's width and height to look at.
    """
    left, top, right, bottom = xyxy
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    half_x, half_y = (right - left) * inner / 2, (bottom - top) * inner / 2
    columns = _places(middle_x - half_x, middle_x + half_x, picture.width)
    rows = _places(middle_y - half_y, middle_y + half_y, picture.height)
    planes = picture.planes()
    if planes is None:
        return picture.bgr()[rows[:, None], columns].reshape(-1, 3)
    # OpenCV's matrix takes luma and chroma as they are; values beyond 0..255 are cut.
    y = planes.y[rows[:, None], columns].ravel()
    u = planes.u[rows[:, None] // 2, columns // 2].ravel()
    v = planes.v[rows[:, None] // 2, columns // 2].ravel()
    levels = np.stack([y, u, v, np.ones_like(y)]).astype(np.float32)
    pixels: U8Array = np.rint(planes.to_bgr @ levels).clip(0, 255).astype(np.uint8).T
    return pixels


def colour_name(bgr: U8Array) -> ColourName | None:
    """Return the name of the dominant colour of pixels (N, 3) uint8 BGR; None without pixels.

    A colour that a quarter of the pixels have wins over black, white and grey, as these are also windows,
    shadows and light.
    """
    if not len(bgr):
        return None
    hue, saturation, value = cv2.cvtColor(bgr[None], cv2.COLOR_BGR2HSV)[0].T.astype(np.int64)
    is_coloured = (saturation >= _LEAST_SATURATION) & (value >= _LEAST_VALUE)
    numbers = np.searchsorted([end for end, _ in _ENDS], hue, side="right")
    counts = dict.fromkeys(COLOUR_NAMES, 0)
    for number, (_, name) in enumerate(_ENDS):
        mine = is_coloured & (numbers == number)
        if name in ("orange", "yellow"):
            brown = mine & (value < _BROWN_VALUE) if name == "orange" else mine & (value < _BROWN_VALUE // 2)
            counts["brown"] += int(brown.sum())
            mine &= ~brown
        if name == "red":
            pink = mine & (saturation < _PINK_SATURATION) & (value >= _PINK_VALUE)
            counts["pink"] += int(pink.sum())
            mine &= ~pink
        counts[name] += int(mine.sum())
    leader = max(COLOUR_NAMES, key=lambda name: counts[name])
    if counts[leader] >= _LEAST_SHARE * len(bgr):
        return leader
    bright = np.percentile(value, _BRIGHT_PERCENTILE)
    return "black" if bright < _BLACK_BELOW else "white" if bright >= _WHITE_FROM else "grey"


def _places(low: float, high: float, size: int) -> npt.NDArray[np.int64]:
    """Return up to `_GRID` different whole px from low to high, within the picture."""
    first, last = max(0, round(low)), min(size - 1, round(high))
    if last < first:
        return np.empty(0, np.int64)
    return np.unique(np.linspace(first, last, min(_GRID, last - first + 1)).astype(np.int64))
