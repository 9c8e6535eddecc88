"""Writes the appearance network as an ONNX file that says itself what it wants and gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from stages.track.appearance.network import LENGTH
from stages.track.appearance.patches import Scaling
from stages.track.appearance.reid import METADATA_KEY
from stages.track.gallery import F32Array

_OPSET, _IR_VERSION = 17, 8
"""Old enough for any ONNX Runtime that the base install allows."""


def export_onnx(network: Any, path: Path, *, limit: float | None = None) -> None:
    """Write the network, as it is for use, with a batch of any size.

    The graph is put together here and not by torch's exporters: one is deprecated, the other needs a further
    package, and by hand the batch norms behind convolutions vanish into them.

    Args:
        network: of `make_network`.
        path: the file; replaced where there is one.
        limit: the cosine distance up to which two looks are taken for one object.

    Raises:
        OSError: if the file cannot be written.
    """
    path.write_bytes(onnx_bytes(network, limit=limit))


def onnx_bytes(network: Any, *, limit: float | None = None) -> bytes:
    """Return the content of the ONNX file; the same for the same weights."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    x = graph.elu(graph.conv("images", network.conv1, network.norm1))
    x = graph.elu(graph.conv(x, network.conv2, network.norm2))
    x = graph.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for block in network.blocks:
        inner = x if block.before is None else graph.elu(graph.norm(x, block.before))
        inner = graph.elu(graph.conv(inner, block.one, block.between))
        inner = graph.conv(inner, block.two)
        x = graph.add("Add", [inner, x if block.project is None else graph.conv(x, block.project)])
    x = graph.dense(graph.add("Flatten", [x], axis=1), network.dense, network.norm3)
    length = graph.add("ReduceL2", [x], axes=[1], keepdims=1)
    # The least length is torch's: a row of zeros stays one.
    length = graph.add("Max", [length, graph.constant(np.array([[1e-12]], np.float32))])
    graph.add("Div", [x, length], output="embedding")

    inputs = helper.make_tensor_value_info(
        "images", TensorProto.FLOAT, ["batch", 3, network.height, network.width]
    )
    outputs = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", LENGTH])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "appearance", [inputs], [outputs], graph.constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="sightline",
    )
    helper.set_model_props(model, {METADATA_KEY: json.dumps(_facts(network, limit), sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _facts(network: Any, limit: float | None) -> dict[str, Any]:
    scaling = Scaling()
    return {
        "version": 1,
        "width": network.width,
        "height": network.height,
        "channels": "rgb" if scaling.rgb else "bgr",
        "mean": scaling.mean,
        "std": scaling.std,
        "length": LENGTH,
        "limit": limit,
    }


class _Graph:
    """Nodes and constants of a graph in the making; values are known by name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        """Append a node and return the name of what it gives."""
        from onnx import helper

        name = output or f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], **attributes))
        return name

    def constant(self, values: F32Array) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def elu(self, x: str) -> str:
        return self.add("Elu", [x])

    def conv(self, x: str, conv: Any, norm: Any = None) -> str:
        """Append a convolution and, within it, the normalisation that follows."""
        weight = _numpy(conv.weight)
        bias = np.zeros(len(weight), np.float32) if conv.bias is None else _numpy(conv.bias)
        if norm is not None:
            gain, shift = _gain_and_shift(norm)
            weight, bias = weight * gain[:, None, None, None], bias * gain + shift
        stride, padding = list(conv.stride), list(conv.padding) * 2
        constants = [self.constant(weight), self.constant(bias)]
        return self.add("Conv", [x, *constants], strides=stride, pads=padding)

    def norm(self, x: str, norm: Any) -> str:
        values = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        names = [self.constant(_numpy(value)) for value in values]
        return self.add("BatchNormalization", [x, *names], epsilon=norm.eps)

    def dense(self, x: str, dense: Any, norm: Any) -> str:
        gain, shift = _gain_and_shift(norm)
        weight = self.constant(_numpy(dense.weight) * gain[:, None])
        return self.add("Gemm", [x, weight, self.constant(shift)], transB=1)


def _gain_and_shift(norm: Any) -> tuple[F32Array, F32Array]:
    """Return what a batch norm does to each channel once its statistics are fixed."""
    gain = _numpy(norm.weight) / np.sqrt(_numpy(norm.running_var) + np.float32(norm.eps))
    return gain, _numpy(norm.bias) - _numpy(norm.running_mean) * gain


def _numpy(tensor: Any) -> F32Array:
    return np.asarray(tensor.detach().cpu().numpy(), np.float32)
