"""Questions that recognising a layout asks of a graph."""

from __future__ import annotations

import ast
from typing import Any

from stages.detect.layouts.spec import InputSpec
from stages.detect.runtime.graph import Graph, TensorInfo

IMAGE_TYPES = ("float32", "float16", "uint8")


def image_input(graph: Graph, *, inputs: int = 1, **settings: Any) -> InputSpec | None:
    """Return the spec of a graph whose first of `inputs` inputs is a batch of colour images, else None.

    `settings` are fields of `InputSpec`; the axes, the size and the dtype come from the graph.
    """
    if len(graph.inputs) != inputs:
        return None
    port = graph.inputs[0]
    shape = port.shape
    if port.dtype not in IMAGE_TYPES:
        return None
    if len(shape) == 4 and shape[1] in (3, None) and shape[3] != 3:
        return InputSpec(shape[3], shape[2], dtype=port.dtype, **settings)
    if len(shape) == 4 and shape[3] == 3:
        return InputSpec(shape[2], shape[1], dtype=port.dtype, axes="nhwc", **settings)
    if len(shape) == 3 and shape[0] in (3, None):
        return InputSpec(shape[2], shape[1], dtype=port.dtype, axes="chw", **settings)
    return None


def one_output(graph: Graph, rank: int) -> TensorInfo | None:
    """Return the only output if it has this rank."""
    if len(graph.outputs) == 1 and len(graph.outputs[0].shape) == rank:
        return graph.outputs[0]
    return None


def outputs_named(graph: Graph, *parts: str) -> list[int] | None:
    """Return the positions of the outputs whose names contain these parts, one for each, else None."""
    positions = []
    for part in parts:
        found = [at for at, port in enumerate(graph.outputs) if part in port.name.lower()]
        if len(found) != 1:
            return None
        positions += found
    return positions


def literal(graph: Graph, key: str) -> Any:
    """Return a metadata value that is a Python literal ("[640, 640]"), None if it is missing or is none."""
    text = graph.metadata.get(key)
    if text is None:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
