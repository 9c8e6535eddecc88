"""The stage `torchvision`: Faster, Mask and Keypoint R-CNN, RetinaNet, FCOS and SSD. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from pipeline.errors import ConfigError, FrameLost, StageError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, StageContext
from stages.detect.base import Detector
from stages.detect.boxes import AGNOSTIC_NMS, suppress
from stages.detect.classes import read_names, wanted
from stages.detect.models.resolve import resolve
from stages.detect.runtime.guard import Guard
from stages.detect.runtime.shared import BAD_OUTPUT
from stages.detect.torch_run import Batches, TorchOptions, device_of, is_half, keep_floats_whole, need
from stages.detect.torchvision.network import Found, Network, Weights, published_classes

_UNUSED = "N/A"  # numbers that COCO left out


class TorchvisionOptions(TorchOptions):
    """Options of the stage `torchvision`."""

    network: str = Field(
        "ssdlite320_mobilenet_v3_large",
        min_length=1,
        description="Name in torchvision.models: fasterrcnn_resnet50_fpn, maskrcnn_resnet50_fpn, "
        "keypointrcnn_resnet50_fpn, retinanet_resnet50_fpn, fcos_resnet50_fpn, ssd300_vgg16, ...",
    )
    model: str = Field(
        min_length=1,
        description="Path, name (`sightline models list`) or https URL of the weights: a .pth with the "
        "network's state dict.",
    )
    classes: tuple[str, ...] | Path | None = Field(
        None,
        description="Names of the classes in their order, without the background, or a file with one per "
        "line; default: those of the weights that torchvision publishes (COCO).",
    )
    labels: tuple[str, ...] | None = Field(
        None, min_length=1, description="Only these classes of the model, e.g. [car, truck]; default all."
    )
    confidence: float = Field(0.5, gt=0, le=1, description="Smallest score of a detection.")
    nms_iou: float = Field(
        0.5, gt=0, le=1, description="Boxes that overlap a better one by more (IoU) are dropped."
    )
    agnostic_nms: bool = Field(True, description=AGNOSTIC_NMS)
    image_size: int | None = Field(
        None,
        ge=64,
        le=4096,
        description="Longer side of the input, px; default: the network's own (often 1333).",
    )
    max_detections: int = Field(100, ge=1, le=3000, description="At most this many detections per picture.")
    timeout_s: float = Field(
        30.0, ge=1, le=3600, description="A call that takes longer is given up, and its picture lost, s."
    )


class TorchvisionDetector(Detector):
    """Runs a detection network of torchvision (BSD-3); masks become outlines, poses keypoints.

    Weights are read by torch's `weights_only` reader, which builds tensors and nothing else.

    Raises:
        ModelError: if torch or torchvision is missing, the weights are missing, damaged or of another
            network, or the device is not there.
        ConfigError: if there is no such network, or a label is not one of the classes.
    """

    Options: ClassVar[type[Options]] = TorchvisionOptions
    emits = NO_EVENTS

    def __init__(self, options: TorchvisionOptions, context: StageContext) -> None:
        super().__init__(options, context)
        for package in ("torch", "torchvision"):
            need(package, "torchvision", "torchvision")
        self.batch = options.batch
        names = _names(options)
        file = resolve(options.model)  # what is wrong with it is told before torch is imported, for seconds
        device = device_of(options.device)
        self.model_hash = file.hash
        self._names = np.array(names)
        self._wanted = wanted(options.labels, names) & (self._names != "")
        import torch

        torch.set_num_threads(options.threads)
        what: dict[str, Any] = {
            "classes": len(names),
            "device": device,
            "channels_last": options.channels_last,
            "compiled": options.compile,
        }
        self._lease = context.shared.lease(
            (Weights, options.network, file.sha256, *map(str, what.values())),
            lambda: Weights(options.network, file.path, file.hash, **what),
        )
        shared = self._lease.value

        half = is_half(options.half, device, f"'{file.path.name}'")
        if not half:
            keep_floats_whole(device)

        def make() -> Network:
            return Network(
                shared,
                image_size=options.image_size,
                confidence=options.confidence,
                nms_iou=options.nms_iou,
                max_detections=options.max_detections,
                half=half,
            )

        try:
            self._guard: Guard[Network] | None = Guard(file.path.name, options.timeout_s, make)
        except ConfigError:
            self._lease.close()
            raise
        self._batches = Batches(self._run, options.batch, options.network)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections | FrameLost]:
        """Run the network on all pictures at once, as far as they have one size."""
        found: list[Found | None] = []
        for _, alike in groupby(pictures, key=lambda picture: (picture.width, picture.height)):
            found += self._batches(list(alike))
        return [
            self._detections(one, picture)
            if one is not None
            else FrameLost(BAD_OUTPUT, f"'{self.options.model}' gave what is no finite number")
            for one, picture in zip(found, pictures, strict=True)
        ]

    def close(self) -> None:
        """Free the network, if no other stream has it."""
        self._guard = None
        self._lease.close()

    def _run(self, pictures: Sequence[Picture]) -> list[Found | None]:
        if self._guard is None:
            raise StageError("the stage 'torchvision' is closed")
        return self._guard.call(lambda network: network.run(pictures, self._wanted))

    def _detections(self, found: Found, picture: Picture) -> Detections:
        edges = np.array([picture.width, picture.height] * 2, np.float32)
        group = np.zeros_like(found.number) if self.options.agnostic_nms else found.number
        rows = suppress(found.xyxy, found.score, group, self.options.nms_iou)
        return Detections(
            np.clip(found.xyxy[rows], 0, edges),
            np.clip(found.score[rows], 0, 1),
            self._names[found.number[rows]],
            keypoints=None if found.keypoints is None else found.keypoints[rows],
            outline=None if found.outline is None else found.outline[rows],
        )


def _names(options: TorchvisionOptions) -> list[str]:
    """Return the names by class number; the background and unused numbers have none."""
    published = published_classes(options.network)
    if options.classes is None:
        return ["", *("" if name == _UNUSED else name for name in published[1:])]
    names = read_names(options.classes) if isinstance(options.classes, Path) else options.classes
    return ["", *names]
