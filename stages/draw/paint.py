"""Painting on BGR arrays: boxes, tags, trails and a panel of counts.

Own painting with OpenCV, because supervision's annotators are no part of the base install.
All coordinates are pixels of the canvas, may be fractions and may lie outside it.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from stages.draw.place import Point, Rect

U8Array = npt.NDArray[np.uint8]
Bgr = tuple[int, int, int]

WHITE: Bgr = (255, 255, 255)
BLACK: Bgr = (0, 0, 0)
AMBER: Bgr = (0, 190, 255)
RED: Bgr = (40, 40, 230)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAP_HEIGHT_PX = 21.0  # of that font at scale 1
_BACKING = 0.2  # what is left of the picture's brightness behind text
_LONGEST_NAME = 20  # characters
_SHIFT = 3  # OpenCV's fixed point: coordinates in eighths of a pixel
_GOLDEN_TURN = 0.6180339887498949  # successive multiples of it lie as far apart on a circle as can be


@dataclass(frozen=True, slots=True)
class Style:
    """Sizes in pixels that suit a canvas.

    Attributes:
        stroke: thickness of lines.
        cap: height of capital letters.
        text_stroke: thickness of letters.
        pad: space around text.
    """

    stroke: int
    cap: int
    text_stroke: int
    pad: int

    @property
    def row(self) -> int:
        """Height of a line of text with its space above and below, including what hangs below the line."""
        return self.cap + self.cap // 3 + 2 * self.pad

    @classmethod
    def of(cls, canvas: U8Array) -> Style:
        """Return sizes that are readable at any size of picture: capitals of 7 px at 360p, 18 px at 1080p."""
        side = min(canvas.shape[:2])
        cap = max(7, round(side / 60))
        return cls(
            stroke=max(1, round(1.4 + side / 700)), cap=cap, text_stroke=1 + cap // 16, pad=max(3, cap // 4)
        )


def colour_of(number: int) -> Bgr:
    """Return a bright BGR colour for a track's number: always the same, far from its neighbours'."""
    hue = number * _GOLDEN_TURN % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.72, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def draw_box(
    canvas: U8Array, xyxy: npt.NDArray[np.floating[Any]], colour: Bgr, style: Style, *, dashed: bool = False
) -> None:
    """Outline a box (4,) xyxy; dashed and thin for one that is only predicted."""
    height, width = canvas.shape[:2]
    reach = 4.0 * style.stroke
    left, top, right, bottom = np.clip(xyxy, -reach, [width + reach, height + reach] * 2).tolist()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if not dashed:
        outline = [_fixed(corners)]
        cv2.polylines(canvas, outline, True, colour, style.stroke, cv2.LINE_AA, _SHIFT)
        return
    dashes = [
        dash
        for start, end in zip(corners, corners[1:] + corners[:1], strict=True)
        for dash in _dashes(start, end, 3.0 * style.stroke)
    ]
    cv2.polylines(canvas, dashes, False, colour, max(1, style.stroke - 1), cv2.LINE_AA, _SHIFT)


def draw_trail(canvas: U8Array, points: Sequence[Point], colour: Bgr, style: Style) -> None:
    """Draw where something was, oldest point first: thin and dark at the old end."""
    if len(points) < 2:
        return
    third = max(1, len(points) // 3)
    parts = (points[: third + 1], points[third : 2 * third + 1], points[2 * third :])
    for age, part in zip((2, 1, 0), parts, strict=True):
        if len(part) < 2:
            continue
        faded = tuple(channel * (4 - age) // 4 for channel in colour)
        draw_path(canvas, part, (faded[0], faded[1], faded[2]), max(1, style.stroke - age))


def draw_path(canvas: U8Array, points: Sequence[Point], colour: Bgr, thickness: int) -> None:
    """Draw lines from point to point."""
    cv2.polylines(canvas, [_fixed(points)], False, colour, thickness, cv2.LINE_AA, _SHIFT)


def draw_tag(
    canvas: U8Array, text: str, at: Point, colour: Bgr, style: Style, text_colour: Bgr = WHITE
) -> None:
    """Write text on a dark backing whose bottom left corner is `at`, with a bar in the object's colour.

    The tag is moved into the canvas where it would stick out of it.
    """
    shown = _printable(text)
    if not shown:
        return
    height, width = canvas.shape[:2]
    bar = 1 + style.stroke
    tag_width, tag_height = tag_size(shown, style)
    x = round(max(0.0, min(at[0], width - tag_width)))
    y = round(max(0.0, min(at[1] - tag_height, height - tag_height)))
    _darken(canvas, x, y, tag_width, tag_height)
    canvas[y : y + tag_height, x : x + bar] = colour
    _write(canvas, shown, x + bar + style.pad, y + style.pad, text_colour, style)


def tag_size(text: str, style: Style) -> tuple[int, int]:
    """Return (width, height) in pixels of the tag with this text."""
    return _text_width(_printable(text), style) + 1 + style.stroke + 2 * style.pad, style.row


def draw_notice(canvas: U8Array, text: str, style: Style) -> None:
    """Write a warning across the bottom of the picture, red and centred, with a red frame around it all."""
    height, width = canvas.shape[:2]
    cv2.rectangle(canvas, (0, 0), (width - 1, height - 1), RED, 2 * style.stroke)
    tag_width, _ = tag_size(text, style)
    draw_tag(canvas, text, ((width - tag_width) / 2, height - 3 * style.pad), RED, style)


def draw_panel(canvas: U8Array, rows: Sequence[tuple[str, str, int]], style: Style) -> None:
    """Write (line, direction, objects) rows in columns into the top left corner, as many as have room."""
    if not rows:
        return
    height, width = canvas.shape[:2]
    cells, columns = _table(height, rows, style)
    left, top, right, bottom = panel_rect(height, rows, style)
    _darken(canvas, left, top, right - left, bottom - top)
    for row, (line, direction, number) in enumerate(cells):
        y = top + style.pad + row * style.row + style.pad // 2
        x = left + style.pad
        _write(canvas, line, x, y, AMBER, style)
        _write(canvas, direction, x + columns[0] + 3 * style.pad, y, WHITE, style)
        end = min(right - style.pad, width)
        _write(canvas, number, end - _text_width(number, style), y, WHITE, style)


def panel_rect(height: int, rows: Sequence[tuple[str, str, int]], style: Style) -> Rect:
    """Return what the panel with these rows (at least one) covers of a picture of this height."""
    cells, columns = _table(height, rows, style)
    margin = style.cap // 2
    content = sum(columns) + 2 * 3 * style.pad
    return Rect(
        margin,
        margin,
        margin + content + 2 * style.pad,
        margin + len(cells) * style.row + style.pad,
    )


def shortened(text: str, longest: int = _LONGEST_NAME) -> str:
    """Return printable text that leaves room for others."""
    shown = _printable(text)
    return shown if len(shown) <= longest else shown[: longest - 2] + ".."


def _table(
    height: int, rows: Sequence[tuple[str, str, int]], style: Style
) -> tuple[list[tuple[str, str, str]], list[int]]:
    """Return the panel's cells, as many rows as have room, and the widths of its columns."""
    room = max(1, (height - 2 * (style.cap // 2) - style.pad) // style.row)
    cells = [(shortened(line), shortened(direction), str(number)) for line, direction, number in rows]
    if len(cells) > room:
        cells = [*cells[: room - 1], (f"+{len(cells) - room + 1} more", "", "")]
    return cells, [max(_text_width(cell[i], style) for cell in cells) for i in range(3)]


def _printable(text: str) -> str:
    """Replace what OpenCV's font cannot show by "?"; it knows printable ASCII only."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _text_width(text: str, style: Style) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, style.cap / _CAP_HEIGHT_PX, style.text_stroke)
    return int(width)


def _write(canvas: U8Array, text: str, x: int, y: int, colour: Bgr, style: Style) -> None:
    """Write printable text with the top left corner of its capitals at (x, y)."""
    scale = style.cap / _CAP_HEIGHT_PX
    cv2.putText(canvas, text, (x, y + style.cap), _FONT, scale, colour, style.text_stroke, cv2.LINE_AA)


def _darken(canvas: U8Array, x: int, y: int, width: int, height: int) -> None:
    part = canvas[y : y + height, x : x + width]
    if part.size:
        cv2.convertScaleAbs(part, part, _BACKING)


def _dashes(start: Point, end: Point, length_px: float) -> list[npt.NDArray[np.int32]]:
    """Cut the way from start to end into dashes with gaps of the same length, a dash at either end."""
    (ax, ay), (bx, by) = start, end
    parts = 2 * max(1, round(hypot(bx - ax, by - ay) / (2 * length_px))) + 1
    steps = np.linspace(0.0, 1.0, parts + 1)[:, None]
    points = _fixed(np.array(start) + steps * np.array([bx - ax, by - ay]))
    return [points[i : i + 2] for i in range(0, parts, 2)]


def _fixed(points: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return points (N, 2) px in OpenCV's fixed-point format; far outside any picture they are cut."""
    return np.rint(np.clip(np.asarray(points, np.float64), -1e5, 1e5) * (1 << _SHIFT)).astype(np.int32)
