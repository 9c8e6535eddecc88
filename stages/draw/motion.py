"""Optical flow as short strokes coloured by direction, and areas as outlines with their names."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping

import cv2
import numpy as np

from pipeline.frame import Area
from pipeline.motion import MotionField
from stages.draw.paint import AMBER, Bgr, Style, U8Array, draw_path, draw_tag, shortened

# A stroke leads from where its point was so long ago.
_STROKE_S = 0.2
# Shorter strokes are what stands, with the noise of measuring; picture diagonals per second.
_SLOWEST = 0.01
_MOST_STROKES = 2000
_DIRECTIONS = 12
_LONGEST_NOTE = 60  # characters
_SHIFT = 3  # OpenCV's fixed point: coordinates in eighths of a pixel


def draw_motion(canvas: U8Array, field: MotionField, style: Style) -> None:
    """Draw a stroke for each point that moves, with a dot where it is now.

    Args:
        canvas: (H, W, 3) uint8 BGR, painted in place.
        field: in px of the canvas.
        style: sizes.
    """
    height, width = canvas.shape[:2]
    moving = np.flatnonzero(field.speed >= _SLOWEST * math.hypot(width, height))
    moving = moving[:: 1 + len(moving) // _MOST_STROKES]
    if not len(moving):
        return
    tip, velocity = field.points[moving].astype(np.float64), field.velocity[moving].astype(np.float64)
    strokes = np.stack([tip - velocity * _STROKE_S, tip], axis=1)
    fixed = np.rint(np.clip(strokes, -1e5, 1e5) * (1 << _SHIFT)).astype(np.int32)
    turn = np.arctan2(velocity[:, 1], velocity[:, 0]) / (2 * math.pi)
    direction = np.rint(turn * _DIRECTIONS).astype(np.int64) % _DIRECTIONS
    for number in np.unique(direction).tolist():
        colour, mine = _colour(number), fixed[direction == number]
        cv2.polylines(canvas, list(mine), False, colour, style.stroke, cv2.LINE_AA, _SHIFT)
        for x, y in mine[:, 1].tolist():
            radius = (style.stroke + 1) << _SHIFT
            cv2.circle(canvas, (x, y), radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def draw_areas(canvas: U8Array, areas: Mapping[str, Area], notes: Mapping[str, str], style: Style) -> None:
    """Outline each area, with its name above its topmost corner, and the note on it, if any, below that.

    Args:
        canvas: (H, W, 3) uint8 BGR, painted in place.
        areas: px of the canvas, by name.
        notes: by name.
        style: sizes.
    """
    thin = max(1, style.stroke - 1)
    for polygon in areas.values():
        draw_path(canvas, [*polygon, polygon[0]], AMBER, thin)
    for name, polygon in areas.items():
        top = min(polygon, key=lambda corner: (corner[1], corner[0]))
        draw_tag(canvas, shortened(name), top, AMBER, style)
        if name in notes:
            draw_tag(
                canvas, shortened(notes[name], _LONGEST_NOTE), (top[0], top[1] + style.row), AMBER, style
            )


def _colour(direction: int) -> Bgr:
    red, green, blue = colorsys.hsv_to_rgb(direction / _DIRECTIONS, 0.9, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)
