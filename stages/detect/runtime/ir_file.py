"""The head of an OpenVINO model (.xml): inputs, outputs, operators and metadata, without OpenVINO."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, parse

from pipeline.errors import ModelError
from stages.detect.runtime.graph import Graph, Shape, TensorInfo

_DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "f64": "float64",
    "fp32": "float32",  # ports and constants are named differently
    "fp16": "float16",
    "fp64": "float64",
    "u8": "uint8",
    "i8": "int8",
    "i32": "int32",
    "i64": "int64",
    "boolean": "bool",
    "bool": "bool",
}
_OPERATORS = {"Convolution": "Conv", "FakeQuantize": "QuantizeLinear"}
"""OpenVINO's names of what ONNX calls otherwise, as far as anybody asks for it."""


def read(path: Path) -> Graph:
    """Read the head of an OpenVINO model; its weights (.bin) must lie beside it.

    Raises:
        ModelError: if it is damaged, no such model, or without weights.
    """
    if not path.with_suffix(".bin").is_file():
        raise ModelError(f"'{path}' has no weights; put '{path.with_suffix('.bin').name}' beside it")
    try:
        root = parse(path).getroot()  # noqa: S314 - expat bounds the growth of entities, the model is the user's
    except (ParseError, OSError, ValueError) as error:
        raise ModelError(f"'{path}' is no OpenVINO model ({error}); export it again") from error
    layers = root.findall("./layers/layer")
    inputs = tuple(_parameter(layer) for layer in layers if layer.get("type") == "Parameter")
    results = [layer for layer in layers if layer.get("type") == "Result"]
    if root.tag != "net" or not inputs or not results:
        raise ModelError(f"'{path}' is no OpenVINO model (no network in it); export it again")
    feeds = {edge.get("to-layer"): edge.get("from-layer") for edge in root.findall("./edges/edge")}
    by_id = {layer.get("id"): layer for layer in layers}
    outputs = tuple(_result(layer, by_id.get(feeds.get(layer.get("id")))) for layer in results)
    kinds = (layer.get("type", "") for layer in layers)
    operators = Counter(_OPERATORS.get(kind, kind) for kind in kinds)
    weights: Counter[str] = Counter()
    for layer in layers:
        data = layer.find("data")
        if layer.get("type") == "Const" and data is not None:
            weights[data.get("element_type", "")] += int(data.get("size", "0"))
    most = weights.most_common(1)
    return Graph(
        inputs,
        outputs,
        _metadata(root),
        dict(operators),
        "openvino",
        _DTYPES.get(most[0][0], "") if most else "",
    )


def _parameter(layer: Element) -> TensorInfo:
    return _port(layer, layer.find("./output/port"))


def _result(layer: Element, source: Element | None) -> TensorInfo:
    info = _port(layer, layer.find("./input/port"))
    port = None if source is None else source.find("./output/port")
    name = info.name if port is None else (port.get("names") or info.name)
    return TensorInfo(name, info.shape, info.dtype)


def _port(layer: Element, port: Element | None) -> TensorInfo:
    if port is None:
        return TensorInfo(layer.get("name", ""), (), "")
    sides = [int(dim.text or 0) for dim in port.findall("dim")]
    shape: Shape = tuple(side if side > 0 else None for side in sides)
    dtype = _DTYPES.get(port.get("precision", "").lower(), "")
    name = port.get("names", "") or layer.get("name", "")
    return TensorInfo(name, shape, dtype)


def _metadata(root: Element) -> dict[str, str]:
    found = {}
    for section in ("framework", "model_info"):
        for entry in root.findall(f"./rt_info/{section}/*"):
            if entry.get("value") is not None:
                found[entry.tag] = entry.get("value", "")
    return found
