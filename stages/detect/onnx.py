"""Detectors in the ONNX format: any family that `stages.detect.layouts` knows, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy.typing as npt
from pydantic import BeforeValidator, Field

from pipeline.errors import ModelError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import StageContext, StreamInfo
from stages.detect.base import Detector
from stages.detect.boxes import AGNOSTIC_NMS
from stages.detect.classes import wanted
from stages.detect.layouts.choose import LayoutName, choose_layout, class_names
from stages.detect.layouts.finish import Finish
from stages.detect.layouts.spec import Tensors
from stages.detect.models.resolve import resolve
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.spend.options import DetectorOptions


class OnnxOptions(RuntimeOptions, DetectorOptions):
    """Options of the stage `onnx`."""

    model: Annotated[str, BeforeValidator(str)] = Field(
        min_length=1, description="Path of the .onnx file, the name of a known model, or an https URL."
    )
    layout: LayoutName | None = Field(
        None, description="What the network's outputs mean; by default recognised from the file."
    )
    classes: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the network's classes in the order of its training; default: as the file "
        "says, else COCO's.",
    )
    confidence: float = Field(0.25, gt=0, le=1, description="Smallest score of a detection.")
    nms_iou: float = Field(
        0.45, gt=0, le=1, description="Boxes that overlap a better one by more (IoU) are dropped."
    )
    agnostic_nms: bool = Field(True, description=AGNOSTIC_NMS)
    labels: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only these classes, e.g. [car, truck, bus]; default all."
    )
    image_size: int | None = Field(
        None,
        ge=32,
        le=4096,
        description="Longer side of the input, px, where the file leaves it open; the other side follows "
        "from the picture's shape. Default: as the file says, else 640.",
    )
    max_detections: int = Field(300, ge=1, le=3000, description="At most this many detections per picture.")


class OnnxDetector(Detector):
    """Finds objects with a network in an ONNX file, whose family is recognised from the file.

    Raises:
        ModelError: if the weights are missing or damaged, or their layout is not known.
        ConfigError: if a label is unknown, or the classes are not as many as the network's.
    """

    Options: ClassVar[type[RuntimeOptions]] = OnnxOptions

    def __init__(self, options: OnnxOptions, context: StageContext) -> None:
        super().__init__(options, context)
        file = resolve(options.model)
        self.model_hash = file.hash
        graph = read_graph(file.path)
        count = len(options.classes) if options.classes else None
        self._layout = choose_layout(graph, str(file.path), options.layout, count)
        names = class_names(self._layout, str(file.path), options.classes)
        self._finish = Finish(
            names,
            wanted(options.labels, names),
            options.nms_iou,
            options.agnostic_nms,
            options.max_detections,
        )
        self._path = file.path
        self._session = _session(file.path, options.threads)
        self._tensors: Tensors | None = None
        if self._layout.spec.fixed:
            self._size_for(1, 1)

    def open(self, info: StreamInfo) -> None:
        """Choose the input's size for the pictures of this stream."""
        super().open(info)
        self._size_for(info.width, info.height)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Run the network on each picture by itself: on a CPU a batch gains nothing."""
        return [self._detect(picture) for picture in pictures]

    def close(self) -> None:
        """Free the network."""
        self._session = None

    def _size_for(self, width: int, height: int) -> Tensors:
        spec = self._layout.spec.sized(width, height, self.options.image_size)
        if self._tensors is None or self._tensors.spec != spec:
            self._tensors = Tensors(spec)
        return self._tensors

    def _detect(self, picture: Picture) -> Detections:
        tensors = self._tensors or self._size_for(picture.width, picture.height)
        tensor, place = tensors.fill(picture)
        inputs = self._layout.feed(tensor, tensors.spec)
        names = [port.name for port in self._session.get_inputs()]
        try:
            outputs: list[npt.NDArray[Any]] = self._session.run(None, dict(zip(names, inputs, strict=True)))
        except Exception as error:  # ONNX Runtime's own exceptions have no common public base
            raise ModelError(f"'{self._path}' does not run: {str(error).splitlines()[0]}") from error
        found = self._layout.decode(outputs, tensors.spec, self.options.confidence)
        return self._finish(found[0], place)


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
