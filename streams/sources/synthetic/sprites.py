"""Drawings of cars and people with their shadows, made once per body and stamped into every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.sources.synthetic.geometry import SHADOW_SLANT
from streams.sources.synthetic.street import STRIDE_PHASES, half_width_m, swing
from streams.sources.synthetic.traffic import Shape

U8Array = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
"""Blue, green, red."""

_FINER = 4
_SUBPIXEL_BITS = 4
_SHADOW_STRENGTH = 0.42
_SHADOW_PAD_M = 0.35

_PAINTS: tuple[Colour, ...] = (
    (226, 228, 228),
    (190, 188, 182),
    (30, 27, 26),
    (70, 76, 226),
    (214, 136, 66),
    (116, 172, 92),
    (52, 172, 224),
    (182, 150, 82),
    (84, 128, 204),
    (206, 212, 216),
)
_CLOTHES: tuple[Colour, ...] = (
    (56, 56, 216),
    (120, 56, 24),
    (72, 150, 76),
    (52, 196, 240),
    (112, 40, 104),
    (242, 242, 238),
    (44, 42, 40),
    (238, 206, 168),
    (40, 110, 232),
)
_TROUSERS: tuple[Colour, ...] = ((98, 58, 32), (50, 48, 46), (56, 70, 86), (60, 60, 70), (92, 82, 70))
_SKINS: tuple[Colour, ...] = ((178, 200, 236), (140, 170, 214), (96, 128, 180), (62, 84, 122))
_HAIRS: tuple[Colour, ...] = ((30, 34, 40), (40, 62, 92), (90, 150, 190), (120, 120, 122))


@dataclass(frozen=True, slots=True)
class Sprite:
    """One drawing at a fixed scale.

    Attributes:
        bgra: (H, W, 4) uint8, colours multiplied by their alpha.
        shadow: (H', W') uint8, how much light is taken away, 255 for all.
        foot: (x, y) px in `bgra` of the point where the body stands.
        shadow_foot: the same point in `shadow`.
        scale: px per metre of both.
    """

    bgra: U8Array
    shadow: U8Array
    foot: tuple[float, float]
    shadow_foot: tuple[float, float]
    scale: float


class Pen:
    """Paints shapes given in metres: x to the right of the body's middle, y up from the ground.

    The body stands in the middle of the drawing's lower border.
    """

    def __init__(self, width_m: float, height_m: float, scale: float) -> None:
        self._scale = scale * _FINER
        self._width_px, self._height_px = int(np.ceil(width_m * scale)), int(np.ceil(height_m * scale))
        self._bgr = np.zeros((self._height_px * _FINER, self._width_px * _FINER, 3), np.uint8)
        self._alpha = np.zeros(self._bgr.shape[:2], np.uint8)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour, *, new: bool = True) -> None:
        """Fill a polygon; with `new` False it only colours what is there already."""
        pixels = [np.array([self._pixel(x, y) for x, y in points], np.int32)]
        if new:
            cv2.fillPoly(self._bgr, pixels, colour, shift=_SUBPIXEL_BITS)
            cv2.fillPoly(self._alpha, pixels, 255, shift=_SUBPIXEL_BITS)
            return
        stencil = np.zeros_like(self._alpha)
        cv2.fillPoly(stencil, pixels, 255, shift=_SUBPIXEL_BITS)
        self._bgr[(stencil & self._alpha) > 0] = colour

    def rectangle(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """Fill a rectangle."""
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.ellipse(x, y, radius, radius, colour)

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, colour: Colour) -> None:
        """Fill an ellipse."""
        turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        self.polygon(list(zip(x + radius_x * np.cos(turn), y + radius_y * np.sin(turn), strict=True)), colour)

    def limb(self, points: Sequence[tuple[float, float]], thickness: float, colour: Colour) -> None:
        """Draw a thick line with round ends."""
        pixels = [np.array([self._pixel(x, y) for x, y in points], np.int32)]
        wide = max(1, round(thickness * self._scale))
        cv2.polylines(self._bgr, pixels, False, colour, wide, shift=_SUBPIXEL_BITS)
        cv2.polylines(self._alpha, pixels, False, 255, wide, shift=_SUBPIXEL_BITS)

    def finish(self, *, flip: bool) -> U8Array:
        """Return the drawing in its final size, (H, W, 4) with premultiplied colours."""
        premultiplied = np.where(self._alpha[..., None] > 0, self._bgr, 0)
        bgra = np.dstack([premultiplied, self._alpha]).astype(np.uint8)
        size = (self._width_px, self._height_px)
        small: U8Array = np.asarray(cv2.resize(bgra, size, interpolation=cv2.INTER_AREA), np.uint8)
        return np.ascontiguousarray(small[:, ::-1]) if flip else small

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        # fillPoly's integer coordinates are pixel centres
        factor = 1 << _SUBPIXEL_BITS
        column = self._alpha.shape[1] / 2 + x * self._scale - 0.5
        row = self._alpha.shape[0] - y * self._scale - 0.5
        return round(column * factor), round(row * factor)


def draw_body(shape: Shape, heading: int, scale: float) -> list[Sprite]:
    """Draw a body at `scale` px per metre: one sprite for a car, one per walking phase for a person."""
    phases = range(1 if shape.label == "car" else STRIDE_PHASES)
    return [_with_shadow(_draw(shape, phase, scale), heading, scale) for phase in phases]


def _draw(shape: Shape, phase: int, scale: float) -> Pen:
    pen = Pen(2 * half_width_m(shape, phase), shape.height_m, scale)
    if shape.label == "car":
        _car(pen, shape)
    else:
        _person(pen, shape, phase)
    return pen


def _with_shadow(pen: Pen, heading: int, scale: float) -> Sprite:
    """Add the silhouette laid on the ground, softened, to a drawing."""
    bgra = pen.finish(flip=heading < 0)
    height, width = bgra.shape[:2]
    right, down = SHADOW_SLANT
    pad = max(2, round(_SHADOW_PAD_M * scale))
    thick = 0.1 * min(width, height)
    foot = (width / 2 + pad, thick + pad)
    size = (int(width + right * height + 2 * pad), int(foot[1] + down * height + thick + pad))
    squash = np.array([[1, -right, pad + right * height], [0, -down, foot[1] + down * height]], np.float64)
    laid = cv2.warpAffine(bgra[..., 3], squash, size)
    contact = np.zeros_like(laid)
    axes = (max(1, round(width * 0.47)), max(1, round(thick)))
    cv2.ellipse(contact, (round(foot[0]), round(foot[1])), axes, 0, 0, 360, 255, -1)
    blur = max(0.6, 0.045 * scale)
    soft = cv2.GaussianBlur(np.maximum(laid, contact), (0, 0), blur)
    shadow = np.asarray(soft * _SHADOW_STRENGTH, np.uint8)
    return Sprite(bgra, shadow, (width / 2, height), foot, scale)


def _tint(colour: Colour, factor: float) -> Colour:
    blue, green, red = (int(np.clip(value * factor, 0, 255)) for value in colour)
    return blue, green, red


# Outlines in shares of length (from the rear bumper, the car faces right) and height.
_BODY_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "hatchback": (
        (0.0, 0.18), (0.0, 0.55), (0.04, 0.66), (0.13, 0.97), (0.18, 1.0), (0.52, 1.0), (0.57, 0.97),
        (0.72, 0.63), (0.94, 0.53), (1.0, 0.42), (1.0, 0.18),
    ),
    "saloon": (
        (0.0, 0.2), (0.0, 0.58), (0.02, 0.64), (0.16, 0.67), (0.28, 0.97), (0.33, 1.0), (0.55, 1.0),
        (0.6, 0.97), (0.73, 0.64), (0.95, 0.54), (1.0, 0.42), (1.0, 0.2),
    ),
    "suv": (
        (0.0, 0.24), (0.0, 0.62), (0.04, 0.93), (0.08, 1.0), (0.58, 1.0), (0.62, 0.97), (0.74, 0.66),
        (0.96, 0.6), (1.0, 0.5), (1.0, 0.24),
    ),
    "van": (
        (0.0, 0.16), (0.0, 0.95), (0.02, 1.0), (0.72, 1.0), (0.77, 0.97), (0.87, 0.6), (0.98, 0.48),
        (1.0, 0.4), (1.0, 0.16),
    ),
}  # fmt: skip
_WINDOWS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "hatchback": (
        ((0.12, 0.66), (0.19, 0.92), (0.35, 0.92), (0.35, 0.66)),
        ((0.38, 0.66), (0.38, 0.92), (0.53, 0.92), (0.66, 0.66)),
    ),
    "saloon": (
        ((0.23, 0.68), (0.32, 0.92), (0.44, 0.92), (0.44, 0.68)),
        ((0.47, 0.68), (0.47, 0.92), (0.57, 0.92), (0.68, 0.68)),
    ),
    "suv": (
        ((0.07, 0.68), (0.1, 0.92), (0.22, 0.92), (0.22, 0.68)),
        ((0.25, 0.68), (0.25, 0.92), (0.42, 0.92), (0.42, 0.68)),
        ((0.45, 0.68), (0.45, 0.92), (0.57, 0.92), (0.68, 0.68)),
    ),
    "van": (((0.63, 0.6), (0.63, 0.9), (0.74, 0.9), (0.83, 0.6)),),
}


def _car(pen: Pen, shape: Shape) -> None:
    rng = np.random.default_rng(shape.seed)
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    if shape.model == "van" and rng.random() < 0.5:
        paint = _PAINTS[0]
    length, height = shape.length_m, shape.height_m

    def at(along: float, up: float) -> tuple[float, float]:
        return (along - 0.5) * length, up * height

    outline = _BODY_OUTLINES[shape.model]
    pen.polygon([at(*point) for point in outline], paint)
    lower = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.36), (0.0, 0.40)]
    pen.polygon([at(*point) for point in lower], _tint(paint, 0.86), new=False)
    roof = [(0.0, 0.955), (1.0, 0.955), (1.0, 1.0), (0.0, 1.0)]
    pen.polygon([at(*point) for point in roof], _tint(paint, 1.18), new=False)
    for window in _WINDOWS[shape.model]:
        pen.polygon([at(*point) for point in window], (84, 70, 56))
        shine = [(x * 0.5 + window[0][0] * 0.5, y) for x, y in window]
        pen.polygon([at(x, 0.5 * y + 0.5 * 0.93) for x, y in shine], (150, 134, 112), new=False)
    seams = (0.36, 0.62) if shape.model != "van" else (0.3, 0.6, 0.86)
    for seam in seams:
        (left, low), (right, high) = at(seam, 0.22), at(seam + 0.006, 0.62)
        pen.rectangle(left, low, right, high, _tint(paint, 0.62))
    pen.polygon([at(0.955, 0.42), at(1.0, 0.38), at(1.0, 0.46), at(0.965, 0.5)], (214, 244, 250), new=False)
    pen.polygon([at(0.0, 0.44), at(0.025, 0.44), at(0.025, 0.56), at(0.0, 0.56)], (50, 40, 196), new=False)
    wheel = 0.31 + 0.04 * (shape.model in ("suv", "van"))
    for along in (0.19, 0.81):
        x, _ = at(along, 0)
        pen.disc(x, wheel * 1.06, wheel * 1.12, _tint(paint, 0.42))
        pen.disc(x, wheel, wheel, (34, 32, 32))
        pen.disc(x, wheel, wheel * 0.58, (172, 168, 164))
        pen.disc(x, wheel, wheel * 0.2, (96, 94, 92))


def _person(pen: Pen, shape: Shape, phase: int) -> None:
    rng = np.random.default_rng(shape.seed)
    shirt, trousers, skin, hair = (
        choices[int(rng.integers(len(choices)))] for choices in (_CLOTHES, _TROUSERS, _SKINS, _HAIRS)
    )
    height, step = shape.height_m, swing(phase)
    foot = 0.17 * height * step

    def up(share: float) -> float:
        return share * height

    knee_lift = 0.03 * height * (1 - abs(step))
    for side, shade in ((-1, 0.78), (1, 1.0)):
        x = side * foot
        knee = (0.5 * x + 0.03 * height, up(0.26) + knee_lift)
        pen.limb([(0, up(0.5)), knee, (x, up(0.06))], 0.085 * height, _tint(trousers, shade))
        pen.rectangle(x - 0.04 * height, 0, x + 0.05 * height, up(0.045), (34, 34, 38))
    arm = 0.06 * height
    pen.limb([(-0.01, up(0.76)), (foot * 0.55, up(0.58)), (foot * 0.62, up(0.5))], arm, _tint(shirt, 0.7))
    pen.ellipse(0, up(0.66), 0.105 * height, 0.175 * height, shirt)
    pen.rectangle(-0.09 * height, up(0.47), 0.09 * height, up(0.62), shirt)
    pen.limb([(0, up(0.77)), (-foot * 0.5, up(0.6)), (-foot * 0.55, up(0.5))], arm, _tint(shirt, 0.86))
    pen.disc(-foot * 0.57, up(0.475), 0.03 * height, skin)
    if rng.random() < 0.35:
        bag = _CLOTHES[int(rng.integers(len(_CLOTHES)))]
        pen.rectangle(-0.115 * height, up(0.56), -0.06 * height, up(0.78), bag)
    pen.rectangle(-0.025 * height, up(0.8), 0.03 * height, up(0.88), _tint(skin, 0.85))
    pen.ellipse(0.008 * height, up(0.925), 0.058 * height, 0.072 * height, skin)
    pen.ellipse(-0.015 * height, up(0.95), 0.056 * height, 0.05 * height, hair)
