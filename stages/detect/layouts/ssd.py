"""SSD (Liu et al. 2016, arXiv:1512.02325) and what shares its outputs, in three common exports.

Sources: github.com/qfgaohao/pytorch-ssd and jetson-inference (scores and boxes of all anchors),
github.com/onnx/models (SSD of MLPerf), TensorFlow's Object Detection API and AutoML's EfficientDet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.detect.coco import COCO_CATEGORIES, COCO_NAMES
from stages.detect.layouts.base import Array, Candidates, F32Array, Hints, Layout
from stages.detect.layouts.ports import image_input, one_output, outputs_named
from stages.detect.layouts.spec import RGB_DEVIATION, RGB_MEAN, InputSpec
from stages.detect.runtime.graph import Graph

_SCALE = (1 / RGB_DEVIATION[0], 1 / RGB_DEVIATION[1], 1 / RGB_DEVIATION[2])


class Ssd(Layout):
    """Outputs scores (B, N, 1 + classes), the first column the background, and boxes (B, N, 4), corners 0..1.

    Input RGB (level - 127) / 128, stretched.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if there are outputs called scores and boxes with one row for each anchor."""
        spec = image_input(
            graph,
            mean=(127.0, 127.0, 127.0),
            scale=(1 / 128, 1 / 128, 1 / 128),
            place="stretch",
            size_px=300,
        )
        places = outputs_named(graph, "score", "box")
        if spec is None or places is None or len(graph.outputs) != 2:
            return None
        scores, boxes = (graph.outputs[at].shape for at in places)
        if len(scores) != 3 or len(boxes) != 3 or boxes[2] != 4 or scores[1] != boxes[1]:
            return None
        classes = None if scores[2] is None else scores[2] - 1
        layout = cls("ssd", spec, classes)
        layout._places = (places[0], places[1])
        return layout

    _places: tuple[int, int] = (0, 1)

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Take the best class of each anchor but the background."""
        found = []
        for score, boxes in zip(*(outputs[at] for at in self._places), strict=True):
            best = score[:, 1:].max(axis=1)
            rows = np.flatnonzero(best >= confidence)
            number = score[rows, 1:].argmax(axis=1)
            found.append(Candidates.of(boxes[rows] * _whole(spec), best[rows], number, suppress=True))
        return found


class SsdMlperf(Layout):
    """Outputs boxes (1, N, 4), corners 0..1, labels (1, N) from 1, scores (1, N), suppressed already.

    Input RGB with ImageNet's mean and deviation, stretched.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if the three outputs are called so."""
        spec = image_input(graph, mean=RGB_MEAN, scale=_SCALE, place="stretch", size_px=1200)
        places = outputs_named(graph, "box", "label", "score")
        if spec is None or spec.axes != "nchw" or places is None or len(graph.outputs) != 3:
            return None
        if [len(graph.outputs[at].shape) for at in places] != [3, 2, 2]:
            return None
        layout = cls("ssd-mlperf", spec, None, COCO_NAMES)
        layout._places = (places[0], places[1], places[2])
        return layout

    _places: tuple[int, int, int] = (0, 1, 2)

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Drop what is below `confidence`."""
        found = []
        for boxes, label, score in zip(*(outputs[at] for at in self._places), strict=True):
            keep = score >= confidence
            xyxy = boxes[keep] * _whole(spec)
            found.append(Candidates.of(xyxy, score[keep], label[keep] - 1, suppress=False))
        return found


class TensorFlow(Layout):
    """Outputs detection_boxes (B, N, 4): top, left, bottom, right 0..1; detection_classes from 1; and scores.

    SSD, EfficientDet, CenterNet and Faster R-CNN of TensorFlow's Object Detection API, converted by tf2onnx.
    Input RGB 0..255, uint8 or float, stretched; suppressed already.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if the outputs have TensorFlow's names."""
        spec = image_input(graph, scale=(1.0, 1.0, 1.0), place="stretch", size_px=640)
        names = [port.name.partition(":")[0] for port in graph.outputs]
        wanted = ["detection_boxes", "detection_classes", "detection_scores"]
        if spec is None or any(names.count(name) != 1 for name in wanted):
            return None
        layout = cls("tensorflow", spec, None, COCO_CATEGORIES[1:])
        layout._places = tuple(names.index(name) for name in wanted)
        return layout

    _places: tuple[int, ...] = (0, 1, 2)

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Drop what is below `confidence`."""
        found = []
        for boxes, label, score in zip(*(outputs[at] for at in self._places), strict=True):
            keep = score >= confidence
            xyxy = boxes[keep][:, [1, 0, 3, 2]] * _whole(spec)
            number = np.rint(label[keep]) - 1
            found.append(Candidates.of(xyxy, score[keep], number, suppress=False))
        return found


class EfficientDet(Layout):
    """Output (B, N, 7): picture, top, left, bottom, right in px of the input, score, class from 1.

    Google AutoML's own export (Tan et al. 2020, arXiv:1911.09070); input NHWC, RGB 0..255, at the top left.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if the channels come last and the rows hold seven numbers."""
        spec = image_input(graph, scale=(1.0, 1.0, 1.0), place="top_left", grey=0, size_px=512)
        output = one_output(graph, rank=3)
        if spec is None or spec.axes != "nhwc" or output is None or output.shape[2] != 7:
            return None
        return cls("efficientdet", spec, None, COCO_CATEGORIES[1:])

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:  # noqa: ARG002
        """Drop what is below `confidence`."""
        found = []
        for raw in outputs[0]:
            near = raw[raw[:, 5] >= confidence]
            number = np.rint(near[:, 6]) - 1
            found.append(Candidates.of(near[:, [2, 1, 4, 3]], near[:, 5], number, suppress=False))
        return found


def _whole(spec: InputSpec) -> F32Array:
    return np.array([spec.width, spec.height] * 2, np.float32)
