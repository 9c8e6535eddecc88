"""Paints the street at a time: backdrop, shadows, bodies by depth, then what the camera adds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streams.sources.synthetic.backdrop import Backdrop, paint_backdrop
from streams.sources.synthetic.sprites import Sprite, draw_body
from streams.sources.synthetic.street import Body, Placed, Street

U8Array = npt.NDArray[np.uint8]

_NOISE_SLACK_PX = 97
"""The noise is cut from a tile this much larger than the picture, at another place each time."""


@dataclass(frozen=True, slots=True)
class _Window:
    """Where a stamp meets the picture: its box in whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


class StreetRenderer:
    """Paints pictures of one street; each depends on its number alone, not on those painted before.

    Args:
        street: the scene.
    """

    def __init__(self, street: Street) -> None:
        self._street = street
        self._size = (street.camera.width, street.camera.height)
        self._backdrop: Backdrop = paint_backdrop(street.camera, street.parameters.seed)
        self._sprites: dict[int, list[Sprite]] = {}
        self._noise = _noise_tiles(street) if street.parameters.noise > 0 else None

    def paint(self, sequence: int) -> U8Array:
        """Return picture number `sequence` as a new (H, W, 3) uint8 BGR array."""
        street = self._street
        t_s = sequence / street.parameters.rate_hz
        placed = street.placed(t_s)
        self._sprites = {each.body.id: self._sprites_of(each.body) for each in placed}
        bgr = self._backdrop.bgr.copy()
        if street.parameters.shadows:
            for each in placed:
                self._lay_shadow(bgr, each)
        for each in placed:
            self._stamp(bgr, each)
        if street.parameters.jitter_px > 0:
            dx, dy = street.sway_px(t_s)
            moved = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
            bgr = _u8(cv2.warpAffine(bgr, moved, self._size, borderMode=cv2.BORDER_REPLICATE))
        gain = street.gain(t_s)
        if gain != 1.0:
            bgr = _u8(cv2.convertScaleAbs(bgr, alpha=gain))
        if self._noise is not None:
            self._add_noise(bgr, sequence, *self._noise)
        return bgr

    def _sprites_of(self, body: Body) -> list[Sprite]:
        known = self._sprites.get(body.id)
        if known is None:
            nearest = self._street.camera.scale(float(body.path.z.min()))
            known = draw_body(body.shape, body.heading, nearest)
        return known

    def _lay_shadow(self, bgr: U8Array, placed: Placed) -> None:
        sprite = self._sprites[placed.body.id][placed.phase]
        stamp = self._warped(sprite.shadow, sprite.shadow_foot, sprite.scale, placed)
        if stamp is None:
            return
        strength, window = stamp
        strength = self._hidden(strength, window, placed.z)
        roi = bgr[window.slices]
        cv2.multiply(roi, cv2.cvtColor(cv2.bitwise_not(strength), cv2.COLOR_GRAY2BGR), roi, scale=1 / 255)

    def _stamp(self, bgr: U8Array, placed: Placed) -> None:
        sprite = self._sprites[placed.body.id][placed.phase]
        stamp = self._warped(sprite.bgra, sprite.foot, sprite.scale, placed)
        if stamp is None:
            return
        bgra, window = stamp
        bgra = self._hidden(bgra, window, placed.z)
        roi = bgr[window.slices]
        behind = cv2.cvtColor(cv2.bitwise_not(bgra[..., 3]), cv2.COLOR_GRAY2BGR)
        cv2.multiply(roi, behind, roi, scale=1 / 255)
        cv2.add(roi, bgra[..., :3], roi)

    def _warped(
        self, image: U8Array, foot: tuple[float, float], scale: float, placed: Placed
    ) -> tuple[U8Array, _Window] | None:
        """Bring a sprite to its size and place, exact to fractions of a pixel; None when out of sight."""
        zoom = placed.scale / scale
        left, top = placed.x_px - zoom * foot[0], placed.y_px - zoom * foot[1]
        right, bottom = left + zoom * image.shape[1], top + zoom * image.shape[0]
        window = _Window(
            max(0, int(np.floor(left))),
            max(0, int(np.floor(top))),
            min(self._size[0], int(np.ceil(right))),
            min(self._size[1], int(np.ceil(bottom))),
        )
        if window.right <= window.left or window.bottom <= window.top:
            return None
        # OpenCV's coordinates are pixel centres, ours are pixel edges: half a pixel on either side
        half = (zoom - 1) / 2
        place = np.array(
            [[zoom, 0, left - window.left + half], [0, zoom, top - window.top + half]], np.float64
        )
        size = (window.right - window.left, window.bottom - window.top)
        return _u8(cv2.warpAffine(image, place, size, flags=cv2.INTER_LINEAR)), window

    def _hidden(self, stamp: U8Array, window: _Window, z: float) -> U8Array:
        """Return the stamp with those parts taken away that lie behind nearer occluders."""
        for occluder in self._backdrop.occluders:
            left, top, right, bottom = occluder.box
            apart = (
                window.right <= left or window.left >= right or window.bottom <= top or window.top >= bottom
            )
            if occluder.z >= z or apart:
                continue
            through = cv2.bitwise_not(occluder.alpha[window.slices])
            if stamp.ndim == 3:
                through = cv2.merge([through] * 4)
            stamp = _u8(cv2.multiply(stamp, through, scale=1 / 255))
        return stamp

    def _add_noise(self, bgr: U8Array, sequence: int, brighter: U8Array, darker: U8Array) -> None:
        rng = np.random.default_rng([self._street.parameters.seed, 0xE0, sequence])
        height, width = bgr.shape[:2]
        x, y = rng.integers(_NOISE_SLACK_PX, size=2)
        part = slice(y, y + height), slice(x, x + width)
        cv2.add(bgr, brighter[part], bgr)
        cv2.subtract(bgr, darker[part], bgr)


def _noise_tiles(street: Street) -> tuple[U8Array, U8Array]:
    """Draw Gaussian noise, split into what it adds and what it takes away: both stay 8-bit, which is fast."""
    parameters = street.parameters
    rng = np.random.default_rng([parameters.seed, 0xE1])
    shape = (parameters.height + _NOISE_SLACK_PX, parameters.width + _NOISE_SLACK_PX, 3)
    noise = rng.standard_normal(shape, dtype=np.float32) * parameters.noise
    return _u8(np.clip(np.round(noise), 0, 255)), _u8(np.clip(np.round(-noise), 0, 255))


def _u8(array: object) -> U8Array:
    return np.asarray(array, dtype=np.uint8)
