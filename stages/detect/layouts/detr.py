"""DETR and its descendants: a fixed number of queries, each a box and class scores; nothing to suppress.

Sources: Carion et al. 2020, arXiv:2005.12872 (softmax with a class "no object"); Zhu et al. 2020,
arXiv:2010.04159 (sigmoid, top queries x classes), as in RT-DETR, D-FINE and RF-DETR. Boxes are centre and
size as shares of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stages.detect.boxes import cxcywh_to_xyxy
from stages.detect.coco import COCO_CATEGORIES, COCO_NAMES
from stages.detect.layouts.base import Array, Candidates, F32Array, Hints, Layout
from stages.detect.layouts.ports import image_input, literal
from stages.detect.layouts.spec import RGB_DEVIATION, RGB_MEAN, InputSpec
from stages.detect.layouts.yolo import is_rtdetr, told_names
from stages.detect.runtime.graph import Graph, TensorInfo

_SCALE = (1 / RGB_DEVIATION[0], 1 / RGB_DEVIATION[1], 1 / RGB_DEVIATION[2])
_DETR_QUERIES = 100
_CATEGORIES = len(COCO_CATEGORIES)


class Detr(Layout):
    """Outputs of logits (B, queries, classes or classes + 1) and boxes (B, queries, 4).

    With a softmax, the input is RGB with ImageNet's mean and deviation; with a sigmoid, RGB 0..1 (RT-DETR,
    D-FINE), or normalised where there are COCO's 91 category numbers (RF-DETR, Deformable DETR).
    """

    def __init__(
        self,
        name: str,
        spec: InputSpec,
        classes: int | None,
        places: tuple[int, int],
        mask: TensorInfo | None,
    ) -> None:
        names = {_CATEGORIES: COCO_CATEGORIES, len(COCO_NAMES): COCO_NAMES}.get(classes or 0)
        super().__init__(name, spec, classes, names)
        self._logits, self._boxes = places
        self._mask = mask

    def feed(self, tensor: Array, spec: InputSpec) -> list[Array]:  # noqa: ARG002
        """Say, where the network asks, that every pixel is part of the picture."""
        if self._mask is None:
            return [tensor]
        sides = [side or size for side, size in zip(self._mask.shape[1:], tensor.shape[2:], strict=True)]
        return [tensor, np.ones((len(tensor), *sides), self._mask.dtype)]

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Take the best class of each query."""
        found = []
        for logits, boxes in zip(outputs[self._logits], outputs[self._boxes], strict=True):
            score = _softmax(logits)[:, :-1] if self.name == "detr" else _sigmoid(logits)
            rows = np.flatnonzero(score.max(axis=1) >= confidence)
            number = score[rows].argmax(axis=1)
            xyxy = _whole(boxes[rows], spec)
            found.append(Candidates.of(xyxy, score[rows, number], number, suppress=False))
        return found


class RtDetrBoxes(Layout):
    """Outputs labels (B, rows), boxes (B, rows, 4) px and scores (B, rows): RT-DETR's own deployed export.

    It asks for the picture's size, and is told the input's: the way back is the letterbox's. Input RGB
    0..1, stretched.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if a second input asks for the size, and the outputs are called so."""
        spec = image_input(graph, inputs=2, place="stretch")
        names = [port.name for port in graph.outputs]
        if spec is None or names != ["labels", "boxes", "scores"] or "size" not in graph.inputs[1].name:
            return None
        return cls("rtdetr-boxes", spec, None, COCO_NAMES)

    def feed(self, tensor: Array, spec: InputSpec) -> list[Array]:
        """Tell the size of the input as that of the picture."""
        return [tensor, np.array([[spec.width, spec.height]] * len(tensor), np.int64)]

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:  # noqa: ARG002
        """Drop what is below `confidence`."""
        found = []
        for label, boxes, score in zip(*outputs, strict=True):
            keep = score >= confidence
            found.append(Candidates.of(boxes[keep], score[keep], label[keep], suppress=False))
        return found


class UltralyticsRtDetr(Layout):
    """RT-DETR as ultralytics exports it: (B, queries, 4 + classes), or (B, queries, 6) since 8.4."""

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:
        """Return it if the metadata say so."""
        size = literal(graph, "imgsz")
        spec = image_input(
            graph, place="stretch", size_px=max(size) if isinstance(size, list) and size else 640
        )
        if spec is None or len(graph.outputs) != 1 or not (is_rtdetr(graph) or hints.named):
            return None
        names = told_names(graph)
        classes = len(names) if names else hints.classes
        if len(graph.outputs[0].shape) != 3:
            return None
        columns = graph.outputs[0].shape[2]
        if columns not in (None, 6) and classes and columns != 4 + classes:
            return None
        # The dynamic export is told apart by its head, which older versions did not name.
        best_only = columns == 6 and (classes != 2 or "head" in graph.metadata)
        layout = cls("rtdetr-ultralytics", spec, classes, names)
        layout._best_only = best_only or (columns is None and "head" in graph.metadata)
        return layout

    _best_only: bool = False

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Take the best class of each query."""
        found = []
        for raw in outputs[0]:
            score = raw[:, 4] if self._best_only else raw[:, 4:].max(axis=1)
            near = raw[score >= confidence]
            number = np.rint(near[:, 5]) if self._best_only else near[:, 4:].argmax(axis=1)
            xyxy = _whole(near[:, :4], spec)
            found.append(Candidates.of(xyxy, score[score >= confidence], number, suppress=False))
        return found


def recognise(graph: Graph, hints: Hints, *, softmax: bool) -> Layout | None:
    """Return DETR (`softmax`) or one of its descendants if there are outputs of logits and of boxes.

    They are told apart by COCO's numbers of classes, or by those that the configuration names.
    """
    if len(graph.outputs) < 2:
        return None
    places = _outputs(graph)
    second = graph.inputs[1] if len(graph.inputs) == 2 else None
    if places is None or (second is not None and not _is_mask(second)):
        return None
    columns = graph.outputs[places[0]].shape[2]
    queries = graph.outputs[places[0]].shape[1]
    if not hints.named and softmax != _is_softmax(columns, queries, hints.classes):
        return None
    classes = None if columns is None else columns - (1 if softmax else 0)
    normalised = softmax or classes == _CATEGORIES
    spec = image_input(graph, inputs=len(graph.inputs), place="stretch")
    if spec is None:
        return None
    if normalised:
        spec = replace(spec, mean=RGB_MEAN, scale=_SCALE)
    return Detr("detr" if softmax else "rtdetr", spec, classes, places, second)


def _outputs(graph: Graph) -> tuple[int, int] | None:
    """Return the places of the logits and of the boxes."""
    logits = [at for at, port in enumerate(graph.outputs) if port.name in ("pred_logits", "logits", "labels")]
    boxes = [at for at, port in enumerate(graph.outputs) if port.name in ("pred_boxes", "boxes", "dets")]
    if len(logits) != 1 or len(boxes) != 1:
        return None
    if any(len(graph.outputs[at].shape) != 3 for at in (*logits, *boxes)):
        return None
    return logits[0], boxes[0]


def _is_mask(port: TensorInfo) -> bool:
    return "mask" in port.name and len(port.shape) == 3


def _is_softmax(columns: int | None, queries: int | None, named: int | None) -> bool | None:
    """Whether the last column is "no object"; None when nothing tells."""
    if named is not None and columns in (named, named + 1):
        return columns == named + 1
    told = {_CATEGORIES + 1: True, _CATEGORIES: False, len(COCO_NAMES): False}.get(columns or 0)
    if told is None and queries == _DETR_QUERIES:
        return True
    return told


def _whole(cxcywh: Array, spec: InputSpec) -> F32Array:
    """Return corners in px from centre and size in shares of the input."""
    size = np.array([spec.width, spec.height] * 2, np.float32)
    return cxcywh_to_xyxy(np.asarray(cxcywh, dtype=np.float32) * size)


def _softmax(logits: Array) -> F32Array:
    weight = np.exp(logits.astype(np.float32) - logits.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True), dtype=np.float32)


def _sigmoid(logits: Array) -> F32Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits.astype(np.float32), -80, 80))), dtype=np.float32)
