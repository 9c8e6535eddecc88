"""From masks to the polygons that `Detections.outline` holds."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]

MAX_POINTS = 128
"""Most points of one polygon: an object of 500 px is then drawn to within some 2 px."""

_FINEST_PX = 0.75
_COARSER = 1.5


def outline_of(mask: U8Array) -> F32Array:
    """Return the outer border of the largest connected part of a mask.

    Points that lie within a pixel of the line between their neighbours are left out (Douglas, Peucker 1973),
    with more tolerance until at most `MAX_POINTS` are left. Holes and smaller parts are not told.

    Args:
        mask: (H, W) uint8, not 0 on the object.

    Returns:
        (P, 2) float32, x and y in px of the mask, of pixel centres; P is 0 for an empty mask.
    """
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return np.empty((0, 2), np.float32)
    border = max(found, key=cv2.contourArea)
    return simplified(np.asarray(border, dtype=np.float32).reshape(-1, 2))


def simplified(polygon: F32Array) -> F32Array:
    """Return a closed polygon (P, 2) float32 px with at most `MAX_POINTS` points, as near to it as can be."""
    if len(polygon) < 3:
        return polygon
    tolerance_px = _FINEST_PX
    while True:
        line = cv2.approxPolyDP(polygon.reshape(-1, 1, 2), tolerance_px, True)
        if len(line) <= MAX_POINTS:
            return np.asarray(line, dtype=np.float32).reshape(-1, 2)
        tolerance_px *= _COARSER
