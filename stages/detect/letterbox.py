"""Fitting a picture into a network's input without stretching it, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.picture import Picture

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The place of a picture in the top left corner of a `width` x `height` px input.

    Attributes:
        width: of the input, px.
        height: of the input, px.
        inner_width: of the scaled picture in it, px.
        inner_height: of the scaled picture in it, px.
        picture_width: of the original picture, px.
        picture_height: of the original picture, px.
    """

    width: int
    height: int
    inner_width: int
    inner_height: int
    picture_width: int
    picture_height: int

    @classmethod
    def of(cls, picture: Picture, width: int, height: int) -> Letterbox:
        """Find the largest place with the picture's aspect ratio."""
        scale = min(width / picture.width, height / picture.height)
        inner_width = min(max(round(picture.width * scale), 1), width)
        inner_height = min(max(round(picture.height * scale), 1), height)
        return cls(width, height, inner_width, inner_height, picture.width, picture.height)

    def fill(self, picture: Picture, grey: int = 114) -> U8Array:
        """Return the (height, width, 3) BGR input: the scaled picture, the rest `grey`."""
        canvas = np.full((self.height, self.width, 3), grey, np.uint8)
        canvas[: self.inner_height, : self.inner_width] = picture.fit(self.inner_width, self.inner_height)
        return canvas

    def to_picture(self, xyxy: F32Array) -> F32Array:
        """Map (N, 4) boxes from px of the input to px of the picture, cut at the picture's edges."""
        scale_x = self.picture_width / self.inner_width
        scale_y = self.picture_height / self.inner_height
        scaled = xyxy * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        edges = np.array([self.picture_width, self.picture_height] * 2, np.float32)
        return np.asarray(np.clip(scaled, 0, edges), dtype=np.float32)
