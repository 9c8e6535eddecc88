"""Networks on ONNX Runtime: the CPU, or an NVIDIA GPU by its CUDA and TensorRT execution providers."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ModelError
from stages.detect.cuda_context import wait_asleep
from stages.detect.runtime.base import (
    Inputs,
    MissingRuntimeError,
    OutOfMemoryError,
    Outputs,
    Precision,
    RuntimeName,
    one_line,
    whole_batch,
)
from stages.detect.runtime.graph import Graph

logger = logging.getLogger(__name__)

GpuName = Literal["cuda", "tensorrt"]
Shapes = Sequence[tuple[int, ...]]
"""The shape of each input for one picture."""

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_NO_ROOM = ("out of memory", "failed to allocate memory", "cudaerrormemoryallocation", "bad allocation")
_SILENT = 4


def has(name: GpuName) -> bool:
    """Whether the installed ONNX Runtime was built with this execution provider."""
    import onnxruntime

    return _PROVIDERS[name] in onnxruntime.get_available_providers()


def require(name: GpuName) -> None:
    """Refuse where the installed ONNX Runtime has no such execution provider.

    Raises:
        MissingRuntimeError: what to install.
    """
    if not has(name):
        raise MissingRuntimeError(
            f"no {name} here: this ONNX Runtime was built without it; "
            f'pip uninstall onnxruntime, then pip install "sightline[gpu]", or set another runtime and device'
        )


class OrtRuntime:
    """A session of ONNX Runtime; see `Runtime`.

    On the CPU each call runs in its caller's thread, so several callers gain as many cores. On a GPU one call
    at a time takes a batch. Files that are fixed to a batch are fed whole ones.

    Args:
        path: of the .onnx file.
        graph: of the file.
        name: onnxruntime for the CPU, cuda or tensorrt.
        device: "cpu" or "cuda:0".
        precision: the file's own; TensorRT also f16 and bf16.
        shapes: of each input for one picture.
        threads: CPU threads for one picture.
        callers: pictures at once on the CPU.
        max_batch: most pictures per call on a GPU.
        engines: folder for TensorRT's engines, which take minutes to build.

    Raises:
        MissingRuntimeError: if the device is not there; ONNX Runtime itself would silently take the CPU.
        ModelError: if the file is no usable network.
    """

    def __init__(
        self,
        path: Path,
        graph: Graph,
        *,
        name: RuntimeName,
        device: str,
        precision: Precision,
        shapes: Shapes,
        threads: int,
        callers: int,
        max_batch: int,
        engines: Path,
    ) -> None:
        self.name: RuntimeName = name
        self.device = device
        self.precision: Precision = precision
        self._path = path
        self._names = [info.name for info in graph.inputs]
        self._fixed = graph.fixed_batch
        on_cpu = name == "onnxruntime"
        self.max_batch = self._fixed or (1 if on_cpu else max_batch)
        self.parallel = callers if on_cpu else 1
        index = 0 if on_cpu else int(device.partition(":")[2] or 0)
        if not on_cpu:
            wait_asleep(index)
        providers: list[Any] = ["CPUExecutionProvider"]
        if name != "onnxruntime":
            providers = [
                *gpu_providers(name, index, precision, graph, shapes, self.max_batch, engines),
                *providers,
            ]
        self._session: Any = _session(path, threads, providers)
        used = self._session.get_providers()
        if not on_cpu and used[0] != _PROVIDERS[name]:
            self._session = None
            raise MissingRuntimeError(
                f"{name} cannot use '{device}': ONNX Runtime found no such GPU or no CUDA {_cuda_built()}and "
                f"cuDNN to go with it; 'sightline doctor' shows what is here, 'device: cpu' does without"
            )

    def run(self, inputs: Inputs) -> Outputs:
        """Run the network; see `Runtime.run`."""
        real = 0
        if self._fixed and len(inputs[0]) < self._fixed:
            inputs, real = whole_batch(inputs, self._fixed)
        try:
            outputs: Outputs = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        except Exception as error:  # ONNX Runtime's own exceptions have no common public base
            raise failure(error, self._path, f"{self.name} on {self.device}") from error
        return [output[:real] for output in outputs] if real else outputs

    def close(self) -> None:
        """Free the session."""
        self._session = None


def gpu_providers(
    name: RuntimeName,
    index: int,
    precision: Precision,
    graph: Graph,
    shapes: Shapes,
    max_batch: int,
    engines: Path,
) -> list[tuple[str, dict[str, str]]]:
    """Return the execution providers of a GPU with their options, the first choice first.

    Nothing is rounded unless the precision says so: CUDA's TF32, on by default since Ampere, is off.
    TensorRT has no option for that, only NVIDIA's environment variable, which counts for the whole process.
    """
    cuda = {
        "device_id": str(index),
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    if name == "cuda":
        return [(_PROVIDERS["cuda"], cuda)]
    if precision == "f32":
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    engines.mkdir(parents=True, exist_ok=True)
    tensorrt = {
        "device_id": str(index),
        "trt_fp16_enable": str(int(precision == "f16")),
        "trt_bf16_enable": str(int(precision == "bf16")),
        "trt_int8_enable": str(int(precision == "int8")),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(engines),
    }
    if any(None in info.shape for info in graph.inputs):
        most = graph.fixed_batch or max_batch
        for key, batch in (("min", graph.fixed_batch or 1), ("opt", most), ("max", most)):
            tensorrt[f"trt_profile_{key}_shapes"] = _profile(graph, shapes, batch)
    return [(_PROVIDERS["tensorrt"], tensorrt), (_PROVIDERS["cuda"], cuda)]


def failure(error: Exception, path: Path, where: str) -> ModelError:
    """Return what a runtime's exception means for the one who runs the network."""
    said = str(error).lower()
    if any(words in said for words in _NO_ROOM):
        return OutOfMemoryError(f"'{path.name}' finds no room on {where} ({one_line(error)})")
    return ModelError(f"'{path.name}' failed on {where} ({one_line(error)})")


def _profile(graph: Graph, shapes: Shapes, batch: int) -> str:
    entries = []
    for info, shape in zip(graph.inputs, shapes, strict=True):
        entries.append(f"{info.name}:{'x'.join(map(str, (batch * shape[0], *shape[1:])))}")
    return ",".join(entries)


def _session(path: Path, threads: int, providers: list[Any]) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    # Idle threads that spin starve the decoder: 5 to 100 times slower on a busy two-core box.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = _SILENT
    # Plans for memory are kept for each caller at once: 20 MB of YOLO11n's 60, and no sooner on a CPU.
    settings.enable_mem_pattern = len(providers) > 1
    if len(providers) > 1:
        # It says on stderr that no plug-in stands for the provider that is built in.
        onnxruntime.set_default_logger_severity(_SILENT)
        if hasattr(onnxruntime, "preload_dlls"):
            # CUDA and cuDNN from NVIDIA's pip packages; what is missing shows in the session's providers.
            onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=providers)
    except Exception as error:  # as in run
        raise ModelError(
            f"'{path}' is no usable ONNX file ({one_line(error)}); export or download it again"
        ) from error
    session.disable_fallback()
    return session


def _cuda_built() -> str:
    import onnxruntime

    version = getattr(onnxruntime, "cuda_version", "")
    return f"{version} " if version else ""
