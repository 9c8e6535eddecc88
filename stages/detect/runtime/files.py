"""Reads the head of a network's file, whatever its format."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ModelError
from stages.detect.runtime import ir_file, onnx_file
from stages.detect.runtime.graph import Graph


def read_graph(path: Path) -> Graph:
    """Read the graph of an ONNX file (.onnx) or of an OpenVINO model (.xml).

    Raises:
        ModelError: if the file is missing or damaged, or of another kind.
    """
    readers = {".onnx": onnx_file.read, ".xml": ir_file.read}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ModelError(f"'{path}' is neither .onnx nor .xml (OpenVINO); export the network to one of them")
    if not path.is_file():
        raise ModelError(f"no weights at '{path}'; set 'model' to the path of an existing weights file")
    return reader(path)
