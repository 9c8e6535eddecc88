"""What every runtime has in common: arrays in, arrays out, on a device, in a precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError

Array = npt.NDArray[Any]
Inputs = Sequence[Array]
"""One array per input of the network, in the graph's order; the first axis counts the pictures."""
Outputs = list[Array]
"""One array per output of the network, in the graph's order."""


class Parts(tuple[Any, ...]):
    """A batch whose pictures are tensors on a device, (1, 3, H, W) each, not joined yet."""

    __slots__ = ()


RuntimeName = Literal["onnxruntime", "openvino", "cuda", "tensorrt"]
"""`cuda` and `tensorrt` are ONNX Runtime with the execution provider of that name."""
Precision = Literal["f32", "bf16", "f16", "int8"]
"""What the network calculates in; its inputs and outputs keep the types of the file."""


class MissingRuntimeError(ModelError):
    """A runtime or device that was asked for is not on this box; the message says what to do."""


class HungError(ModelError):
    """A network hangs again and again: a start anew may help, another configuration need not."""

    exit_code = 1


class OutOfMemoryError(ModelError):
    """The device has no room for this many pictures at once."""


class Runtime(Protocol):
    """An opened network. `run` may be called by several threads at once.

    Attributes:
        name: of the runtime.
        device: "cpu", "cuda:0", "gpu:0" (OpenVINO's), "npu".
        precision: what it calculates in.
        max_batch: most pictures in one call; 1 where the file is fixed to it or a batch gains nothing.
        parallel: callers at once that gain something; further ones only wait inside.
    """

    name: RuntimeName
    device: str
    precision: Precision
    max_batch: int
    parallel: int

    def run(self, inputs: Inputs) -> Outputs:
        """Run the network on 1 to `max_batch` pictures.

        Args:
            inputs: one C-contiguous array per input, in the graph's order and types; the first axis counts
                the pictures.

        Returns:
            One new array per output, in the graph's order.

        Raises:
            OutOfMemoryError: if the device has no room for so many pictures.
            ModelError: if the network fails on these inputs.
        """

    def close(self) -> None:
        """Free everything; safe more than once. No call may be running."""


def one_line(error: BaseException) -> str:
    """Return the first line of a library's error, without what is no text."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return " ".join(text.encode("ascii", "ignore").decode().split())


def whole_batch(inputs: Inputs, size: int) -> tuple[list[Array], int]:
    """Fill a short batch up to `size` pictures with zeros, for a network whose batch is fixed.

    Returns:
        The inputs, and how many pictures of them are real.
    """
    real = inputs[0].shape[0]
    if real == size:
        return list(inputs), real
    filled = []
    for array in inputs:
        whole = np.zeros((size, *array.shape[1:]), array.dtype)
        whole[:real] = array
        filled.append(whole)
    return filled, real
