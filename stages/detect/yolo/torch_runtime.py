"""torch as a runtime beside the others: bytes in, arrays out."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from stages.detect.runtime.base import Inputs, MissingRuntimeError, OutOfMemoryError, Outputs, Precision
from stages.detect.torch_run import first_line
from stages.detect.yolo.exported import Exported
from stages.detect.yolo.weights import Weights, tensors


def precision_of(wanted: str, device: Any) -> Precision:
    """Return what torch is to calculate in.

    Args:
        wanted: `full`, `auto`, `bf16`, `f16` or `int8`.
        device: `torch.device`.

    Raises:
        MissingRuntimeError: if torch cannot have it there.
    """
    on_cpu = device.type == "cpu"
    if wanted == "full":
        return "f32"
    if wanted == "auto":
        return "f16" if not on_cpu else ("bf16" if _has_bf16() else "f32")
    if wanted == "int8" or (wanted == "f16" and on_cpu):
        raise MissingRuntimeError(
            f"precision: torch has no {wanted} on device '{device}'; set full, auto or bf16, or a 'runtime' "
            f"that has it"
        )
    return "bf16" if wanted == "bf16" else "f16"


def _has_bf16() -> bool:
    """Whether this processor multiplies bf16 faster than floats."""
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class TorchRuntime:
    """A `Runtime` on torch. The input is bytes, (B, 3, H, W) RGB: a quarter of what floats are to upload.

    Args:
        weights: the network, on its device; in 16 bit floats for precision f16.
        device: `torch.device`.
        precision: what it calculates in.
        max_batch: most pictures in one call of a GPU; on a CPU a batch gains nothing.
        callers: pictures at once on a CPU.
        threads: of one call on a CPU, for the whole process.
    """

    def __init__(
        self,
        weights: Weights | Exported,
        device: Any,
        *,
        precision: Precision,
        max_batch: int,
        callers: int,
        threads: int,
    ) -> None:
        import torch

        self._weights, self._device = weights, device
        self.name: Any = "torch"
        self.device = str(device)
        self.precision: Precision = precision
        on_cpu = device.type == "cpu"
        self.max_batch = 1 if on_cpu else max_batch
        self.parallel = callers if on_cpu else 1
        if on_cpu:
            torch.set_num_threads(threads)

    def run(self, inputs: Inputs) -> Outputs:
        """Run the network; see `Runtime.run`."""
        import torch

        module = self._weights.module
        if module is None:
            raise ModelError("the network is closed")
        dtype = torch.float16 if self.precision == "f16" else torch.float32
        arithmetic = (
            torch.autocast(self._device.type, dtype=torch.bfloat16)
            if self.precision == "bf16"
            else contextlib.nullcontext()
        )
        try:
            with torch.inference_mode(), arithmetic:
                given: Any = inputs[0]  # an array, or a tensor that was made on the device
                pictures = torch.as_tensor(given).to(self._device, non_blocking=True)
                outputs = tensors(module(pictures.to(dtype).div_(255)))
                return [output.float().cpu().numpy() for output in outputs]
        except torch.OutOfMemoryError as error:
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemoryError(f"device '{self.device}' has no room: {first_line(error)}") from error
        except RuntimeError as error:
            raise ModelError(f"the network fails on torch, {self.device}: {first_line(error)}") from error

    def warm_up(self, shape: tuple[int, ...]) -> None:
        """Run once, so that the first picture does not wait for what torch prepares (or compiles)."""
        self.run([np.zeros(shape, np.uint8)])

    def close(self) -> None:
        """Let go of the network; whoever leased the weights frees them."""
