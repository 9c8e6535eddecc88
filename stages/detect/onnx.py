"""Detectors in the ONNX format, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.errors import ConfigError, ModelError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import Options, StageContext
from stages.detect import yolox
from stages.detect.base import Detector
from stages.detect.boxes import AGNOSTIC_NMS, cxcywh_to_xyxy, suppress
from stages.detect.coco import COCO_NAMES
from stages.detect.letterbox import Letterbox
from stages.detect.spend.options import DetectorOptions
from stages.detect.weights import weights_hash

Layout = Literal["yolox"]


class OnnxOptions(DetectorOptions):
    """Options of the stage `onnx`."""

    model: Path = Field(description="Path of the .onnx file.")
    layout: Layout = Field("yolox", description="Family of the network: what its input and output mean.")
    confidence: float = Field(0.25, gt=0, le=1, description="Smallest score of a detection.")
    nms_iou: float = Field(
        0.45, gt=0, le=1, description="Boxes that overlap a better one by more (IoU) are dropped."
    )
    agnostic_nms: bool = Field(True, description=AGNOSTIC_NMS)
    labels: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only these COCO classes, e.g. [car, truck, bus]; default all."
    )
    threads: int = Field(
        1, ge=1, le=64, description="CPU threads of the network. More than one suffers badly on a busy box."
    )


class OnnxDetector(Detector):
    """Finds the COCO classes with a YOLOX network (input BGR 0..255, letterboxed top left, grey 114).

    Raises:
        ModelError: if the weights are missing, are no ONNX file, or have another input or output.
        ConfigError: if a label is unknown.
    """

    Options: ClassVar[type[Options]] = OnnxOptions

    def __init__(self, options: OnnxOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._classes = _class_numbers(options.labels)
        self.model_hash = weights_hash(options.model)
        self._session = _session(options.model, options.threads)
        self._input, self._width, self._height = _input_of(self._session, options.model)
        _check_output(self._session, options.model, self._width, self._height)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Run the network on each picture by itself: on a CPU a batch gains nothing."""
        return [self._detect(picture) for picture in pictures]

    def close(self) -> None:
        """Free the network."""
        self._session = None

    def _detect(self, picture: Picture) -> Detections:
        box = Letterbox.of(picture, self._width, self._height)
        tensor = box.fill(picture).transpose(2, 0, 1)[None].astype(np.float32)
        raw = self._session.run(None, {self._input: tensor})[0][0]
        cxcywh, score, number = yolox.decode(raw, self._width, self._height, self.options.confidence)
        wanted = np.isin(number, self._classes)
        cxcywh, score, number = cxcywh[wanted], score[wanted], number[wanted]
        xyxy = box.to_picture(cxcywh_to_xyxy(cxcywh))
        group = np.zeros_like(number) if self.options.agnostic_nms else number
        kept = suppress(xyxy, score, group, self.options.nms_iou)
        names = np.array(COCO_NAMES)[number[kept]]
        return Detections(xyxy[kept], np.clip(score[kept], 0, 1), names)


def _class_numbers(labels: tuple[str, ...] | None) -> list[int]:
    if labels is None:
        return list(range(len(COCO_NAMES)))
    unknown = [label for label in labels if label not in COCO_NAMES]
    if unknown:
        raise ConfigError(f"labels: '{unknown[0]}' is no COCO class; known: {', '.join(COCO_NAMES)}")
    return [COCO_NAMES.index(label) for label in labels]


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    # Idle threads that spin starve the decoder: 5 to 100 times slower on a busy two-core box.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common public base
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"'{path}' is no usable ONNX file ({reason}); export or download it again"
        ) from error


def _input_of(session: Any, path: Path) -> tuple[str, int, int]:
    inputs = session.get_inputs()
    shape = inputs[0].shape
    fits = len(inputs) == 1 and len(shape) == 4 and shape[1] == 3 and inputs[0].type == "tensor(float)"
    if not fits or not all(isinstance(side, int) for side in shape[2:]):
        raise ModelError(
            f"'{path}' is no network of layout 'yolox': its input is {inputs[0].type} {shape}, "
            f"wanted tensor(float) [1, 3, height, width] with fixed sizes; set 'layout' or export it so"
        )
    return inputs[0].name, shape[3], shape[2]


def _check_output(session: Any, path: Path, width: int, height: int) -> None:
    shape = session.get_outputs()[0].shape
    wanted = [yolox.cell_count(width, height), 5 + len(COCO_NAMES)]
    if len(session.get_outputs()) != 1 or len(shape) != 3 or shape[1:] != wanted:
        raise ModelError(
            f"'{path}' is no network of layout 'yolox': its output is {shape}, "
            f"wanted [1, {wanted[0]}, {wanted[1]}]; set 'layout' or use another file"
        )
