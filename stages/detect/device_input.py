"""Network input made on a GPU: the decoder's planes are uploaded once, scaled and converted there.

A 1080p picture is 3.1 MB in planes and 6.2 MB in BGR, and nothing is scaled by the CPU. torch is imported
when it is used.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.picture import Picture
from stages.detect.layouts.spec import InputSpec
from stages.detect.letterbox import Letterbox
from stages.detect.recorded import Recorded
from stages.detect.torch_run import first_line, on_stream, own_stream

logger = logging.getLogger(__name__)


class DeviceTensors:
    """Fills input tensors of bytes on a torch device; stands for `Tensors` there. Used by one thread.

    On a GPU it works beside the network, on a stream of its own, for which the network's waits. The way from
    the planes to the tensor is recorded once two pictures of the same shape have come.

    Attributes:
        spec: with a size.
        count: how many tensors are in use at once.

    Args:
        spec: with a size, axes "nchw" and dtype "uint8".
        device: a `torch.device`.
        count: how many tensors are in use at once.
        reader: the CUDA stream that reads the tensors; None on other devices.

    Raises:
        ValueError: if axes or dtype are others, or the size is open.
    """

    def __init__(self, spec: InputSpec, device: Any, count: int = 1, reader: Any = None) -> None:
        if spec.axes != "nchw" or spec.dtype != "uint8" or not spec.fixed:
            raise ValueError(f"input on a device needs a size, axes 'nchw' and dtype 'uint8', got {spec}")
        self.spec = spec
        self.count = count
        self._device = device
        self._lane: _Lane | None = None
        self._reader = reader
        self._stream: Any = None
        self._tensors: list[Any] = []

    def fill(self, picture: Picture, index: int = 0) -> tuple[Any, Letterbox]:
        """Scale a picture into tensor `index`.

        Returns:
            The tensor, (1, 3, height, width) uint8 on the device, valid until it is filled again; and where
            the picture lies in it.

        Raises:
            ModelError: if the device has no room for it, or fails.
        """
        try:
            return self._filled(picture, index)
        except RuntimeError as error:
            raise ModelError(
                f"device '{self._device}' cannot scale a picture of {picture.width} x {picture.height} px "
                f"({first_line(error)}); end what else uses it, or set 'device: cpu'"
            ) from error

    def _filled(self, picture: Picture, index: int) -> tuple[Any, Letterbox]:
        import torch

        width, height = self.spec.width or 0, self.spec.height or 0
        place = Letterbox.of(picture.width, picture.height, width, height, self.spec.place)
        planes = picture.planes()
        arrays = [picture.bgr()] if planes is None else [planes.y, planes.u, planes.v]
        to_bgr = None if planes is None else planes.to_bgr
        if not self._tensors:
            shape = (1, 3, height, width)
            self._tensors = [
                torch.empty(shape, dtype=torch.uint8, device=self._device) for _ in range(self.count)
            ]
        with self._beside_the_network():
            if self._lane is None or not self._lane.fits(arrays, place):
                self._lane = _Lane(self.spec, place, arrays, self._device)
            self._tensors[index].copy_(self._lane.made(arrays, to_bgr))
        return self._tensors[index], place

    def forget(self) -> None:
        """Leave the tensors to whoever may still read them, and go on with new ones."""
        self._tensors = []

    @contextlib.contextmanager
    def _beside_the_network(self) -> Any:
        import torch

        if self._device.type != "cuda":
            yield
            return
        if self._stream is None:
            self._stream = own_stream(self._device)
        with torch.inference_mode(), on_stream(self._stream):
            yield
        (self._reader or torch.cuda.current_stream(self._device)).wait_stream(self._stream)


class _Lane:
    """The way of pictures of one shape: where they are staged, and how they become a tensor.

    Args:
        spec: of the tensor.
        place: where the picture lies in it.
        arrays: planes of a picture, (H, W) uint8 each, or one of BGR, (H, W, 3).
        device: `torch.device`.
    """

    def __init__(self, spec: InputSpec, place: Letterbox, arrays: Sequence[Any], device: Any) -> None:
        import torch

        self._place = place
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._order = [0, 1, 2] if spec.colour == "bgr" else [2, 1, 0]
        self._staged = [
            torch.empty(array.shape, dtype=torch.uint8, pin_memory=self._on_gpu) for array in arrays
        ]
        size = (1, 3, spec.height or 0, spec.width or 0)
        self._tensor = torch.full(size, spec.grey, dtype=torch.uint8, device=device)
        self._to_bgr = torch.zeros(3, 4, device=device)
        self._matrix: Any = None
        self._uploaded: Any = None
        self._recorded: Recorded | None = None
        self._pictures = 0

    def fits(self, arrays: Sequence[Any], place: Letterbox) -> bool:
        """Whether a picture of these planes goes this way."""
        shapes = [tuple(staged.shape) for staged in self._staged]
        return place == self._place and [array.shape for array in arrays] == shapes

    def made(self, arrays: Sequence[Any], to_bgr: Any) -> Any:
        """Return the tensor of a picture, (1, 3, height, width) uint8, valid until the next one.

        Args:
            arrays: its planes.
            to_bgr: (3, 4) float32 of `Planes.to_bgr`; None for BGR.
        """
        import torch

        if self._uploaded is not None:
            self._uploaded.synchronize()  # what was staged before may still be on its way
        for staged, array in zip(self._staged, arrays, strict=True):
            np.copyto(staged.numpy(), array)
        if to_bgr is not None and (self._matrix is None or not np.array_equal(self._matrix, to_bgr)):
            self._matrix = np.array(to_bgr)
            self._to_bgr.copy_(torch.from_numpy(self._matrix))
        if self._on_gpu and self._recorded is None and self._pictures == 1:
            self._record()
        if self._recorded is None:
            self._convert()
        else:
            self._recorded.replay()
        self._pictures += 1
        if self._on_gpu:
            self._uploaded = torch.cuda.Event(blocking=True)
            self._uploaded.record()
        return self._tensor

    def _record(self) -> None:
        try:
            self._recorded = Recorded(lambda: (self._convert(),), self._device)
        except RuntimeError as error:
            logger.info("pictures are converted kernel by kernel on %s (%s)", self._device, first_line(error))

    def _convert(self) -> Any:
        """Upload what is staged, and write it into the tensor."""
        import torch

        sent = [staged.to(self._device, non_blocking=True) for staged in self._staged]
        if len(sent) == 1:
            bgr = _scaled(sent[0].permute(2, 0, 1), self._place)
        else:
            yuv = torch.cat([_scaled(plane[None], self._place) for plane in sent])
            bgr = torch.einsum("ck,khw->chw", self._to_bgr[:, :3], yuv) + self._to_bgr[:, 3, None, None]
        place = self._place
        rows = slice(place.top, place.top + place.height)
        columns = slice(place.left, place.left + place.width)
        levels = bgr.clamp_(0, 255).round_().to(torch.uint8)
        for channel, number in enumerate(self._order):
            self._tensor[0, channel, rows, columns] = levels[number]
        return self._tensor


def _scaled(planes: Any, place: Letterbox) -> Any:
    """Return (C, H, W) uint8 planes as float32 levels of the place's size, bilinear as `Picture.fit`."""
    from torch.nn.functional import interpolate

    size = (place.height, place.width)
    return interpolate(planes[None].float(), size=size, mode="bilinear", align_corners=False)[0]
