"""Where a picture lies in a network's input, and the way back from there to the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

F32Array = npt.NDArray[np.float32]
Place = Literal["top_left", "centre", "stretch"]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The place of a scaled picture in an input of another shape.

    Attributes:
        left: of the scaled picture in the input, px.
        top: the same, px.
        width: of the scaled picture, px.
        height: of the scaled picture, px.
        picture_width: of the original picture, px.
        picture_height: of the original picture, px.
    """

    left: int
    top: int
    width: int
    height: int
    picture_width: int
    picture_height: int

    @classmethod
    def of(
        cls, picture_width: int, picture_height: int, width: int, height: int, place: Place = "top_left"
    ) -> Letterbox:
        """Find the largest place with the picture's aspect ratio in a `width` x `height` px input.

        Place "stretch" fills the input whatever the aspect ratio; "centre" rounds an odd rest as ultralytics
        does, so that the networks trained there see what they know.
        """
        if place == "stretch":
            return cls(0, 0, width, height, picture_width, picture_height)
        scale = min(width / picture_width, height / picture_height)
        inner_width = min(max(round(picture_width * scale), 1), width)
        inner_height = min(max(round(picture_height * scale), 1), height)
        left = top = 0
        if place == "centre":
            left, top = round((width - inner_width) / 2 - 0.1), round((height - inner_height) / 2 - 0.1)
        return cls(left, top, inner_width, inner_height, picture_width, picture_height)

    def to_picture(self, points: F32Array) -> F32Array:
        """Map points (..., 2) from px of the input to px of the picture; some may lie outside of it."""
        scale = np.array([self.picture_width / self.width, self.picture_height / self.height], np.float32)
        return np.asarray((points - np.array([self.left, self.top], np.float32)) * scale, dtype=np.float32)

    def boxes_to_picture(self, xyxy: F32Array) -> F32Array:
        """Map (N, 4) boxes from px of the input to px of the picture, cut at the picture's edges.

        Corners that a damaged network swapped come back in order.
        """
        corners = self.to_picture(xyxy.reshape(-1, 2, 2))
        edges = np.array([self.picture_width, self.picture_height], np.float32)
        corners = np.clip(np.sort(corners, axis=1), 0, edges)
        return np.asarray(corners.reshape(-1, 4), dtype=np.float32)
