"""The ground seen from straight above, and its metres drawn into the camera's picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array, Point
from stages.count.ground.plane import Plane

U8Array = npt.NDArray[np.uint8]

MOST_PX = 900
"""Longest side of a view from above."""

_MARGIN = 0.4
_STEPS_M = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_MOST_LINES = 16
_LINE: tuple[int, int, int] = (60, 200, 255)


@dataclass(frozen=True, eq=False)
class BirdsEye:
    """A view from straight above, y of the plane upwards.

    Attributes:
        picture: (H, W, 3) uint8 BGR; black where the camera does not see the ground.
        area_m: (left, bottom, right, top) m.
        px_per_m: its scale.
    """

    picture: U8Array
    area_m: tuple[float, float, float, float]
    px_per_m: float


def usual_area(plane: Plane) -> tuple[float, float, float, float]:
    """Return (left, bottom, right, top) m around the calibration's points."""
    low, high = plane.metres.min(axis=0), plane.metres.max(axis=0)
    margin = _MARGIN * (high - low).max()
    left, bottom = (low - margin).tolist()
    right, top = (high + margin).tolist()
    return left, bottom, right, top


def birds_eye(
    picture: U8Array,
    plane: Plane,
    area_m: tuple[float, float, float, float] | None = None,
    *,
    grid: bool = True,
) -> BirdsEye:
    """Return the ground of a picture (H, W, 3) uint8 BGR as seen from straight above.

    Args:
        picture: of the size that the plane was laid into.
        plane: the ground.
        area_m: (left, bottom, right, top) m; around the calibration's points when left out.
        grid: whether to draw lines of round metres.
    """
    left, bottom, right, top = area = usual_area(plane) if area_m is None else area_m
    px_per_m = MOST_PX / max(right - left, top - bottom)
    width, height = max(1, round((right - left) * px_per_m)), max(1, round((top - bottom) * px_per_m))
    x = left + (np.arange(width) + 0.5) / px_per_m
    y = top - (np.arange(height) + 0.5) / px_per_m
    ground = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    # A pixel's centre lies at half a pixel; OpenCV counts from the centres.
    seen = (plane.to_pixels(ground) - 0.5).astype(np.float32).reshape(height, width, 2)
    seen = np.nan_to_num(seen, nan=-1e6).clip(-1e6, 1e6)
    view = cv2.remap(picture, seen[..., 0], seen[..., 1], cv2.INTER_LINEAR)
    if grid:
        step = grid_step_m(area)
        for start, end in grid_lines(area, step):
            ends = [(round((x - left) * px_per_m), round((top - y) * px_per_m)) for x, y in (start, end)]
            cv2.line(view, ends[0], ends[1], _LINE, 1, cv2.LINE_AA)
    return BirdsEye(np.asarray(view, np.uint8), area, px_per_m)


def grid_step_m(area_m: tuple[float, float, float, float]) -> float:
    """Return a round distance of which few lines fill an area."""
    longest = max(area_m[2] - area_m[0], area_m[3] - area_m[1])
    return next((step for step in _STEPS_M if longest / step <= _MOST_LINES), _STEPS_M[-1])


def grid_lines(area_m: tuple[float, float, float, float], step_m: float) -> list[tuple[Point, Point]]:
    """Return the lines of round metres in an area, as their ends (x, y) m."""
    left, bottom, right, top = area_m
    across = np.arange(np.ceil(left / step_m), np.floor(right / step_m) + 1) * step_m
    up = np.arange(np.ceil(bottom / step_m), np.floor(top / step_m) + 1) * step_m
    lines: list[tuple[Point, Point]] = [((x, bottom), (x, top)) for x in across.tolist()]
    return lines + [((left, y), (right, y)) for y in up.tolist()]


def grid_in_picture(plane: Plane, area_m: tuple[float, float, float, float] | None = None) -> list[F64Array]:
    """Return the lines of round metres as the camera sees them: polylines (P, 2) px, before it only."""
    area = usual_area(plane) if area_m is None else area_m
    found = []
    for start, end in grid_lines(area, grid_step_m(area)):
        along = np.linspace(0.0, 1.0, 41)[:, None]
        seen = plane.to_pixels(np.array(start) + along * (np.array(end) - np.array(start)))
        seen = seen[np.isfinite(seen).all(axis=1) & (np.abs(seen) < 1e5).all(axis=1)]
        if len(seen) > 1:
            found.append(seen)
    return found


def with_grid(picture: U8Array, plane: Plane) -> U8Array:
    """Return a picture (H, W, 3) uint8 BGR with round metres, the calibration's points and misses."""
    canvas: Any = picture.copy()
    stroke = max(1, round(max(picture.shape) / 900))
    for line in grid_in_picture(plane):
        cv2.polylines(canvas, [np.round(line).astype(np.int32)], False, _LINE, stroke, cv2.LINE_AA)
    back = plane.to_pixels(plane.metres)
    for number, (given, fitted) in enumerate(zip(plane.picture, back, strict=True), 1):
        at = (round(float(given[0])), round(float(given[1])))
        cv2.circle(canvas, at, 4 * stroke, (255, 255, 255), stroke, cv2.LINE_AA)
        cv2.putText(
            canvas,
            str(number),
            (at[0] + 6 * stroke, at[1]),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5 * stroke,
            (255, 255, 255),
            stroke,
            cv2.LINE_AA,
        )
        if np.isfinite(fitted).all():
            cv2.line(canvas, at, (round(float(fitted[0])), round(float(fitted[1]))), (0, 0, 255), stroke)
    return np.asarray(canvas, np.uint8)
