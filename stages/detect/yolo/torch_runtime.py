"""torch as a runtime beside the others: bytes in, arrays out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from stages.detect.recorded import Recorded
from stages.detect.runtime.base import (
    Inputs,
    MissingRuntimeError,
    OutOfMemoryError,
    Outputs,
    Parts,
    Precision,
)
from stages.detect.torch_run import first_line, keep_floats_whole, on_stream
from stages.detect.yolo.exported import Exported
from stages.detect.yolo.weights import Weights, remembered, tensors

logger = logging.getLogger(__name__)


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

    On a GPU the network is recorded for batches of 1, 2, 4 ... `max_batch` pictures when it is warmed up, and
    replayed; a batch in between takes the next larger one. What cannot be recorded (RT-DETR) is launched
    kernel by kernel, and so is what has no stream of its own (engines).

    Args:
        weights: the network, on its device; in 16 bit floats for precision f16.
        device: `torch.device`.
        precision: what it calculates in; f32 is without TF32, which torch takes for convolutions otherwise.
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

        self._module: Any = weights.view()
        self._stream = weights.stream
        self._device = device
        self._recorded: dict[int, _RecordedBatch] = {}
        self.name: Any = "torch"
        self.device = str(device)
        self.precision: Precision = precision
        on_cpu = device.type == "cpu"
        self.max_batch = 1 if on_cpu else max_batch
        self.parallel = callers if on_cpu else 1
        if on_cpu:
            torch.set_num_threads(threads)
        elif precision == "f32":
            keep_floats_whole(device)

    def run(self, inputs: Inputs) -> Outputs:
        """Run the network; see `Runtime.run`."""
        import torch

        if self._module is None:
            raise ModelError("the network is closed")
        # An array, a tensor that was made on the device, or several of these.
        given: Any = inputs[0]
        if not isinstance(given, Parts):
            given = torch.as_tensor(given)
        try:
            with torch.inference_mode(), on_stream(self._stream):
                recorded = self._recorded_for(given)
                if recorded is not None:
                    return _arrays(recorded.run(given))
                whole = torch.cat(given) if isinstance(given, Parts) else given
                return _arrays(self._compute(whole.to(self._device, non_blocking=True)))
        except torch.OutOfMemoryError as error:
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemoryError(f"device '{self.device}' has no room: {first_line(error)}") from error
        except RuntimeError as error:
            raise ModelError(f"the network fails on torch, {self.device}: {first_line(error)}") from error

    def warm_up(self, shape: tuple[int, ...]) -> None:
        """Run once, so that the first picture does not wait for what torch prepares (or compiles).

        Args:
            shape: of one picture's input, (1, 3, H, W).
        """
        self.run([np.zeros(shape, np.uint8)])
        if self._stream is not None:
            self._record(shape)

    def close(self) -> None:
        """Let go of the network; whoever leased the weights frees them."""
        self._module = None
        self._recorded.clear()

    def _compute(self, pictures: Any) -> tuple[Any, ...]:
        """Return the outputs, float32 on the device, of (B, 3, H, W) bytes there."""
        import torch

        dtype = torch.float16 if self.precision == "f16" else torch.float32
        arithmetic = (
            # Weights are not kept in both widths: a recording would not see the wider ones change.
            torch.autocast(self._device.type, dtype=torch.bfloat16, cache_enabled=self._device.type == "cpu")
            if self.precision == "bf16"
            else contextlib.nullcontext()
        )
        with arithmetic:
            outputs = tensors(self._module(pictures.to(dtype).div_(255)))
            return tuple(output.float() for output in outputs)

    def _recorded_for(self, given: Any) -> _RecordedBatch | None:
        """Return the smallest recording that takes so many pictures of this shape, None if there is none."""
        sizes = [size for size in self._recorded if size >= len(given)]
        recorded = self._recorded[min(sizes)] if sizes else None
        return recorded if recorded is not None and recorded.fits(given) else None

    def _record(self, shape: tuple[int, ...]) -> None:
        import torch

        pool = None
        for size in batch_sizes(self.max_batch):
            try:
                with torch.inference_mode(), on_stream(self._stream):
                    batch = _RecordedBatch(self._compute, (size, *shape[1:]), self._device, pool)
            except torch.OutOfMemoryError as error:
                self._without_room(size, error)
                return
            except RuntimeError as error:
                logger.info("it is launched kernel by kernel on %s (%s)", self.device, first_line(error))
                self._recorded.clear()
                return
            batch.needs = remembered(self._module)
            self._recorded[size] = batch
            pool = batch.pool

    def _without_room(self, size: int, error: BaseException) -> None:
        import torch

        torch.cuda.empty_cache()
        if size == 1:
            raise OutOfMemoryError(
                f"device '{self.device}' has no room for one picture; end what else uses it, or take a "
                f"smaller 'image_size' or model ({first_line(error)})"
            ) from error
        self.max_batch = max(self._recorded)
        logger.warning(
            "device '%s' has no room for %d pictures at once; at most %d", self.device, size, self.max_batch
        )


class _RecordedBatch:
    """The network recorded for one size of batch.

    Attributes:
        needs: what the recording reads beside its input and the weights; kept alive by it.
        pool: memory that further recordings may share.
    """

    def __init__(
        self, compute: Callable[[Any], tuple[Any, ...]], shape: tuple[int, ...], device: Any, pool: Any
    ) -> None:
        import torch

        self.needs: Any = None
        self._input = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._recorded = Recorded(lambda: compute(self._input), device, pool)
        self.pool = self._recorded.pool

    def fits(self, given: Any) -> bool:
        """Whether pictures of this shape go into it."""
        one = given[0] if isinstance(given, Parts) else given
        return bool(one.shape[1:] == self._input.shape[1:])

    def run(self, given: Any) -> tuple[Any, ...]:
        """Return the outputs of these pictures, valid until the next call of any recording of the pool."""
        if isinstance(given, Parts):
            for place, part in enumerate(given):
                self._input[place].copy_(part[0])
        else:
            self._input[: len(given)].copy_(given, non_blocking=True)
        self._recorded.replay()
        return tuple(output[: len(given)] for output in self._recorded.outputs)


def batch_sizes(most: int) -> list[int]:
    """Return the sizes of batches that are recorded: the powers of two up to the largest batch, and it."""
    sizes = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return [*sizes, most]


def _arrays(outputs: Sequence[Any]) -> Outputs:
    """Return tensors of a device as arrays, through memory that a GPU writes by itself."""
    import torch

    if not outputs or outputs[0].device.type != "cuda":
        return [output.cpu().numpy() for output in outputs]
    copies = [torch.empty(output.shape, dtype=output.dtype, pin_memory=True) for output in outputs]
    for copy, output in zip(copies, outputs, strict=True):
        copy.copy_(output, non_blocking=True)
    torch.cuda.current_stream(outputs[0].device).synchronize()
    return [copy.numpy() for copy in copies]
