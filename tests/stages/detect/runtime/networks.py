"""Small real networks, made with `onnx`, whose answers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stages.detect.runtime.files import read_graph
from stages.detect.runtime.opening import Network

Dim = int | str


def convolution(path: Path, batch: Dim = 1, side: Dim = 8, *, seed: int = 0, half: bool = False) -> Path:
    """A convolution (3 to 4 channels, 3 x 3) and a rectifier, with metadata as ultralytics writes them."""
    weights = np.random.default_rng(seed).standard_normal((4, 3, 3, 3)).astype(np.float32)
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    return save(
        path,
        [
            helper.make_node("Conv", ["images", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["output"]),
        ],
        [helper.make_tensor_value_info("images", kind, [batch, 3, side, side])],
        [helper.make_tensor_value_info("output", kind, [batch, 4, side, side])],
        [numpy_helper.from_array(weights.astype(np.float16) if half else weights, "w")],
        {"names": "{0: 'car'}", "stride": "32"},
    )


def divided(path: Path, batch: Dim = "batch") -> Path:
    """1 / x: infinite where the picture is 0."""
    return save(
        path,
        [helper.make_node("Reciprocal", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2])],
    )


def counted(path: Path) -> Path:
    """The places that are not 0, of the whole batch: what a suppression inside the network gives."""
    return save(
        path,
        [helper.make_node("NonZero", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [2, "found"])],
    )


def per_box(path: Path, batch: Dim = "batch") -> Path:
    """As `counted`, a row for each: with two pictures there are four, or two if half of them were 0."""
    return save(
        path,
        [
            helper.make_node("NonZero", ["x"], ["t"]),
            helper.make_node("Transpose", ["t"], ["y"], perm=[1, 0]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["found", 2])],
    )


def looped(path: Path, rounds: int = 10**12) -> Path:
    """Counts to `rounds` where the picture is bright: nearly for ever."""
    scalar = numpy_helper.from_array
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Add", ["sum", "one"], ["more"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]),
        ],
        [scalar(np.array(1, np.float32), "one")],
    )
    return save(
        path,
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Greater", ["most", "zero"], ["bright"]),
            helper.make_node("Where", ["bright", "many", "once"], ["rounds"]),
            helper.make_node("Loop", ["rounds", "", "start"], ["y"], body=body),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            scalar(np.array(0, np.float32), "zero"),
            scalar(np.array(rounds, np.int64), "many"),
            scalar(np.array(1, np.int64), "once"),
            scalar(np.zeros(1, np.float32), "start"),
        ],
    )


def two_inputs(path: Path) -> Path:
    """Adds a uint8 picture and its size."""
    return save(
        path,
        [
            helper.make_node("Cast", ["picture"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["size"], ["s"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["f", "s"], ["sum"]),
        ],
        [
            helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", 2]),
            helper.make_tensor_value_info("size", TensorProto.INT64, ["n", 2]),
        ],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 2])],
    )


def quantised(path: Path) -> Path:
    """A value that is rounded to eight bits on its way."""
    return save(
        path,
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [
            numpy_helper.from_array(np.array(0.5, np.float32), "scale"),
            numpy_helper.from_array(np.array(0, np.uint8), "zero"),
        ],
    )


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    weights: list[Any] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Check a graph and write it."""
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tests")
    model.ir_version = 9
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def network(path: Path, *shapes: tuple[int, ...]) -> Network:
    """What is to be opened, for these sizes."""
    return Network(path, "c0ffee", read_graph(path), shapes)
