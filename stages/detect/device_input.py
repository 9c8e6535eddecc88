"""Network input made on a GPU: the decoder's planes are uploaded once, scaled and converted there.

A 1080p picture is 3.1 MB in planes and 6.2 MB in BGR, and nothing is scaled by the CPU. torch is imported
when it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.picture import Picture
from stages.detect.layouts.spec import InputSpec
from stages.detect.letterbox import Letterbox


class DeviceTensors:
    """Fills input tensors of bytes on a torch device; stands for `Tensors` there. Used by one thread.

    Attributes:
        spec: with a size.
        count: how many tensors are in use at once.

    Args:
        spec: with a size, axes "nchw" and dtype "uint8".
        device: a `torch.device`.
        count: how many tensors are in use at once.

    Raises:
        ValueError: if axes or dtype are others, or the size is open.
    """

    def __init__(self, spec: InputSpec, device: Any, count: int = 1) -> None:
        if spec.axes != "nchw" or spec.dtype != "uint8" or not spec.fixed:
            raise ValueError(f"input on a device needs a size, axes 'nchw' and dtype 'uint8', got {spec}")
        self.spec = spec
        self.count = count
        self._device = device
        self._width, self._height = spec.width or 0, spec.height or 0
        self._order = [0, 1, 2] if spec.colour == "bgr" else [2, 1, 0]
        self._staging: dict[tuple[int, int], Any] = {}
        self._uploaded: dict[int, Any] = {}

    def fill(self, picture: Picture, index: int = 0) -> tuple[Any, Letterbox]:
        """Scale a picture into a new tensor.

        Returns:
            The tensor, (1, 3, height, width) uint8 on the device, and where the picture lies in it.
        """
        import torch

        if index in self._uploaded:
            self._uploaded[index].synchronize()  # what was staged before may still be on its way
        place = Letterbox.of(picture.width, picture.height, self._width, self._height, self.spec.place)
        size = (1, 3, self._height, self._width)
        tensor = torch.full(size, self.spec.grey, dtype=torch.uint8, device=self._device)
        rows = slice(place.top, place.top + place.height)
        columns = slice(place.left, place.left + place.width)
        bgr = self._bgr(picture, place, index)
        tensor[0, :, rows, columns] = bgr.clamp_(0, 255).round_()[self._order].to(torch.uint8)
        if self._device.type == "cuda":
            self._uploaded[index] = torch.cuda.Event()
            self._uploaded[index].record()
        return tensor, place

    def forget(self) -> None:
        """Do nothing: each picture has a tensor of its own."""

    def _bgr(self, picture: Picture, place: Letterbox, index: int) -> Any:
        """Return the scaled picture, (3, h, w) float32 levels, B first."""
        import torch

        planes = picture.planes()
        if planes is None:
            return _scaled(self._upload(picture.bgr(), (index, 0)).permute(2, 0, 1), place)
        parts = [
            _scaled(self._upload(plane, (index, number))[None], place)
            for number, plane in enumerate((planes.y, planes.u, planes.v))
        ]
        to_bgr = torch.from_numpy(planes.to_bgr).to(self._device)
        return torch.einsum("ck,khw->chw", to_bgr[:, :3], torch.cat(parts)) + to_bgr[:, 3, None, None]

    def _upload(self, array: Any, key: tuple[int, int]) -> Any:
        """Copy an array to the device through memory that the GPU can read by itself."""
        import torch

        buffer = self._staging.get(key)
        if buffer is None or buffer.shape != array.shape:
            pinned = self._device.type == "cuda"
            buffer = self._staging[key] = torch.empty(array.shape, dtype=torch.uint8, pin_memory=pinned)
        np.copyto(buffer.numpy(), array)
        return buffer.to(self._device, non_blocking=True)


def _scaled(planes: Any, place: Letterbox) -> Any:
    """Return (C, H, W) uint8 planes as float32 levels of the place's size, bilinear as `Picture.fit`."""
    from torch.nn.functional import interpolate

    size = (place.height, place.width)
    return interpolate(planes[None].float(), size=size, mode="bilinear", align_corners=False)[0]
