"""What a network wants to see, and the buffers that are filled with it straight from the decoder's planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError
from pipeline.picture import Picture
from stages.detect.letterbox import Letterbox, Place

Colour = Literal["bgr", "rgb"]
Axes = Literal["nchw", "nhwc", "chw"]

DEFAULT_SIZE_PX = 640
RGB_MEAN = (123.675, 116.28, 103.53)
"""Means of ImageNet's colours (0..255), red first."""
RGB_DEVIATION = (58.395, 57.12, 57.375)
"""Standard deviations of ImageNet's colours, red first."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The input of a network: an element is (level 0..255 - `mean`) x `scale` of its colour.

    Attributes:
        width: px; None where the network takes any.
        height: px; None where the network takes any.
        stride: sides that are chosen here are multiples of it.
        colour: order of the three channels.
        mean: levels, in the order of `colour`.
        scale: 1 / level, in the order of `colour`.
        place: where a picture of another aspect ratio lies; the rest is `grey`.
        grey: level of the rest, 0..255.
        dtype: "float32", "float16", or "uint8" (then `mean` and `scale` do nothing).
        axes: order of the axes; "chw" has no batch.
        size_px: longer side, where the network takes any and the user says nothing.
    """

    width: int | None
    height: int | None
    stride: int = 32
    colour: Colour = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1 / 255, 1 / 255, 1 / 255)
    place: Place = "centre"
    grey: int = 114
    dtype: str = "float32"
    axes: Axes = "nchw"
    size_px: int = DEFAULT_SIZE_PX

    @property
    def fixed(self) -> bool:
        """Whether the file leaves no choice of the size."""
        return self.width is not None and self.height is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor of one picture. Raises ValueError while the size is open."""
        if self.width is None or self.height is None:
            raise ValueError("the input's size is open; use `sized` first")
        width, height = self.width, self.height
        return {
            "nchw": (1, 3, height, width),
            "nhwc": (1, height, width, 3),
            "chw": (3, height, width),
        }[self.axes]

    def sized(self, picture_width: int, picture_height: int, image_size: int | None = None) -> InputSpec:
        """Choose the input's size for pictures of this size: no row of the input more than they need.

        Args:
            picture_width: px.
            picture_height: px.
            image_size: longer side of the input, px; rounded up to a multiple of the stride.

        Returns:
            The same with a size: 1080p at 640 is 640 x 384; where pictures are stretched, a square.

        Raises:
            ConfigError: if the file has one size only, and another is asked for.
        """
        if self.fixed:
            longer = max(self.width or 0, self.height or 0)
            if image_size is not None and image_size != longer:
                raise ConfigError(
                    f"image_size: {image_size} is not to be had, the network's input is fixed at "
                    f"{self.width} x {self.height}; leave it out, or export the network with a dynamic size"
                )
            return self
        longer = self._round_up(image_size or self.size_px)
        if self.place == "stretch":
            width = height = longer
        else:
            scale = longer / max(picture_width, picture_height)
            width, height = (self._round_up(round(side * scale)) for side in (picture_width, picture_height))
        return replace(self, width=self.width or width, height=self.height or height)

    def _round_up(self, side: int) -> int:
        return max(-(-side // self.stride), 1) * self.stride


class Tensors:
    """Input tensors of a fixed size, filled from pictures and used again.

    Attributes:
        spec: with a size.
        count: how many tensors are in use at once.
    """

    def __init__(self, spec: InputSpec, count: int = 1) -> None:
        self.spec = spec
        self.count = count
        self._width, self._height = spec.width or 0, spec.height or 0
        self._tensors = [np.zeros(spec.shape, spec.dtype) for _ in range(count)]
        self._places: list[Letterbox | None] = [None] * count
        self._channels: list[npt.NDArray[np.uint8]] = []
        order = slice(None) if spec.colour == "bgr" else slice(None, None, -1)
        self._scale = np.array(spec.scale, np.float32)[order]
        self._offset = (-np.array(spec.mean) * np.array(spec.scale)).astype(np.float32)[order]

    def fill(self, picture: Picture, index: int = 0) -> tuple[npt.NDArray[Any], Letterbox]:
        """Scale a picture into tensor `index`, from the planes that the decoder left.

        Returns:
            The tensor, `spec.shape` of `spec.dtype`, valid until it is filled again; and where the picture
            lies in it.
        """
        tensor = self._tensors[index]
        place = Letterbox.of(picture.width, picture.height, self._width, self._height, self.spec.place)
        planes = self._planes(tensor)
        if self._places[index] != place:
            for plane, scale, offset in zip(planes, self._scale, self._offset, strict=True):
                plane[...] = self._level(scale, offset)
            self._places[index] = place
        rows = slice(place.top, place.top + place.height)
        columns = slice(place.left, place.left + place.width)
        # Into buffers that stay: fresh ones of this size are new pages for the kernel to clear, each time.
        if not self._channels or self._channels[0].shape != (place.height, place.width):
            self._channels = [np.empty((place.height, place.width), np.uint8) for _ in range(3)]
        cv2.split(picture.fit(place.width, place.height), self._channels)
        for plane, channel, scale, offset in zip(
            planes, self._channels, self._scale, self._offset, strict=True
        ):
            inner = plane[rows, columns]
            np.copyto(inner, channel)
            if self.spec.dtype != "uint8":
                inner *= scale
                if offset:
                    inner += offset
        return tensor, place

    def forget(self) -> None:
        """Leave the tensors to whoever may still read them, and go on with new ones."""
        self._tensors = [np.zeros_like(tensor) for tensor in self._tensors]
        self._places = [None] * self.count

    def _level(self, scale: np.float32, offset: np.float32) -> float:
        return self.spec.grey if self.spec.dtype == "uint8" else float(self.spec.grey * scale + offset)

    def _planes(self, tensor: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return views (height, width) of the blue, the green and the red channel."""
        channels = tensor[0] if self.spec.axes != "chw" else tensor
        if self.spec.axes == "nhwc":
            channels = channels.transpose(2, 0, 1)
        return [channels[index] for index in ((0, 1, 2) if self.spec.colour == "bgr" else (2, 1, 0))]
