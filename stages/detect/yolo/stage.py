"""The stage `yolo`: weights of ultralytics, on torch or as an export on a faster runtime."""

from __future__ import annotations

import importlib.util
import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from pipeline.errors import ModelError
from pipeline.plugin import Options, StageContext
from pipeline.shared import Lease
from stages.detect.coco import COCO_NAMES
from stages.detect.device_input import DeviceTensors
from stages.detect.layouts.spec import InputSpec, Tensors
from stages.detect.models.export import export
from stages.detect.models.resolve import ModelFile, resolve
from stages.detect.models.store import sha256_of
from stages.detect.onnx import OnnxDetector, OnnxOptions
from stages.detect.runtime import ort
from stages.detect.runtime.base import RuntimeName
from stages.detect.runtime.client import InferenceClient, lease_inference
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.graph import Graph
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.runtime.shared import Inference
from stages.detect.torch_run import device_of, need
from stages.detect.yolo.exported import SUFFIXES, Exported
from stages.detect.yolo.torch_runtime import TorchRuntime, precision_of
from stages.detect.yolo.weights import Weights

logger = logging.getLogger(__name__)

_TORCH = ".pt"
_PUBLISHED = re.compile(r"yolo(v\d+|\d+)[a-z]u?\.pt")  # by name, not by a path: weights trained on COCO
_OTHERS = (".onnx", ".xml")
_HASH_DIGITS = 16


class YoloOptions(OnnxOptions):
    """Options of the stage `yolo`."""

    model: str = Field(
        min_length=1,
        description="Name of a known model (yolo11n.pt), path or https URL of ultralytics' weights (.pt), or "
        "of an export of them (.onnx, .xml).",
    )
    runtime: Literal["auto", "torch"] | RuntimeName = Field(  # type: ignore[assignment]
        "auto",
        description="auto: exports the weights once and takes the fastest runtime that is installed; torch "
        "where only torch can use the GPU. torch, onnxruntime, openvino, cuda, tensorrt.",
    )
    device: str = Field(
        "auto",
        min_length=1,
        description="auto (a GPU where the runtime has one, else the CPU), cpu, cuda:0, gpu:0 and npu (by "
        "OpenVINO), and what else torch knows (mps).",
    )
    channels_last: bool = Field(
        True, description="On torch: a pixel's channels side by side in memory. The same boxes, sooner."
    )
    compile: bool = Field(
        False, description="On torch: compile the network. Minutes at the start, for long runs on a GPU."
    )


class YoloDetector(OnnxDetector):
    """Runs detection, segmentation, pose and oriented-box models of ultralytics: YOLOv3u to 26, and RT-DETR.

    Masks become outlines, poses keypoints, oriented boxes corners. ultralytics and the weights that it
    publishes are under AGPL-3.0 (or a licence bought from them), and so are exports of them; the extra `yolo`
    is not part of the base install for that reason.

    Weights are unpickled by torch's `weights_only` reader, which builds the known layer classes and nothing
    else. ultralytics is kept from installing packages, from sending statistics, and from writing settings.

    Raises:
        ModelError: if ultralytics is missing or too old, or the weights are missing, damaged, no detector, or
            do not run on the device.
        ConfigError: if a label is not one of the model's classes.
    """

    Options: ClassVar[type[Options]] = YoloOptions  # type: ignore[assignment]
    made_on_device: ClassVar[frozenset[str]] = frozenset({"cuda"})
    """Kinds of torch devices that scale and convert pictures; a CPU does it sooner by OpenCV."""

    @classmethod
    def known_labels(cls, options: YoloOptions) -> frozenset[str] | None:
        """Return the classes that the options name, else COCO's for ultralytics' own detection weights."""
        named = super().known_labels(options)
        return frozenset(COCO_NAMES) if named is None and _PUBLISHED.fullmatch(options.model) else named

    def __init__(self, options: YoloOptions, context: StageContext) -> None:
        self._weights: Lease[Weights] | Lease[Exported] | None = None
        self._device: Any = None
        try:
            super().__init__(options, context)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the network and its weights back."""
        super().close()
        if self._weights is not None:
            self._weights.close()

    def _read(self) -> tuple[ModelFile, Graph]:
        options: YoloOptions = self.options
        file = resolve(options.model)
        suffix = file.path.suffix.lower()
        if suffix not in (_TORCH, *_OTHERS, *SUFFIXES):
            raise ModelError(
                f"'{options.model}' is no .pt, .onnx, .xml or .engine file; set 'model' to one of these"
            )
        if suffix in SUFFIXES:
            if options.runtime not in ("auto", "torch"):
                raise ModelError(
                    f"runtime: {options.runtime} does not run '{file.path.name}', torch does; set it to auto"
                )
            return file, self._on_torch(file)
        if suffix in _OTHERS:
            if options.runtime == "torch":
                raise ModelError(f"runtime: torch runs .pt files, not '{file.path.name}'; set it to auto")
            return file, read_graph(file.path)
        if options.runtime != "torch" and (options.runtime != "auto" or _exports_pay(options.device)):
            try:
                path = export(file.path)
            except ModelError as error:
                if options.runtime != "auto":
                    raise
                graph = self._on_torch(file)  # if that fails, too, one line says so
                logger.warning("%s; it runs on torch, which is slower", error)
                return file, graph
            else:
                return replace(file, path=path), read_graph(path)
        return file, self._on_torch(file)

    def _on_torch(self, file: ModelFile) -> Graph:
        options: YoloOptions = self.options
        need("ultralytics", "yolo", "yolo")
        self._device = device = device_of(options.device)
        what = {
            "half": precision_of(options.precision, device) == "f16",
            "channels_last": options.channels_last,
            "compiled": options.compile,
        }
        if file.path.suffix.lower() in SUFFIXES:
            key = (Exported, file.sha256, str(device), what["half"])
            self._weights = self.context.shared.lease(
                key, lambda: Exported(file.path, device, half=what["half"])
            )
        else:
            self._weights = self.context.shared.lease(
                (Weights, file.sha256, str(device), *what.values()),
                lambda: Weights(file.path, device, **what),
            )
        return self._weights.value.graph

    def _buffers(self, spec: InputSpec, count: int) -> Tensors | DeviceTensors:
        if self._weights is not None and self._device.type in self.made_on_device:
            return DeviceTensors(spec, self._device, count, self._weights.value.stream)
        return super()._buffers(spec, count)

    def _lease(self, shapes: Sequence[tuple[int, ...]]) -> InferenceClient:
        if self._weights is None:
            # The digest of what runs, which is perhaps an export; results carry that of the weights.
            digest = sha256_of(self._path)[:_HASH_DIGITS]
            options = _checked(self.options)
            return lease_inference(self._path, digest, self._graph, shapes, options, self.context)
        options = self.options
        weights, device, shape = self._weights.value, self._device, tuple(shapes[0])

        def opened() -> TorchRuntime:
            runtime = TorchRuntime(
                weights,
                device,
                precision=precision_of(options.precision, device),
                max_batch=self._graph.fixed_batch or options.max_batch,
                callers=options.callers,
                threads=options.threads,
            )
            runtime.warm_up(shape)
            return runtime

        def make() -> Inference:
            return Inference(
                opened, self._path.name, timeout_s=options.timeout_s, max_wait_s=options.max_wait_ms / 1e3
            )

        how = options.model_dump_json(include={*RuntimeOptions.model_fields, "channels_last", "compile"})
        key = (Inference, YoloDetector, self.model_hash, shape, how)
        return InferenceClient(self.context.shared.lease(key, make), self.context.stream)


def _checked(options: YoloOptions) -> RuntimeOptions:
    """Return the options for a runtime other than torch, which knows fewer devices."""
    device = options.device
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "npu", "cuda", "gpu") or (number and not number.isdecimal()):
        raise ModelError(
            f"device '{device}': only torch may have it; set 'runtime: torch', or device to auto, cpu, "
            f"cuda:0, gpu:0 or npu"
        )
    return RuntimeOptions.model_validate(options.model_dump(include=set(RuntimeOptions.model_fields)))


def _exports_pay(device: str) -> bool:
    """Whether an export runs where the weights are to run: not on a GPU that only torch can use."""
    if importlib.util.find_spec("onnx") is None:
        return False
    kind = device.partition(":")[0]
    if kind in ("cpu", "gpu", "npu"):
        return True
    if kind in ("auto", "cuda") and ort.has("cuda"):
        return True
    return kind == "auto" and not _has_nvidia()


def _has_nvidia() -> bool:
    """Whether there is an NVIDIA GPU, asked without loading torch, which takes seconds and much memory."""
    return (
        Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists() or shutil.which("nvidia-smi") is not None
    )
