"""Small weights files: whole, damaged and malicious ones."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def torch_zip(content: object = None, protocol: int = 2, folder: str = "weights/") -> bytes:
    """A file as torch.save writes it, with `content` pickled in it; a plain dictionary when None."""
    pickled = pickle.dumps({"epoch": 3} if content is None else content, protocol)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{folder}data.pkl", pickled)
        archive.writestr(f"{folder}data/0", bytes(4000))
        archive.writestr(f"{folder}version", b"3\n")
    return file.getvalue()


def torch_legacy(content: object, protocol: int = 2) -> bytes:
    """A file as torch.save wrote it before version 1.6: four pickles and the numbers."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, ["0"])
    first, *others = (pickle.dumps(part, 2 if part == parts[0] else protocol) for part in parts)
    return b"".join([first, *others, bytes(400)])


def onnx_bytes(numbers: int = 1000) -> bytes:
    """A valid network: it adds a constant to its input."""
    import numpy as np
    import onnx.helper as helper
    from onnx import TensorProto, numpy_helper

    constant = numpy_helper.from_array(np.arange(numbers, dtype=np.float32), "c")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "c"], ["y"])],
        "adds",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [numbers])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [numbers])],
        [constant],
    )
    return bytes(helper.make_model(graph).SerializeToString())


def trap(path: Path) -> Call:
    """What makes a folder when it is unpickled."""
    return Call(os.mkdir, str(path))
