"""Weights of ultralytics as a torch module that computes what its ONNX exports compute."""

from __future__ import annotations

import copy
import importlib.util
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from stages.detect.runtime.graph import Graph, TensorInfo
from stages.detect.torch_run import first_line, own_stream

_PROBE_PX = 256
TASKS = ("detect", "segment", "pose", "obb")
_MOST_DETECTIONS = 300


class Weights:
    """A network of ultralytics, prepared for a device.

    It gives raw outputs, which `stages.detect.layouts` reads: the same of all runtimes. YOLO26 and v10 use
    the head that wants suppression, as ultralytics' `predict` does by default.

    Args:
        path: of the .pt file.
        device: `torch.device`.
        half: True to hold the weights in 16 bit floats; for GPUs.
        channels_last: True to keep a pixel's channels side by side.
        compiled: True to compile it.

    Attributes:
        module: takes (B, 3, H, W) RGB in 0..1, gives a tuple of tensors.
        graph: what its export would say of itself; the input is of bytes, see `TorchRuntime`.
        stream: of a GPU, on which all work of the network is done; None elsewhere.

    Raises:
        ModelError: if ultralytics is missing or too old, or the weights are damaged or no detector.
    """

    def __init__(
        self,
        path: Path,
        device: Any,
        *,
        half: bool = False,
        channels_last: bool = True,
        compiled: bool = False,
    ) -> None:
        import torch

        ultralytics = import_ultralytics()
        try:
            network = ultralytics.YOLO(str(path))
            module = network.model.float().eval()
            _prepare(module)
            with torch.inference_mode():
                outputs = tensors(module(torch.zeros(1, 3, _PROBE_PX, _PROBE_PX)))
        except Exception as error:  # torch, pickle and ultralytics raise whatever they like here
            raise ModelError(
                f"the weights '{path}' do not run ({first_line(error)}); use a model of ultralytics "
                f"that was made with this version ({ultralytics.__version__}) or an older one"
            ) from error
        if network.task not in TASKS:
            raise ModelError(
                f"the weights '{path}' find no boxes (their task is {network.task}); use a model for one of "
                f"{', '.join(TASKS)}"
            )
        self.graph = _graph(network.task, module, outputs)
        module.requires_grad_(False)
        if half:
            module.half()
        if channels_last:
            module.to(memory_format=torch.channels_last)
        try:
            module.to(device)
        except torch.OutOfMemoryError as error:
            raise ModelError(f"device '{device}' has no room for '{path}'; end what else uses it") from error
        self.module: Any = module
        self.stream = own_stream(device)
        self._compiled = compiled

    def view(self) -> Any:
        """Return a module of its own with the same weights.

        A head keeps the grid of the latest shape that it saw: two threads with different shapes would read
        each other's.

        Raises:
            ModelError: if the weights are closed.
        """
        import torch

        if self.module is None:
            raise ModelError("the network is closed")
        shared = {id(tensor): tensor for tensor in (*self.module.parameters(), *self.module.buffers())}
        module = copy.deepcopy(self.module, shared)
        return torch.compile(module) if self._compiled else module

    def close(self) -> None:
        """Free the memory once nobody holds it any more."""
        self.module = None


def tensors(outputs: Any) -> tuple[Any, ...]:
    """Return a network's outputs, one or several, as a tuple of tensors."""
    import torch

    return (outputs,) if torch.is_tensor(outputs) else tuple(outputs)


def remembered(module: Any) -> list[Any]:
    """Return what the heads of a module keep of the latest shape; see `Recorded`."""
    return [
        (part.anchors, part.strides)
        for part in module.modules()
        if hasattr(part, "anchors") and hasattr(part, "strides")
    ]


def import_ultralytics() -> Any:
    """Import ultralytics so that it loads weights safely, installs nothing, sends nothing and writes nothing.

    Raises:
        ModelError: if it is missing or too old.
    """
    if importlib.util.find_spec("ultralytics") is None:
        raise ModelError("the stage 'yolo' needs ultralytics; install it: pip install \"sightline[yolo]\"")
    # ultralytics reads these once, when it is imported.
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        own_folder = "YOLO_CONFIG_DIR" not in os.environ
        if own_folder:
            os.environ["YOLO_CONFIG_DIR"] = folder
        try:
            import ultralytics
            from ultralytics.utils import SETTINGS
        except ImportError as error:
            raise ModelError(
                f"ultralytics cannot be imported ({first_line(error)}); "
                f'install it again: pip install --force-reinstall "sightline[yolo]"'
            ) from error
        finally:
            if own_folder:
                del os.environ["YOLO_CONFIG_DIR"]
    # Past the class's own method, which would write the settings file.
    dict.__setitem__(SETTINGS, "sync", False)
    if not getattr(ultralytics.utils, "SAFE_LOAD", False):
        raise ModelError(
            "this ultralytics cannot load weights safely (it is too old, or was imported before the stage "
            "without ULTRALYTICS_SAFE_LOAD=true); upgrade it: pip install -U ultralytics"
        )
    return ultralytics


def _prepare(module: Any) -> None:
    """Make a module compute what ultralytics' exporter would trace (`engine/exporter.py`)."""
    from ultralytics.nn.modules import C2f, Detect, RTDETRDecoder

    if hasattr(module, "end2end"):
        with warnings.catch_warnings():
            module.end2end = False
    module.fuse(verbose=False)
    for part in module.modules():
        if isinstance(part, Detect | RTDETRDecoder):
            # Not `dynamic`: a grid that is kept per shape, not made anew in each call from memory of the CPU.
            part.dynamic, part.export, part.format = isinstance(part, RTDETRDecoder), True, "onnx"
            part.max_det, part.shape, part.xyxy, part.agnostic_nms = _MOST_DETECTIONS, None, False, False
        elif isinstance(part, C2f):
            part.forward = part.forward_split


def _graph(task: str, module: Any, outputs: tuple[Any, ...]) -> Graph:
    head = module.model[-1]
    metadata = {
        "task": task,
        "head": type(head).__name__,
        "names": repr(dict(module.names)),
        "stride": str(int(max(module.stride))),
        "end2end": str(getattr(module, "end2end", False)),
    }
    if task == "pose":
        metadata["kpt_shape"] = repr(list(head.kpt_shape))
    # The first axis counts the pictures; cells and masks follow the size of the input.
    is_table = type(head).__name__ == "RTDETRDecoder" or getattr(module, "end2end", False)
    shapes: list[tuple[int | None, ...]] = [
        (None, None if is_table else outputs[0].shape[1], outputs[0].shape[2] if is_table else None)
    ]
    shapes += [(None, output.shape[1], None, None) for output in outputs[1:]]
    return Graph(
        inputs=(TensorInfo("images", (None, 3, None, None), "uint8"),),
        outputs=tuple(TensorInfo(f"output{place}", shape, "float32") for place, shape in enumerate(shapes)),
        metadata=metadata,
        producer="ultralytics",
    )
