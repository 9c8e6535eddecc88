"""torchvision's detectors (SSD, RetinaNet, FCOS, Faster, Mask, Keypoint R-CNN) and ONNX Model Zoo's R-CNNs.

The network resizes, normalises and suppresses by itself; boxes are px of what it was given. Source:
pytorch.org/vision/stable/models.html#object-detection, github.com/onnx/models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.detect.coco import COCO_CATEGORIES, COCO_NAMES
from stages.detect.layouts.base import Array, Candidates, Hints, Layout
from stages.detect.layouts.masks import box_outlines, picture_outlines
from stages.detect.layouts.ports import image_input
from stages.detect.layouts.spec import InputSpec
from stages.detect.runtime.graph import Graph

# Output names of the zoo's Faster and Mask R-CNN, which say nothing but are always these.
_ZOO_OUTPUTS = (("6379", "6381", "6383"), ("6568", "6570", "6572", "6887"))
_ZOO_MEAN = (102.9801, 115.9465, 122.7717)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where each column is among the outputs."""

    boxes: int
    scores: int
    labels: int
    masks: int | None = None
    keypoints: int | None = None
    keypoint_scores: int | None = None


class Torchvision(Layout):
    """Outputs of one picture: boxes (N, 4), scores (N,), labels (N,) from 1, and masks or keypoints.

    Input RGB 0..1, without a batch. Labels are COCO's category numbers.
    """

    def __init__(
        self, name: str, spec: InputSpec, classes: int | None, names: tuple[str, ...], places: _Places
    ) -> None:
        super().__init__(name, spec, classes, names)
        self._places = places

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if the outputs have these shapes and types, in any order."""
        spec = image_input(graph, place="top_left", stride=1, grey=0, size_px=800)
        places = _places(graph)
        if spec is None or places is None or _is_zoo(graph):
            return None
        return cls("torchvision", spec, None, COCO_CATEGORIES[1:], places)

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:  # noqa: ARG002
        """Drop what is below `confidence`; the network has done the rest."""
        at = self._places
        rows = np.flatnonzero(outputs[at.scores] >= confidence)
        xyxy, score = outputs[at.boxes][rows], outputs[at.scores][rows]
        number = outputs[at.labels][rows] - 1
        outlines = None
        if at.masks is not None:
            masks = outputs[at.masks][rows, 0]
            # The zoo's masks are small and lie in their boxes; torchvision pastes them.
            outlines = box_outlines(masks, xyxy) if self.name == "rcnn-zoo" else picture_outlines(masks)
        keypoints = None
        if at.keypoints is not None and at.keypoint_scores is not None:
            points, sure = outputs[at.keypoints][rows], outputs[at.keypoint_scores][rows]
            # Scores are logits of a heat map; only their order is defined, so a sigmoid keeps it in 0..1.
            sure = 1 / (1 + np.exp(-np.clip(sure, -80, 80)))
            keypoints = np.concatenate([points[..., :2], sure[..., None]], axis=2).astype(np.float32)
        return [Candidates.of(xyxy, score, number, suppress=False, outlines=outlines, keypoints=keypoints)]


def recognise_zoo(graph: Graph, hints: Hints) -> Layout | None:
    """Return the zoo's Faster or Mask R-CNN: BGR with means taken off, labels from 1 without gaps."""
    spec = image_input(
        graph, colour="bgr", mean=_ZOO_MEAN, scale=(1.0, 1.0, 1.0), place="top_left", size_px=1088
    )
    places = _places(graph)
    if spec is None or places is None or not (_is_zoo(graph) or hints.named):
        return None
    return Torchvision("rcnn-zoo", spec, None, COCO_NAMES, places)


def _is_zoo(graph: Graph) -> bool:
    return tuple(port.name for port in graph.outputs) in _ZOO_OUTPUTS


def _places(graph: Graph) -> _Places | None:
    """Find each output by its rank and type: exporters call them by numbers, in an order of their own."""
    if graph.inputs and len(graph.inputs[0].shape) != 3:
        return None
    ranks = [len(port.shape) for port in graph.outputs]
    floats = ["float" in port.dtype for port in graph.outputs]
    boxes = [at for at, rank in enumerate(ranks) if rank == 2 and graph.outputs[at].shape[1] == 4]
    scores = [at for at, rank in enumerate(ranks) if rank == 1 and floats[at]]
    labels = [at for at, rank in enumerate(ranks) if rank == 1 and not floats[at]]
    if not (len(boxes) == len(scores) == len(labels) == 1):
        return None
    rest = set(range(len(ranks))) - {boxes[0], scores[0], labels[0]}
    masks = next((at for at in rest if ranks[at] == 4), None)
    points = next((at for at in rest if ranks[at] == 3), None)
    sure = next((at for at in rest if ranks[at] == 2), None)
    return _Places(boxes[0], scores[0], labels[0], masks, points, sure)
