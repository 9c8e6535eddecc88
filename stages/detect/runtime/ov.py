"""Networks on OpenVINO: Intel's and AMD's processors, Intel's GPUs and NPUs. Loaded when it is used."""

from __future__ import annotations

import importlib.util
import queue
import sys
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from stages.detect.runtime.base import (
    Inputs,
    MissingRuntimeError,
    Outputs,
    Precision,
    RuntimeName,
    one_line,
    whole_batch,
)
from stages.detect.runtime.graph import Graph
from stages.detect.runtime.ort import Shapes, failure

_INSTALL = 'pip install "sightline[openvino]"'
_HINTS = {"f32": "f32", "int8": "f32", "bf16": "bf16", "f16": "f16"}
"""What is not quantised in a quantised network is calculated in f32."""


def is_installed() -> bool:
    """Whether the package is there; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def devices() -> list[str]:
    """Return the devices that it finds: "cpu", "gpu:0", "npu"."""
    if not _has_accelerator():
        return ["cpu"]
    return [_our_name(name) for name in _core().available_devices]


def _has_accelerator() -> bool:
    """Whether a GPU or NPU could be here: to ask OpenVINO loads the plug-ins of all, 15 MB that stay.

    On Linux they are files of the kernel's drivers; elsewhere only OpenVINO knows.
    """
    if sys.platform != "linux":
        return True
    return any(Path(name).exists() for name in ("/dev/dri", "/dev/accel", "/dev/dxg"))


def require(device: str) -> list[str]:
    """Return the devices that `device` stands for: for auto every one, else the one that is named.

    Raises:
        MissingRuntimeError: if OpenVINO or the device is not there.
    """
    if not is_installed():
        raise MissingRuntimeError(f"OpenVINO is not installed: {_INSTALL}, or set another runtime")
    found = devices()
    if device == "auto":
        return [name for name in found if not name.startswith("npu")] or found
    wanted = "gpu:0" if device == "gpu" else device
    if wanted not in found:
        raise MissingRuntimeError(
            f"OpenVINO finds no '{device}' here (it finds: {', '.join(found) or 'nothing'}); "
            f"set another device, or install the device's driver"
        )
    return [wanted]


def reduced_precisions(device: str) -> list[Precision]:
    """Return what the device can calculate in with less than 32 bit, where that is faster at all."""
    capabilities = _core().get_property(_its_name(device), "OPTIMIZATION_CAPABILITIES")
    known: dict[str, Precision] = {"BF16": "bf16", "FP16": "f16"}
    return [precision for name, precision in known.items() if name in capabilities]


class OvRuntime:
    """A compiled model of OpenVINO with one infer request per caller; see `Runtime`.

    Two compiled models in one process run one after the other; one with several streams does not. The
    precision is always stated: OpenVINO's own default is the processor's fastest, so that another box would
    give other boxes.

    Args:
        path: of the .onnx or .xml file.
        graph: of the file.
        device: "cpu", "gpu:0" or "npu".
        precision: what to calculate in.
        shapes: of each input for one picture; the network is compiled for these.
        threads: CPU threads for one picture.
        callers: pictures at once on the CPU.
        max_batch: most pictures per call on a GPU.
        cache: folder for compiled kernels of a GPU.

    Raises:
        ModelError: if the file is no usable network.
    """

    name: RuntimeName = "openvino"

    def __init__(
        self,
        path: Path,
        graph: Graph,
        *,
        device: str,
        precision: Precision,
        shapes: Shapes,
        threads: int,
        callers: int,
        max_batch: int,
        cache: Path,
    ) -> None:
        self.device = device
        self.precision: Precision = precision
        self._path = path
        self._fixed = graph.fixed_batch
        on_cpu = device == "cpu"
        self.max_batch = self._fixed or (1 if on_cpu else max_batch)
        self.parallel = callers if on_cpu else 1
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
        if on_cpu:
            # Pinned threads cannot make room for the decoder.
            settings |= {
                "NUM_STREAMS": callers,
                "INFERENCE_NUM_THREADS": callers * threads,
                "ENABLE_CPU_PINNING": False,
            }
        else:
            settings |= {"PERFORMANCE_HINT": "THROUGHPUT", "CACHE_DIR": str(cache)}
        try:
            core = _core()
            model = core.read_model(str(path))
            batch = None if self._fixed or not on_cpu else 1
            model.reshape(
                {
                    place: [(self._fixed or batch or -1) * shape[0], *shape[1:]]
                    for place, shape in enumerate(shapes)
                }
            )
            compiled = core.compile_model(model, _its_name(device), settings)
            self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
            for _ in range(self.parallel):
                self._requests.put(compiled.create_infer_request())
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise ModelError(
                f"'{path}' is no network that OpenVINO can run on {device} ({_reason(error)}); "
                f"export it again, or set 'runtime: onnxruntime'"
            ) from error
        self._compiled: Any = compiled

    def run(self, inputs: Inputs) -> Outputs:
        """Run the network; see `Runtime.run`. More callers than `parallel` wait for each other."""
        real = 0
        if self._fixed and len(inputs[0]) < self._fixed:
            inputs, real = whole_batch(inputs, self._fixed)
        request = self._requests.get()
        try:
            found = request.infer(list(inputs), share_inputs=True, share_outputs=False)
            outputs = [found[place] for place in range(len(found))]
        except Exception as error:  # as above
            raise failure(error, self._path, f"openvino on {self.device}") from error
        finally:
            self._requests.put(request)
        return [output[:real] for output in outputs] if real else outputs

    def close(self) -> None:
        """Free the compiled model and its requests."""
        while not self._requests.empty():
            self._requests.get()
        self._compiled = None


def _core() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingRuntimeError(f"OpenVINO cannot be imported ({one_line(error)}); {_INSTALL}") from error
    return openvino.Core()


def _our_name(device: str) -> str:
    kind, _, index = device.lower().partition(".")
    return f"gpu:{index or 0}" if kind == "gpu" else kind


def _its_name(device: str) -> str:
    kind, _, index = device.partition(":")
    return f"{kind.upper()}.{index}" if index else kind.upper()


def _reason(error: Exception) -> str:
    """Return the last line that says something: OpenVINO begins with the place in its own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return " ".join((said or lines or [type(error).__name__])[-1].encode("ascii", "ignore").decode().split())
