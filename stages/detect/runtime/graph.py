"""What a network's file says of itself, read without a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Shape = tuple[int | None, ...]
"""A tensor's sides; None for one that is set by each call, or unknown."""

_QUANTISED = {
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "ConvInteger",
    "MatMulInteger",
    "QLinearMatMul",
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a network.

    Attributes:
        name: in the graph.
        shape: of the tensor; empty also when the file does not say how many axes there are.
        dtype: numpy's name ("float32", "float16", "uint8", "int64"), "" for one that numpy has not.
        symbols: names of the sides that are None ("batch", "height"), "" where there is no name.
    """

    name: str
    shape: Shape
    dtype: str
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """What a network wants and gives.

    Attributes:
        inputs: that must be fed; weights are none of them.
        outputs: in the file's order.
        metadata: what the exporter noted (ultralytics: names, imgsz, task, stride), as text.
        operators: operator -> how often it occurs in the main graph ("Conv", "NonMaxSuppression").
        producer: of the file, "" when unknown.
        weights_dtype: numpy's name of the type that most of the weights have, "" when unknown.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    producer: str = ""
    weights_dtype: str = ""

    @property
    def is_quantised(self) -> bool:
        """Whether it calculates with 8 bit numbers."""
        return not _QUANTISED.isdisjoint(self.operators)

    @property
    def fixed_batch(self) -> int | None:
        """Pictures per call that the file is fixed to, None when any number goes.

        An image without an axis for the batch (channels, height, width) is one picture.
        """
        if self.inputs and len(self.inputs[0].shape) == 3:
            return 1
        return self.inputs[0].shape[0] if self.inputs and self.inputs[0].shape else None
