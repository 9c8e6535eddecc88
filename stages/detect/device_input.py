"""Network input made on the device: the decoder's planes are uploaded once, scaled and converted there.

A 1080p picture is 3.1 MB in planes and 6.2 MB in BGR, and nothing is scaled by the CPU. torch is imported
when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.picture import Picture
from stages.detect.layouts.spec import InputSpec
from stages.detect.letterbox import Letterbox


class DeviceTensors:
    """Fills input tensors on a torch device. Used by one thread.

    Args:
        spec: with a size; axes "nchw".
        device: a `torch.device`.
        half: True for float16, else float32.

    Raises:
        ValueError: if the axes are others, or the size is open.
    """

    def __init__(self, spec: InputSpec, device: Any, *, half: bool = False) -> None:
        import torch

        if spec.axes != "nchw" or not spec.fixed:
            raise ValueError(f"input on a device needs a size and axes 'nchw', got {spec}")
        self.spec = spec
        self._device = device
        self._dtype = torch.float16 if half else torch.float32
        self._width, self._height = spec.width or 0, spec.height or 0
        self._order = [0, 1, 2] if spec.colour == "bgr" else [2, 1, 0]
        self._mean = torch.tensor(spec.mean, device=device)[:, None, None]
        self._scale = torch.tensor(spec.scale, device=device)[:, None, None]
        self._staging: list[Any] = []
        self._uploaded: Any = None

    def fill(self, pictures: Sequence[Picture]) -> tuple[Any, list[Letterbox]]:
        """Make the input of some pictures.

        Returns:
            A (B, 3, height, width) tensor on the device, and where each picture lies in it.
        """
        import torch

        if self._uploaded is not None:
            self._uploaded.synchronize()  # what is staged below may still be on its way
        grey = torch.full((3, 1, 1), float(self.spec.grey), device=self._device)
        tensor = self._normalised(grey).expand(3, self._height, self._width).to(self._dtype)
        tensor = tensor.repeat(len(pictures), 1, 1, 1)
        places = []
        used = 0
        for picture, canvas in zip(pictures, tensor, strict=True):
            place = Letterbox.of(picture.width, picture.height, self._width, self._height, self.spec.place)
            bgr, used = self._bgr(picture, place, used)
            rows = slice(place.top, place.top + place.height)
            columns = slice(place.left, place.left + place.width)
            canvas[:, rows, columns] = self._normalised(bgr[self._order]).to(self._dtype)
            places.append(place)
        if self._device.type == "cuda":
            self._uploaded = torch.cuda.Event()
            self._uploaded.record()
        return tensor, places

    def _bgr(self, picture: Picture, place: Letterbox, used: int) -> tuple[Any, int]:
        """Return the scaled picture, (3, h, w) float32 levels, B first, and how many buffers are in use."""
        import torch

        planes = picture.planes()
        if planes is None:
            bgr = self._upload(picture.bgr(), used)
            return _scaled(bgr.permute(2, 0, 1), place).clamp(0, 255), used + 1
        parts = [
            _scaled(self._upload(plane, used + index)[None], place)
            for index, plane in enumerate((planes.y, planes.u, planes.v))
        ]
        to_bgr = torch.from_numpy(planes.to_bgr).to(self._device)
        yuv = torch.cat(parts)
        bgr = torch.einsum("ck,khw->chw", to_bgr[:, :3], yuv) + to_bgr[:, 3, None, None]
        return bgr.clamp(0, 255), used + len(parts)

    def _normalised(self, levels: Any) -> Any:
        """Return what the network wants to see of (3, h, w) levels in its order of colours."""
        return (levels - self._mean) * self._scale

    def _upload(self, array: Any, index: int) -> Any:
        """Copy an array to the device through memory that the GPU can read by itself."""
        import torch

        while len(self._staging) <= index:
            self._staging.append(None)
        buffer = self._staging[index]
        if buffer is None or buffer.shape != array.shape:
            pinned = self._device.type == "cuda"
            buffer = self._staging[index] = torch.empty(array.shape, dtype=torch.uint8, pin_memory=pinned)
        np.copyto(buffer.numpy(), array)
        return buffer.to(self._device, non_blocking=True)


def _scaled(planes: Any, place: Letterbox) -> Any:
    """Return (C, H, W) uint8 planes as float32 levels of the place's size, bilinear as `Picture.fit`."""
    from torch.nn.functional import interpolate

    size = (place.height, place.width)
    return interpolate(planes[None].float(), size=size, mode="bilinear", align_corners=False)[0]
