"""Detectors in the ONNX format: any family that `stages.detect.layouts` knows, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

from pipeline.errors import FrameLost, ModelError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, StageContext, StreamInfo
from stages.detect.base import Detector
from stages.detect.boxes import AGNOSTIC_NMS
from stages.detect.classes import wanted
from stages.detect.device_input import DeviceTensors
from stages.detect.layouts.base import Array, Candidates
from stages.detect.layouts.choose import LayoutName, choose_layout, class_names
from stages.detect.layouts.finish import Finish
from stages.detect.layouts.spec import InputSpec, Tensors
from stages.detect.models.resolve import ModelFile, resolve
from stages.detect.runtime.client import InferenceClient, lease_inference
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.graph import Graph
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
        ModelError: if the weights are missing or damaged, do not run here, or their layout is not known.
        ConfigError: if a label is unknown, or the classes are not as many as the network's.
    """

    Options: ClassVar[type[RuntimeOptions]] = OnnxOptions
    emits = NO_EVENTS

    def __init__(self, options: OnnxOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._client: InferenceClient | None = None
        self._tensors: Tensors | DeviceTensors | None = None
        file, self._graph = self._read()
        self.model_hash: str = file.hash
        self._path = file.path
        count = len(options.classes) if options.classes else None
        self.layout = choose_layout(self._graph, str(file.path), options.layout, count)
        names = class_names(self.layout, str(file.path), options.classes)
        self._finish = Finish(
            names,
            wanted(options.labels, names),
            options.nms_iou,
            options.agnostic_nms,
            options.max_detections,
        )
        # The engine asks before the size of the pictures is known.
        self.batch = options.callers
        if self.layout.spec.fixed:
            self._prepare(1, 1)

    def open(self, info: StreamInfo) -> None:
        """Open the network with an input of the shape of this stream's pictures."""
        super().open(info)
        self._prepare(info.width, info.height)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections | FrameLost]:
        """Run the network on each picture, on a CPU as many at once as it has cores for.

        Returns:
            The detections of each picture; or why it is lost: the network hung, or gave no numbers.

        Raises:
            ModelError: if the network does not run, or finds classes that have no name.
        """
        if not pictures:
            return []
        client, tensors = self._prepared(pictures[0])
        found: list[Detections | FrameLost] = []
        for start in range(0, len(pictures), tensors.count):
            found += self._infer(pictures[start : start + tensors.count], client, tensors)
        return found

    def close(self) -> None:
        """Give the network back."""
        self._give_back()

    def _give_back(self) -> None:
        client, self._client, self._tensors = self._client, None, None
        if client:
            client.close()

    def _read(self) -> tuple[ModelFile, Graph]:
        """Return the file of the network, and what it says of itself."""
        file = resolve(self.options.model)
        return file, read_graph(file.path)

    def _lease(self, shapes: Sequence[tuple[int, ...]]) -> InferenceClient:
        """Open the network for inputs of these shapes, or join the streams that have it open."""
        return lease_inference(self._path, self.model_hash, self._graph, shapes, self.options, self.context)

    def _buffers(self, spec: InputSpec, count: int) -> Tensors | DeviceTensors:
        """Return what makes the network's input of pictures, so many at once."""
        return Tensors(spec, count)

    def _infer(
        self, pictures: Sequence[Picture], client: InferenceClient, tensors: Tensors | DeviceTensors
    ) -> list[Detections | FrameLost]:
        places, requests = [], []
        for index, picture in enumerate(pictures):
            tensor, place = tensors.fill(picture, index)
            places.append(place)
            requests.append(self.layout.feed(tensor, tensors.spec))
        found: list[Detections | FrameLost] = []
        for place, outputs in zip(places, client.run_many(requests), strict=True):
            if isinstance(outputs, FrameLost):
                # The call that hangs may still read its tensor: it gets no other picture.
                tensors.forget()
                found.append(outputs)
            else:
                found.append(self._finish(self._decoded(outputs, tensors), place))
        return found

    def _decoded(self, outputs: Sequence[Array], tensors: Tensors | DeviceTensors) -> Candidates:
        """Read what the network gives for one picture.

        Only now shows, in a file that leaves its outputs' shapes open, that they are not those of the layout.
        """
        try:
            return self.layout.decode(outputs, tensors.spec, self.options.confidence)[0]
        except (IndexError, ValueError) as error:
            shapes = ", ".join(str(list(output.shape)) for output in outputs)
            size = f"{tensors.spec.width} x {tensors.spec.height}"
            raise ModelError(
                f"'{self._path}' gives outputs {shapes}, which are none of layout '{self.layout.name}' at an "
                f"input of {size} ({error}); set 'layout' to another one"
            ) from error

    def _prepared(self, picture: Picture) -> tuple[InferenceClient, Tensors | DeviceTensors]:
        if self._client and self._tensors:
            return self._client, self._tensors
        return self._prepare(picture.width, picture.height)

    def _prepare(self, width: int, height: int) -> tuple[InferenceClient, Tensors | DeviceTensors]:
        """Open the network for pictures of this size, unless it is open with the same input."""
        spec = self.layout.spec.sized(width, height, self.options.image_size)
        if self._client and self._tensors and self._tensors.spec == spec:
            return self._client, self._tensors
        self._give_back()
        shapes = [array.shape for array in self.layout.feed(np.zeros(spec.shape, spec.dtype), spec)]
        client = self._lease(shapes)
        self.batch = client.batch
        self._client, self._tensors = client, self._buffers(spec, client.batch)
        return self._client, self._tensors
