"""Exports that only torch can run, TensorRT engines and TorchScript, loaded by ultralytics' `AutoBackend`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from stages.detect.runtime.graph import Graph, TensorInfo
from stages.detect.torch_run import first_line, own_stream
from stages.detect.yolo.weights import TASKS, import_ultralytics, tensors

SUFFIXES = (".engine", ".torchscript")


class Exported:
    """An export of ultralytics on a torch device; stands for `Weights`.

    Args:
        path: of the file that ultralytics' exporter wrote, with its metadata.
        device: `torch.device`; an engine fits only the GPU and the TensorRT that it was built with.
        half: True if it takes 16 bit floats.

    Attributes:
        module: takes (B, 3, H, W) RGB in 0..1, gives a tuple of tensors.
        graph: what it says of itself; the input is of bytes, see `TorchRuntime`.
        stream: of a GPU, on which all work of the network is done; None elsewhere, and for an engine, see
            `stream_of`.

    Raises:
        ModelError: if ultralytics or TensorRT is missing, or the file does not run on the device.
    """

    def __init__(self, path: Path, device: Any, *, half: bool = False) -> None:
        import torch

        import_ultralytics()
        from ultralytics.nn.autobackend import AutoBackend

        if path.suffix.lower() == ".engine" and device.type != "cuda":
            raise ModelError(
                f"'{path}' is a TensorRT engine and needs an NVIDIA GPU, not '{device}'; use the .pt or the "
                f".onnx file"
            )
        try:
            loaded = AutoBackend(str(path), device=device, fp16=half, verbose=False)
            facts = loaded.backend
            height, width = _size(facts.imgsz)
            shown = torch.zeros(1, 3, height, width, device=device)
            with torch.inference_mode():
                outputs = tensors(loaded(shown.half() if half else shown))
        except Exception as error:  # torch, TensorRT and ultralytics raise whatever they like here
            raise ModelError(
                f"'{path}' does not run on '{device}' ({first_line(error)}); export it again on this box, or "
                f"use the .pt file"
            ) from error
        if facts.task not in TASKS:
            raise ModelError(
                f"'{path}' finds no boxes (its task is {facts.task}); use a model for one of "
                f"{', '.join(TASKS)}"
            )
        self.module: Any = loaded
        self.stream = stream_of(path, device)
        self.graph = _graph(facts, outputs, height, width)

    def view(self) -> Any:
        """Return the module, which keeps nothing between calls.

        Raises:
            ModelError: if it is closed.
        """
        if self.module is None:
            raise ModelError("the network is closed")
        return self.module

    def close(self) -> None:
        """Free the memory once nobody holds it any more."""
        self.module = None


def stream_of(path: Path, device: Any) -> Any:
    """Return the stream of its own that an export works on, None for an engine.

    ultralytics runs engines with open shapes on CUDA's default stream, whatever the current one is, which
    waits for no other of torch's. It moves their outputs, too, so they cannot be recorded.
    """
    return None if path.suffix.lower() == ".engine" else own_stream(device)


def _size(imgsz: Any) -> tuple[int, int]:
    """Return height and width, px, of what the metadata say: one number or two."""
    sides = [imgsz, imgsz] if isinstance(imgsz, int) else list(imgsz)
    return int(sides[0]), int(sides[-1])


def _graph(facts: Any, outputs: tuple[Any, ...], height: int, width: int) -> Graph:
    metadata = {
        "task": facts.task,
        "head": str(getattr(facts, "head", "Detect")),
        "names": repr(dict(facts.names)),
        "stride": str(int(facts.stride)),
        "end2end": str(bool(getattr(facts, "end2end", False))),
    }
    if facts.task == "pose":
        metadata["kpt_shape"] = repr(list(facts.kpt_shape))
    is_open = bool((getattr(facts, "args", None) or {}).get("dynamic", False))
    size = (None, None) if is_open else (height, width)
    batch = None if is_open else 1
    shapes = [(batch, *map(int, output.shape[1:])) for output in outputs]
    return Graph(
        inputs=(TensorInfo("images", (batch, 3, *size), "uint8"),),
        outputs=tuple(TensorInfo(f"output{place}", shape, "float32") for place, shape in enumerate(shapes)),
        metadata=metadata,
        producer="ultralytics",
    )
