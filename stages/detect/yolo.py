"""Every YOLO that ultralytics runs, from .pt or .onnx weights. The package is loaded when a stage is made."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.errors import ConfigError, ModelError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import Options, StageContext
from stages.detect.base import Detector
from stages.detect.boxes import AGNOSTIC_NMS
from stages.detect.spend.options import DetectorOptions
from stages.detect.weights import weights_hash

_SUFFIXES = (".pt", ".onnx")
_WARM_UP_PX = (360, 640)


class YoloOptions(DetectorOptions):
    """Options of the stage `yolo`."""

    model: str = Field(
        min_length=1,
        description="Path of .pt or .onnx weights, or the name of an official model (yolo11n.pt), which is "
        "downloaded into the current folder.",
    )
    confidence: float = Field(0.25, gt=0, le=1, description="Smallest score of a detection.")
    nms_iou: float = Field(
        0.45, gt=0, le=1, description="Boxes that overlap a better one by more (IoU) are dropped."
    )
    agnostic_nms: bool = Field(True, description=AGNOSTIC_NMS)
    labels: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only these classes of the model, e.g. [car, truck]; default all."
    )
    image_size: int = Field(
        640, ge=32, le=4096, multiple_of=32, description="Longer side of the network's input, px."
    )
    device: str = Field(
        "auto", min_length=1, description="auto (the first GPU, else the CPU), cpu, cuda:0, mps, ..."
    )
    half: bool | Literal["auto"] = Field("auto", description="16 bit arithmetic; auto: on a GPU only.")
    batch: int = Field(
        1, ge=1, le=64, description="Pictures per call. More than one gains something on a GPU only."
    )
    max_detections: int = Field(300, ge=1, le=3000, description="At most this many detections per picture.")
    threads: int = Field(
        1, ge=1, le=64, description="CPU threads of torch, for the whole process; more suffer on a busy box."
    )


class YoloDetector(Detector):
    """Runs a detection, segmentation or pose model of ultralytics; only its boxes are used.

    ultralytics and the weights that it publishes are under AGPL-3.0 (or a licence bought from them); the
    extra `yolo` is not part of the base install for that reason.

    Weights are unpickled by torch's `weights_only` reader, which builds the known layer classes and nothing
    else. ultralytics is kept from installing packages, from sending statistics, and from writing settings.

    Raises:
        ModelError: if ultralytics is missing or too old, or the weights are missing, damaged, no detector, or
            do not run on the device.
        ConfigError: if a label is not one of the model's classes.
    """

    Options: ClassVar[type[Options]] = YoloOptions

    def __init__(self, options: YoloOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self.batch = options.batch
        ultralytics = _import_ultralytics()
        path = _local_weights(options.model)
        self.model_hash = weights_hash(path)
        self._model, self._arguments = self._load(ultralytics, path)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Run the network on all pictures at once."""
        results = self._model.predict([picture.bgr() for picture in pictures], **self._arguments)
        return [_detections(result) for result in results]

    def close(self) -> None:
        """Free the network."""
        self._model = None

    def _load(self, ultralytics: Any, path: Path) -> tuple[Any, dict[str, Any]]:
        import torch

        options = self.options
        device = options.device
        if device == "auto":
            device = "cuda:0" if torch.cuda.is_available() else "cpu"
        arguments = {
            "conf": options.confidence,
            "iou": options.nms_iou,
            "agnostic_nms": options.agnostic_nms,
            "imgsz": options.image_size,
            "device": device,
            "half": device != "cpu" if options.half == "auto" else options.half,
            "max_det": options.max_detections,
            "batch": options.batch,
            "verbose": False,
        }
        blank = np.zeros((*_WARM_UP_PX, 3), np.uint8)
        try:
            model = ultralytics.YOLO(str(path))
            # The last batch of a file may be smaller; exported networks can be fixed to one size.
            for size in {options.batch, 1}:
                results = model.predict([blank] * size, **arguments)
        except Exception as error:  # torch, ONNX Runtime and ultralytics raise whatever they like here
            raise ModelError(
                f"the weights '{path}' do not run on '{device}' ({_one_line(error)}); "
                f"use detection weights made for this ultralytics, or another device"
            ) from error
        if results[0].boxes is None:
            raise ModelError(
                f"the weights '{path}' find no boxes; use a detection, segmentation or pose model"
            )
        # ultralytics chose a number of threads for itself when it picked the device.
        torch.set_num_threads(options.threads)
        arguments["classes"] = _class_numbers(options.labels, model.names)
        return model, arguments


def _detections(result: Any) -> Detections:
    boxes = result.boxes.cpu().numpy()
    labels = np.array([result.names[int(number)] for number in boxes.cls], dtype=np.str_)
    return Detections(boxes.xyxy, np.clip(boxes.conf, 0, 1), labels)


def _class_numbers(labels: tuple[str, ...] | None, names: dict[int, str]) -> list[int] | None:
    if labels is None:
        return None
    numbers = {name: number for number, name in names.items()}
    unknown = [label for label in labels if label not in numbers]
    if unknown:
        raise ConfigError(f"labels: the model has no class '{unknown[0]}'; it has: {', '.join(numbers)}")
    return [numbers[label] for label in labels]


def _import_ultralytics() -> Any:
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
                f"ultralytics cannot be imported ({_one_line(error)}); "
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


def _local_weights(model: str) -> Path:
    """Return the path of the weights, after fetching an official model that is not here yet."""
    path = Path(model).expanduser()
    if path.suffix not in _SUFFIXES:
        raise ModelError(f"'{model}' is no .pt or .onnx file; set 'model' to weights of one of these formats")
    if path.exists():
        return path
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    if model != path.name or model not in GITHUB_ASSETS_NAMES:
        raise ModelError(
            f"no weights at '{model}'; set 'model' to an existing file or an official name such as yolo11n.pt"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".sightline-", dir=path.resolve().parent) as folder:
            attempt_download_asset(str(Path(folder) / path.name), progress=False, retry=1)
            (Path(folder) / path.name).rename(path)
    except Exception as error:  # requests, urllib3, OSError: whatever stopped it, there are no weights now
        raise ModelError(
            f"cannot download '{model}' into '{path.resolve().parent}' ({_one_line(error)}); "
            f"go online, or copy the file there and start again"
        ) from error
    return path


def _one_line(error: BaseException) -> str:
    """Return the first line of an error as plain text."""
    lines = str(error).strip().splitlines()
    text = (lines[0] if lines else type(error).__name__).encode("ascii", "ignore").decode()
    return text.removeprefix("ERROR").strip()
