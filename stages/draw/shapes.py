"""Painting what is seen of an object beyond its box: outlines, turned boxes and poses.

All coordinates are pixels of the canvas, may be fractions and may lie outside it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stages.draw.paint import Bgr, Style, U8Array, draw_path

Points = npt.NDArray[np.floating[Any]]

SURE = 0.3
"""Points of a pose with a lower score are not shown."""

# Pairs of COCO's 17 points (Lin et al. 2014): nose 0, eyes 1-2, ears 3-4, shoulders 5-6, elbows 7-8,
# wrists 9-10, hips 11-12, knees 13-14, ankles 15-16.
_COCO_POINTS = 17
_LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)
_TINT = 0.35  # of the object's colour over its area
_FAR_PX = 1 << 14  # OpenCV's polygons want coordinates that fit into 16 bits


def draw_outline(canvas: U8Array, polygon: Points, colour: Bgr, style: Style) -> None:
    """Tint the area of a polygon (P, 2) and draw its border; nothing for fewer than three points."""
    if len(polygon) < 3:
        return
    height, width = canvas.shape[:2]
    points = np.rint(np.clip(polygon, -_FAR_PX, _FAR_PX)).astype(np.int32)
    left, top = np.clip(points.min(axis=0), 0, [width, height]).tolist()
    right, bottom = np.clip(points.max(axis=0) + 1, 0, [width, height]).tolist()
    if right <= left or bottom <= top:
        return
    part = canvas[top:bottom, left:right]
    tinted = part.copy()
    cv2.fillPoly(tinted, [points - [left, top]], colour)
    cv2.addWeighted(tinted, _TINT, part, 1 - _TINT, 0, dst=part)
    _draw_closed(canvas, polygon, colour, max(1, style.stroke - 1))


def draw_corners(canvas: U8Array, corners: Points, colour: Bgr, style: Style) -> None:
    """Outline a turned box, (4, 2)."""
    _draw_closed(canvas, corners, colour, style.stroke)


def draw_pose(canvas: U8Array, keypoints: Points, colour: Bgr, style: Style) -> None:
    """Draw the points (K, 3) of a pose that are sure enough; limbs too, where they are COCO's 17."""
    seen = keypoints[:, 2] >= SURE
    if len(keypoints) == _COCO_POINTS:
        for first, second in _LIMBS:
            if seen[first] and seen[second]:
                ends = [tuple(keypoints[first, :2].tolist()), tuple(keypoints[second, :2].tolist())]
                draw_path(canvas, ends, colour, style.stroke)
    for x, y in np.clip(keypoints[seen, :2], -_FAR_PX, _FAR_PX).tolist():
        cv2.circle(canvas, (round(x), round(y)), style.stroke + 1, colour, cv2.FILLED, cv2.LINE_AA)


def _draw_closed(canvas: U8Array, polygon: Points, colour: Bgr, thickness: int) -> None:
    points = [(float(x), float(y)) for x, y in polygon]
    draw_path(canvas, [*points, points[0]], colour, thickness)
