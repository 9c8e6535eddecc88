"""Heat and flow as pictures: colours and arrows over the scene."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipeline.picture import Picture, U8Array
from stages.count.geometry import F64Array
from stages.count.maps.grid import F32Array, Sums

WIDEST_PX = 960
"""Pictures are reduced to this."""
_ARROWS = 32  # across the picture
_BAR_PX = 26
_INK = (240, 240, 240)


def heat_picture(sums: Sums, scene: Picture | None, width: int, height: int) -> U8Array:
    """Return where objects dwell, (H, W, 3) uint8 BGR, with a scale below it.

    Colours go with the square root of the seconds, so that a lane shows beside a bus stop; the scale ends at
    the longest dwell of all but the uppermost hundredth of the cells.

    Args:
        sums: of the interval.
        scene: what is shown below, None for black.
        width: of the camera's picture, px.
        height: of the camera's picture, px.
    """
    canvas = _scene(scene, width, height)
    dwell_s = sums.dwell_s
    occupied = dwell_s[dwell_s > 0]
    most_s = float(np.percentile(occupied, 99)) if occupied.size else 0.0
    level = np.sqrt(np.clip(dwell_s / most_s, 0, 1)) if most_s else np.zeros_like(dwell_s)
    field = _enlarged(level.astype(np.float32), canvas).clip(0, 1)
    colours = np.asarray(
        cv2.applyColorMap(np.rint(field * 255).astype(np.uint8), cv2.COLORMAP_TURBO), np.uint8
    )
    weight = np.minimum(field * 3, 0.75)[..., None]
    painted = np.rint(canvas * (1 - weight) + colours * weight).astype(np.uint8)
    return np.vstack([painted, _scale(painted.shape[1], f"{most_s:.3g} s")])


def flow_picture(sums: Sums, scene: Picture | None, width: int, height: int) -> U8Array:
    """Return which way objects go, (H, W, 3) uint8 BGR: arrows as long as the speed, by direction coloured.

    An arrow stands for several cells where they are small. Where paths go both ways it is pale: their mean
    says little.

    Args:
        sums: of the interval.
        scene: what is shown below, None for black.
        width: of the camera's picture, px.
        height: of the camera's picture, px.
    """
    canvas = _scene(scene, width, height)
    scale = canvas.shape[1] / width
    cell_px = width / sums.dwell_s.shape[1]
    block = max(1, round(sums.dwell_s.shape[1] / _ARROWS))
    shift, path, dwell_s = (_blocks(one, block) for one in (sums.shift_px, sums.path_px, sums.dwell_s))
    moved = np.hypot(shift[..., 0], shift[..., 1])
    speeds = np.divide(moved, dwell_s, out=np.zeros_like(moved), where=dwell_s > 0)
    walked = path > block * cell_px / 2  # what trembles in one place is no way
    fastest = float(np.percentile(speeds[walked], 95)) if walked.any() else 0.0
    spacing_px = block * cell_px * scale
    for row, column in zip(*np.nonzero(walked & (moved > 0)), strict=True):
        x, y = shift[row, column] / moved[row, column]
        length_px = spacing_px * (0.35 + 0.55 * min(1.0, speeds[row, column] / fastest))
        middle = np.array([column + 0.5, row + 0.5]) * spacing_px
        tail, tip = (middle + sign * length_px / 2 * np.array([x, y]) for sign in (-1, 1))
        agreement = float(moved[row, column] / path[row, column])
        colour = _direction_colour(math.degrees(math.atan2(y, x)) % 360, agreement)
        ends = [tuple(int(v) for v in np.rint(point)) for point in (tail, tip)]
        cv2.arrowedLine(canvas, ends[0], ends[1], colour, 2, cv2.LINE_AA, tipLength=0.4)
    cv2.putText(
        canvas, f"95 % of mean speeds < {fastest:.3g} px/s", (8, canvas.shape[0] - 8),
        cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA,
    )  # fmt: skip
    return canvas


def _scene(scene: Picture | None, width: int, height: int) -> U8Array:
    """Return the scene in dim grey, so that colours stand out."""
    shown = min(1.0, WIDEST_PX / width)
    size = max(1, round(width * shown)), max(1, round(height * shown))
    if scene is None:
        return np.zeros((size[1], size[0], 3), np.uint8)
    grey = cv2.cvtColor(scene.fit(*size), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=0.6), cv2.COLOR_GRAY2BGR), np.uint8)


def _enlarged(field: F32Array, canvas: U8Array) -> F32Array:
    """Return a field of cells in the size of the canvas; the last row of cells may reach beyond it."""
    rows, columns = field.shape
    cell = canvas.shape[1] / columns
    large = cv2.resize(field, (canvas.shape[1], max(1, round(rows * cell))), interpolation=cv2.INTER_LINEAR)
    large = np.asarray(large, np.float32)[: canvas.shape[0]]
    missing = canvas.shape[0] - large.shape[0]
    return np.pad(large, ((0, missing), (0, 0)), mode="edge") if missing else large


def _blocks(sums: F64Array, block: int) -> F64Array:
    """Return sums of block x block cells, (ceil(R / block), ceil(C / block), ...)."""
    rows, columns = sums.shape[:2]
    pads = [(0, -rows % block), (0, -columns % block), *[(0, 0)] * (sums.ndim - 2)]
    padded = np.pad(sums, pads)
    shape = (padded.shape[0] // block, block, padded.shape[1] // block, block, *sums.shape[2:])
    summed: F64Array = padded.reshape(shape).sum(axis=(1, 3))
    return summed


def _direction_colour(degrees: float, agreement: float) -> tuple[int, int, int]:
    hsv = np.array([[[degrees / 2, 60 + 195 * agreement, 255]]], np.uint8)
    blue, green, red = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red


def _scale(width: int, most: str) -> U8Array:
    bar = np.zeros((_BAR_PX, width, 3), np.uint8)
    ramp = np.linspace(0, 255, width // 3).astype(np.uint8)[None].repeat(10, axis=0)
    bar[8:18, 30 : 30 + width // 3] = cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO)
    for text, x in (("0", 10), (f"{most} and more (colours by square root)", 40 + width // 3)):
        cv2.putText(bar, text, (x, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return bar
