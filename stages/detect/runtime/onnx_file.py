"""The head of an ONNX file: inputs, outputs, operators and metadata, without the package `onnx`.

Field numbers are those of onnx.proto (ONNX IR version 3 to 13).
"""

from __future__ import annotations

import mmap
from collections import Counter
from pathlib import Path

from pipeline.errors import ModelError
from stages.detect.runtime.graph import Graph, TensorInfo
from stages.detect.runtime.protobuf import fields, message, number, text

_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
_MOST_METADATA_CHARACTERS = 1 << 20


def read(path: Path) -> Graph:
    """Read the head of an ONNX file.

    Raises:
        ModelError: if it is empty, damaged, or no ONNX file.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise ModelError(f"the weights '{path}' are an empty file; download them again")
            # Not closed by hand: the error of a damaged file still holds views of it.
            return _model(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise ModelError(
            f"cannot read the weights '{path}': {error.strerror}; check its permissions"
        ) from error
    except ValueError as error:
        raise ModelError(
            f"'{path}' is no usable ONNX file ({error}); export or download it again"
        ) from None  # its traceback would keep the file open


def _model(view: memoryview) -> Graph:
    found: memoryview | None = None
    operators: Counter[str] = Counter()
    metadata: dict[str, str] = {}
    producer = ""
    versions = 0
    for field, value in fields(view):
        if field == 1:
            versions = number(value)
        elif field == 2:
            producer = text(value)
        elif field == 7:
            found = message(value)
        elif field == 14:
            key, content = _pair(message(value))
            metadata[key] = content[:_MOST_METADATA_CHARACTERS]
        elif field == 25:  # a function of the model's own
            operators.update(_operators(message(value), 7))
    if found is None or versions < 1:
        raise ValueError("it holds no graph")
    operators.update(_operators(found, 1))
    weights: set[str] = set()
    sizes: Counter[str] = Counter()
    inputs, outputs = [], []
    for field, value in fields(found):
        if field == 5:
            name, dtype, size = _initializer(message(value))
            weights.add(name)
            sizes[dtype] += size
        elif field == 11:
            inputs.append(_value_info(message(value)))
        elif field == 12:
            outputs.append(_value_info(message(value)))
    fed = tuple(info for info in inputs if info.name not in weights)
    if not fed or not outputs:
        raise ValueError("its graph has no input or no output")
    most = sizes.most_common(1)
    return Graph(fed, tuple(outputs), metadata, dict(operators), producer, most[0][0] if most else "")


def _operators(graph: memoryview, field_of_nodes: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for field, value in fields(graph):
        if field == field_of_nodes:
            found.update(text(inner) for kind, inner in fields(message(value)) if kind == 4)
    return found


def _pair(entry: memoryview) -> tuple[str, str]:
    found = {field: text(value) for field, value in fields(entry) if field in (1, 2)}
    return found.get(1, ""), found.get(2, "")


def _initializer(tensor: memoryview) -> tuple[str, str, int]:
    name, dtype = "", ""
    for field, value in fields(tensor):
        if field == 2:
            dtype = _DTYPES.get(number(value), "")
        elif field == 8:
            name = text(value)
    return name, dtype, len(tensor)


def _value_info(info: memoryview) -> TensorInfo:
    name, dtype = "", ""
    shape: list[int | None] = []
    symbols: list[str] = []
    for field, value in fields(info):
        if field == 1:
            name = text(value)
        elif field == 2:
            for kind, inner in fields(message(value)):
                if kind == 1:  # a tensor, as opposed to a sequence, a map, ...
                    dtype = _tensor_type(message(inner), shape, symbols)
    return TensorInfo(name, tuple(shape), dtype, tuple(symbols))


def _tensor_type(tensor: memoryview, shape: list[int | None], symbols: list[str]) -> str:
    dtype = ""
    for field, value in fields(tensor):
        if field == 1:
            dtype = _DTYPES.get(number(value), "")
        elif field == 2:
            for kind, inner in fields(message(value)):
                if kind == 1:
                    side, symbol = _dimension(message(inner))
                    shape.append(side)
                    symbols.append(symbol)
    return dtype


def _dimension(dimension: memoryview) -> tuple[int | None, str]:
    side, symbol = None, ""
    for field, value in fields(dimension):
        if field == 1:
            # Some exporters write 0 or -1 for a side that is open.
            side = number(value) if number(value) > 0 else None
        elif field == 2:
            symbol = text(value)
    return side, symbol
