"""The street without anybody in it, painted once, and what stands in front of the road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from streams.sources.synthetic.geometry import (
    FACADE_Z,
    FAR_KERB_Z,
    LANES,
    NEAR_KERB_Z,
    SHADOW_SLANT,
    ZEBRA_X,
    Camera,
)

U8Array = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_FINER = 2
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something fixed that hides what is behind it.

    Attributes:
        z: its distance, m.
        alpha: (H, W) uint8 over the whole picture, 255 where nothing shines through.
        box: (left, top, right, bottom) px outside of which alpha is 0.
    """

    z: float
    alpha: U8Array
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The empty street.

    Attributes:
        bgr: (H, W, 3) uint8, occluders included.
        occluders: what stands in front, nearest first.
    """

    bgr: U8Array
    occluders: tuple[Occluder, ...]


class _Canvas:
    """A finer picture to paint on in world coordinates: (x, z) on the ground, or (x, up) at a distance."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.bgr = np.zeros((camera.height * _FINER, camera.width * _FINER, 3), np.uint8)

    def ground(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon of (x, z) on the ground."""
        self._fill([(self.camera.x_px(x, z), self.camera.y_px(z)) for x, z in points], colour)

    def upright(self, z: float, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon of (x, metres up) that stands at distance z."""
        scale, foot = self.camera.scale(z), self.camera.y_px(z)
        self._fill([(self.camera.x_px(x, z), foot - up * scale) for x, up in points], colour)

    def wall(self, z: float, left: float, low: float, right: float, high: float, colour: Colour) -> None:
        """Fill a standing rectangle."""
        self.upright(z, [(left, low), (right, low), (right, high), (left, high)], colour)

    def blob(self, z: float, x: float, up: float, radius: float, colour: Colour, flat: float = 1.0) -> None:
        """Fill a standing ellipse, `flat` times as high as wide."""
        turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        self.upright(
            z, list(zip(x + radius * np.cos(turn), up + flat * radius * np.sin(turn), strict=True)), colour
        )

    def _fill(self, pixels: Sequence[tuple[float, float]], colour: Colour) -> None:
        factor = _FINER << _SUBPIXEL_BITS
        corners = np.round(np.array(pixels) * factor - (1 << _SUBPIXEL_BITS) / 2).astype(np.int32)
        cv2.fillPoly(self.bgr, [corners], colour, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)

    def finish(self) -> U8Array:
        """Return the picture in its final size."""
        size = (self.camera.width, self.camera.height)
        return np.asarray(cv2.resize(self.bgr, size, interpolation=cv2.INTER_AREA), np.uint8)


def paint_backdrop(camera: Camera, seed: int) -> Backdrop:
    """Paint the empty street; the same seed gives the same houses and stains."""
    rng = np.random.default_rng([seed, 0xB0])
    canvas = _Canvas(camera)
    _houses(canvas, rng)
    _pavements(canvas, rng)
    _road(canvas, rng)
    bgr = _textured(canvas, rng)
    pieces = (
        _lamp(camera, -1.4),
        _tree(camera, rng, 10.8),
        _shelter(camera, 3.2),
        _planter(camera, rng, 4.6),
    )
    occluders = []
    for z, colour, alpha in sorted(pieces, key=lambda piece: -piece[0]):
        bgr = _shade(bgr, camera, z, alpha)
        bgr = _over(bgr, colour, alpha)
        left, top, width, height = cv2.boundingRect(alpha)
        occluders.append(Occluder(z, alpha, (left, top, left + width, top + height)))
    bgr.flags.writeable = False
    return Backdrop(bgr, tuple(reversed(occluders)))


_FACADES: tuple[Colour, ...] = (
    (168, 196, 214),
    (122, 142, 184),
    (186, 192, 196),
    (150, 190, 214),
    (172, 178, 158),
    (140, 156, 172),
)
_AWNINGS: tuple[Colour, ...] = ((70, 70, 168), (96, 130, 60), (150, 96, 50), (60, 140, 200))
_GLASS: Colour = (98, 84, 70)


def _houses(canvas: _Canvas, rng: np.random.Generator) -> None:
    half = canvas.camera.half_view_m(FACADE_Z) + 1
    canvas.wall(FACADE_Z, -half, 0, half, 14, (226, 212, 196))
    x, index = -half - float(rng.uniform(0, 3)), int(rng.integers(len(_FACADES)))
    while x < half:
        width, height = float(rng.uniform(6.0, 9.5)), float(rng.choice([8.9, 9.6, 11.2]))
        _house(canvas, rng, x, width, height, _FACADES[index % len(_FACADES)])
        index += 1
        x += width
    for x in np.arange(-half, half, 4.6) + rng.uniform(0, 2):
        for _ in range(7):
            green = int(rng.integers(84, 118))
            where = float(x) + float(rng.normal(0, 0.35)), float(rng.uniform(0.25, 0.75))
            canvas.blob(FACADE_Z, *where, float(rng.uniform(0.25, 0.42)), (58, green, green - 28))
        canvas.wall(FACADE_Z, float(x) - 0.7, 0, float(x) + 0.7, 0.35, (110, 122, 132))


def _house(
    canvas: _Canvas, rng: np.random.Generator, x: float, width: float, height: float, colour: Colour
) -> None:
    def darker(factor: float) -> Colour:
        blue, green, red = (min(255, int(value * factor)) for value in colour)
        return blue, green, red

    z = FACADE_Z
    canvas.wall(z, x, 0, x + width, height, colour)
    canvas.wall(z, x, height - 0.35, x + width, height, darker(0.72))
    canvas.wall(z, x, height, x + width, height + 1.3, (92, 92, 116))
    canvas.wall(z, x + width - 0.12, 0, x + width, height, darker(0.8))
    canvas.wall(z, x, 2.95, x + width, 3.12, darker(0.82))
    columns = max(2, int(width / 2.1))
    pitch = width / columns
    for floor in (3.7, 6.5):
        if floor + 1.7 > height - 0.4:
            continue
        for column in range(columns):
            middle = x + (column + 0.5) * pitch
            glass: Colour = _GLASS if rng.random() < 0.75 else (150, 190, 206)
            canvas.wall(z, middle - 0.62, floor - 0.1, middle + 0.62, floor + 1.72, darker(1.16))
            canvas.wall(z, middle - 0.5, floor, middle + 0.5, floor + 1.6, glass)
            canvas.wall(z, middle - 0.04, floor, middle + 0.04, floor + 1.6, darker(1.16))
            canvas.wall(z, middle - 0.7, floor - 0.22, middle + 0.7, floor - 0.08, darker(0.78))
    door = x + pitch * (0.5 + int(rng.integers(columns)))
    if rng.random() < 0.6:
        awning = _AWNINGS[int(rng.integers(len(_AWNINGS)))]
        canvas.wall(z, x + 0.5, 0.5, x + width - 0.5, 2.3, _GLASS)
        for bar in np.linspace(x + 0.5, x + width - 0.5, columns + 1):
            canvas.wall(z, float(bar) - 0.05, 0.5, float(bar) + 0.05, 2.3, darker(1.1))
        stripes = np.linspace(x + 0.3, x + width - 0.3, 2 * columns + 4)
        for i, (a, b) in enumerate(pairwise(stripes)):
            canvas.wall(z, float(a), 2.1, float(b), 2.75, awning if i % 2 else (214, 218, 220))
    else:
        for column in range(columns):
            middle = x + (column + 0.5) * pitch
            canvas.wall(z, middle - 0.55, 0.9, middle + 0.55, 2.5, _GLASS)
            canvas.wall(z, middle - 0.65, 0.78, middle + 0.65, 0.92, darker(0.78))
    canvas.wall(z, door - 0.6, 0, door + 0.6, 2.45, darker(1.1))
    canvas.wall(z, door - 0.48, 0, door + 0.48, 2.3, (58, 66, 84))


def _pavements(canvas: _Canvas, rng: np.random.Generator) -> None:
    for far, near, step in ((FACADE_Z, FAR_KERB_Z, 1.1), (NEAR_KERB_Z, canvas.camera.nearest_z(), 0.8)):
        half = canvas.camera.half_view_m(far) + 1
        canvas.ground([(-half, far), (half, far), (half, near), (-half, near)], (126, 132, 136))
        for row, z in enumerate(np.arange(near, far, step)):
            for x in np.arange(-half - (row % 2) * step / 2, half, step):
                shade = 160 + int(rng.integers(-9, 10))
                right, back = x + 0.95 * step, z + 0.94 * step
                tile = [(x, z), (right, z), (right, back), (x, back)]
                canvas.ground([(a, min(b, far)) for a, b in tile], (shade - 4, shade + 4, shade + 8))
    half = canvas.camera.half_view_m(FAR_KERB_Z) + 1
    canvas.wall(FAR_KERB_Z, -half, 0, half, 0.16, (146, 150, 152))
    canvas.ground([(-half, z) for z in (16.35, 16.0)] + [(half, z) for z in (16.0, 16.35)], (176, 182, 184))


def _road(canvas: _Canvas, rng: np.random.Generator) -> None:
    half = canvas.camera.half_view_m(FAR_KERB_Z) + 2

    def strip(near: float, far: float, colour: Colour, left: float = -half, right: float = half) -> None:
        canvas.ground([(left, near), (right, near), (right, far), (left, far)], colour)

    strip(NEAR_KERB_Z, FAR_KERB_Z, (80, 78, 76))
    for z in (NEAR_KERB_Z, FAR_KERB_Z - 0.5):
        strip(z, z + 0.5, (72, 71, 70))
    for lane in LANES:
        for track in (lane.z + 0.1, lane.z + 1.5):
            strip(track, track + 0.4, (75, 73, 72))
    for _ in range(6):
        x, z = float(rng.uniform(-half, half)), float(rng.uniform(16.5, 26.5))
        strip(z, z + float(rng.uniform(0.6, 1.2)), (72, 71, 70), x, x + float(rng.uniform(1.5, 5)))
    paint: Colour = (208, 212, 212)
    for z in (19.4, 19.75):
        strip(z, z + 0.14, paint, -half, ZEBRA_X[0] - 1.2)
        strip(z, z + 0.14, paint, ZEBRA_X[1] + 1.2, half)
    for x in np.arange(ZEBRA_X[1] + 2.0, half, 5.0):
        strip(23.53, 23.68, paint, float(x), float(x) + 2.4)
    for z in np.arange(NEAR_KERB_Z + 0.5, FAR_KERB_Z - 0.5, 1.12):
        strip(z, z + 0.58, paint, *ZEBRA_X)
    for lane in LANES:
        strip(lane.near_z + 0.4, lane.far_z - 0.3, paint, lane.stop_x - 0.15, lane.stop_x + 0.15)


def _textured(canvas: _Canvas, rng: np.random.Generator) -> U8Array:
    """Return the finished picture with grain and stains, coarser on what is near."""
    bgr = canvas.finish()
    height, width = bgr.shape[:2]
    grain = rng.normal(0, 3.0, (height, width)).astype(np.float32)
    for cells, strength in ((6, 2.0), (26, 3.0)):
        size = (max(2, width // cells), max(2, height // cells))
        stains = rng.normal(0, strength, (size[1], size[0])).astype(np.float32)
        grain += cv2.resize(stains, (width, height), interpolation=cv2.INTER_CUBIC)
    ground = round(canvas.camera.y_px(FACADE_Z))
    grain[:ground] *= 0.45
    shade = np.ones(height, np.float32)
    foot = round(0.02 * height)
    shade[ground : ground + foot] = np.linspace(0.8, 1, foot)
    lit = bgr * shade[:, None, None] + grain[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


_Piece = tuple[float, U8Array, U8Array]
"""Distance, colours and alpha of an occluder, the size of the picture."""


class _Cutout:
    """Paints one occluder: the same shapes onto its colours and onto its alpha."""

    def __init__(self, camera: Camera, z: float) -> None:
        self._z = z
        self._colour, self._alpha = _Canvas(camera), _Canvas(camera)

    def wall(
        self, left: float, low: float, right: float, high: float, colour: Colour, alpha: int = 255
    ) -> None:
        self._colour.wall(self._z, left, low, right, high, colour)
        self._alpha.wall(self._z, left, low, right, high, (alpha, alpha, alpha))

    def blob(self, x: float, up: float, radius: float, colour: Colour, flat: float = 1.0) -> None:
        self._colour.blob(self._z, x, up, radius, colour, flat)
        self._alpha.blob(self._z, x, up, radius, (255, 255, 255), flat)

    def finish(self) -> _Piece:
        # thicken the colours by a pixel, so that soft edges do not fade to black
        colour = np.where(
            self._alpha.bgr > 0, self._colour.bgr, cv2.dilate(self._colour.bgr, np.ones((5, 5), np.uint8))
        )
        self._colour.bgr = np.asarray(colour, np.uint8)
        return self._z, self._colour.finish(), np.ascontiguousarray(self._alpha.finish()[..., 0])


def _lamp(camera: Camera, x: float) -> _Piece:
    lamp = _Cutout(camera, NEAR_KERB_Z - 0.3)
    lamp.wall(x - 0.13, 0, x + 0.13, 0.7, (62, 66, 62))
    lamp.wall(x - 0.07, 0, x + 0.07, 8.3, (74, 80, 76))
    lamp.wall(x - 0.07, 8.2, x + 1.5, 8.34, (74, 80, 76))
    lamp.blob(x + 1.5, 8.2, 0.4, (196, 224, 232), flat=0.4)
    return lamp.finish()


def _tree(camera: Camera, rng: np.random.Generator, x: float) -> _Piece:
    tree = _Cutout(camera, NEAR_KERB_Z - 0.4)
    tree.wall(x - 0.17, 0, x + 0.15, 6.5, (58, 78, 98))
    tree.wall(x - 0.17, 0, x - 0.05, 6.5, (46, 64, 82))
    for layer in range(3):
        for _ in range(60):
            angle, reach = float(rng.uniform(0, 2 * np.pi)), float(np.sqrt(rng.uniform(0, 1)))
            green = int(rng.integers(88, 112)) + 14 * layer
            right = x + 2.1 * reach * np.cos(angle) - 0.12 * layer
            up = 7.6 + 1.9 * reach * np.sin(angle) + 0.12 * layer
            tree.blob(right, up, float(rng.uniform(0.22, 0.5)), (green // 2 - 4, green, int(green * 0.72)))
    return tree.finish()


def _shelter(camera: Camera, x: float) -> _Piece:
    shelter = _Cutout(camera, FAR_KERB_Z + 0.5)
    shelter.wall(x, 0.4, x + 3.6, 2.2, (196, 186, 170), alpha=110)
    for post in (x, x + 1.8, x + 3.6):
        shelter.wall(post - 0.06, 0, post + 0.06, 2.3, (86, 82, 78))
    shelter.wall(x - 0.25, 2.3, x + 3.85, 2.55, (70, 88, 60))
    shelter.wall(x + 2.6, 0.6, x + 3.4, 2.0, (60, 120, 206))
    return shelter.finish()


def _planter(camera: Camera, rng: np.random.Generator, x: float) -> _Piece:
    z = camera.nearest_z() + 0.15
    planter = _Cutout(camera, z)
    for _ in range(70):
        green = int(rng.integers(80, 132))
        where = x + float(rng.uniform(-1.5, 1.5)), 0.45 + float(rng.uniform(0, 0.3))
        planter.blob(*where, float(rng.uniform(0.1, 0.24)), (green // 2, green, int(green * 0.7)))
    planter.wall(x - 1.7, 0, x + 1.7, 0.45, (104, 116, 130))
    planter.wall(x - 1.7, 0.36, x + 1.7, 0.45, (136, 146, 158))
    return planter.finish()


def _shade(bgr: U8Array, camera: Camera, z: float, alpha: U8Array) -> U8Array:
    """Lay the shadow of an occluder to the right on the ground, as the sprites' shadows lie."""
    right, down = SHADOW_SLANT
    foot = camera.y_px(z)
    squash = np.array([[1, -right, right * foot], [0, -down, foot * (1 + down)]], np.float64)
    laid = cv2.warpAffine(alpha, squash, (camera.width, camera.height))
    soft = cv2.GaussianBlur(laid, (0, 0), max(0.8, camera.height / 240)).astype(np.float32) / 255
    return np.asarray(bgr * (1 - 0.35 * soft[..., None]), np.uint8)


def _over(bgr: U8Array, colour: U8Array, alpha: U8Array) -> U8Array:
    share = alpha[..., None].astype(np.float32) / 255
    return np.asarray(np.round(bgr * (1 - share) + colour * share), np.uint8)
