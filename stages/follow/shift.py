"""Mean shift and CamShift: a window climbs to where the most of an object's colour is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stages.follow.view import F64Array, U8Array, box_at, clipped, size_of

_ITERATIONS, _LEAST_MOVE_PX = 20, 0.5
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, _LEAST_MOVE_PX)
# Two standard deviations each way is what an evenly filled ellipse measures.
_EXTENT = 4.0
LEAST_SIDE = 3.0
"""Samples; what is narrower than this is nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Where the colour is.

    Attributes:
        xyxy: (4,) float64, in samples of the back-projection, centred on the colour's centre of mass.
        angle_deg: OpenCV's turn of the colour's ellipse, 0..180 clockwise; 0 for mean shift.
    """

    xyxy: F64Array
    angle_deg: float = 0.0


def mean_shift(weights: U8Array, xyxy: F64Array) -> Window | None:
    """Return where a window of fixed size comes to rest, or None where it meets no colour.

    Comaniciu & Meer 2000 ("Real-time tracking of non-rigid objects using mean shift") with a flat kernel.

    Args:
        weights: (h, w) uint8, the back-projection.
        xyxy: (4,) the window to begin with, in samples.
    """
    size = size_of(xyxy)
    # The window may hang over the edge, else it could not stay centred on what leaves the picture.
    margin = np.ceil(size / 2).astype(np.int64)
    padded = np.asarray(
        cv2.copyMakeBorder(
            weights,
            int(margin[1]),
            int(margin[1]),
            int(margin[0]),
            int(margin[0]),
            cv2.BORDER_CONSTANT,
            value=0,
        ),
        np.uint8,
    )
    shift = np.array([*margin, *margin], np.float64)
    begin = _whole(xyxy + shift, padded)
    if begin is None:
        return None
    _, (left, top, width, height) = cv2.meanShift(padded, begin, _CRITERIA)
    moments = cv2.moments(padded[top : top + height, left : left + width])
    if moments["m00"] <= 0:
        return None
    centre = np.array([left + moments["m10"] / moments["m00"], top + moments["m01"] / moments["m00"]]) + 0.5
    return Window(box_at(centre, size) - shift)


def cam_shift(weights: U8Array, xyxy: F64Array) -> Window | None:
    """Return where a window comes to rest that takes the size of the colour it holds, or None without colour.

    Bradski 1998 ("Computer vision face tracking for use in a perceptual user interface"). The window that
    is returned is four standard deviations of the colour wide and high along the picture's axes.

    Args:
        weights: (h, w) uint8, the back-projection.
        xyxy: (4,) the window to begin with, in samples.
    """
    begin = _whole(xyxy, weights)
    if begin is None:
        return None
    rotated, (left, top, width, height) = cv2.CamShift(weights, begin, _CRITERIA)
    if width < 1 or height < 1:
        return None
    moments = cv2.moments(weights[top : top + height, left : left + width])
    mass = moments["m00"]
    if mass <= 0:
        return None
    centre = np.array([left + moments["m10"] / mass, top + moments["m01"] / mass]) + 0.5
    size = _EXTENT * np.sqrt(np.array([moments["mu20"], moments["mu02"]]) / mass)
    if size.min() < LEAST_SIDE:
        return None
    return Window(box_at(centre, size), float(rotated[2]) % 180.0)


def fullest(weights: U8Array, size: F64Array, least: float = 1.0, places: int = 3) -> list[F64Array]:
    """Return the windows of one size that hold the most colour, fullest first, apart from each other.

    Args:
        weights: (h, w) uint8, the back-projection.
        size: (width, height) of a window, in samples.
        least: mean back-projection, 0..255, below which a window is left out.
        places: most windows returned.

    Returns:
        Windows (4,) xyxy in samples.
    """
    height, width = weights.shape
    columns, rows = (int(n) for n in np.clip(np.rint(size), 1, [width, height]))
    fill = np.asarray(
        cv2.boxFilter(weights, cv2.CV_32F, (columns, rows), normalize=True, borderType=cv2.BORDER_CONSTANT)
    )
    found = []
    for _ in range(places):
        _, most, _, (x, y) = cv2.minMaxLoc(fill)
        if most < least:
            break
        found.append(box_at(np.array([x + 0.5, y + 0.5]), np.asarray(size, np.float64)))
        fill[max(0, y - rows) : y + rows + 1, max(0, x - columns) : x + columns + 1] = 0
    return found


def _whole(xyxy: F64Array, weights: U8Array) -> tuple[int, int, int, int] | None:
    """Return the window as whole (left, top, width, height) within the picture, or None if outside."""
    height, width = weights.shape
    left, top, right, bottom = np.rint(clipped(xyxy, width, height)).astype(np.int64).tolist()
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top
