"""YOLO as ultralytics exports it: v5u, v8, v9, 11, 12, 26; boxes, masks, keypoints, oriented boxes.

Source: the exporter's documentation and metadata (docs.ultralytics.com/modes/export). Input RGB 0..1,
centred, the rest grey 114.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.detect.boxes import cxcywh_to_xyxy, rotated_to_xyxy
from stages.detect.layouts.base import Array, Candidates, Hints, Layout
from stages.detect.layouts.masks import prototype_outlines
from stages.detect.layouts.ports import image_input, literal
from stages.detect.layouts.spec import DEFAULT_SIZE_PX, InputSpec
from stages.detect.runtime.graph import Graph

TASKS = ("detect", "segment", "pose", "obb")
_MASKS = 32
"""Prototypes of a mask in every published configuration."""
_COCO_CLASSES = 80
_COCO_POSE = (17, 3)


@dataclass(frozen=True, slots=True)
class Head:
    """What a row of the output holds besides its box.

    Attributes:
        task: one of `TASKS`.
        classes: how many, None when the file does not tell.
        keypoints: (K, 2 or 3) of a pose network.
    """

    task: str
    classes: int | None
    keypoints: tuple[int, int] = _COCO_POSE

    @property
    def extra(self) -> int:
        """How many numbers follow the class scores (or the class)."""
        return {
            "detect": 0,
            "segment": _MASKS,
            "pose": self.keypoints[0] * self.keypoints[1],
            "obb": 1,
        }[self.task]


class Yolo(Layout):
    """Output (B, 4 + classes + extra, cells): centre and size in px of the input, class probabilities."""

    def __init__(self, name: str, spec: InputSpec, head: Head, names: tuple[str, ...] | None) -> None:
        super().__init__(name, spec, head.classes, names)
        self._head = head

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Take the best class of each cell, as ultralytics does."""
        prototypes = outputs[1] if self._head.task == "segment" else [None] * len(outputs[0])
        return [
            self._decode(raw, one, spec, confidence) for raw, one in zip(outputs[0], prototypes, strict=True)
        ]

    def _decode(self, raw: Array, prototypes: Array | None, spec: InputSpec, confidence: float) -> Candidates:
        classes = raw.shape[0] - 4 - self._head.extra
        # Maxima along rows are vector operations; the class is looked up for the few that count.
        columns = np.flatnonzero(raw[4 : 4 + classes].max(axis=0) >= confidence)
        near = raw[:, columns].T.astype(np.float32)
        number = near[:, 4 : 4 + classes].argmax(axis=1)
        score = near[np.arange(len(near)), 4 + number]
        boxes, extra = near[:, :4], near[:, 4 + classes :]
        if self._head.task == "obb":
            rotated = np.concatenate([boxes, extra], axis=1)
            xyxy = rotated_to_xyxy(rotated)
            return Candidates.of(xyxy, score, number, suppress=True, rotated=rotated)
        return _with_extra(cxcywh_to_xyxy(boxes), score, number, extra, self._head, prototypes, spec)


class EndToEnd(Layout):
    """Output (B, rows, 6 + extra): corners in px of the input, score, class, extra; nothing to suppress.

    Of YOLO26 and YOLOv10 without NMS, and of the others when they are exported with NMS inside. Oriented
    boxes have centre and size instead of corners.
    """

    def __init__(self, name: str, spec: InputSpec, head: Head, names: tuple[str, ...] | None) -> None:
        super().__init__(name, spec, head.classes, names)
        self._head = head

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Drop the rows that only fill the table up."""
        prototypes = outputs[1] if self._head.task == "segment" else [None] * len(outputs[0])
        found = []
        for raw, one in zip(outputs[0], prototypes, strict=True):
            near = raw[raw[:, 4] >= confidence].astype(np.float32)
            boxes, score, number, extra = near[:, :4], near[:, 4], np.rint(near[:, 5]), near[:, 6:]
            if self._head.task == "obb":
                rotated = np.concatenate([boxes, extra], axis=1)
                xyxy = rotated_to_xyxy(rotated)
                found.append(Candidates.of(xyxy, score, number, suppress=False, rotated=rotated))
            else:
                found.append(_with_extra(boxes, score, number, extra, self._head, one, spec, suppress=False))
        return found


def _with_extra(
    xyxy: Array,
    score: Array,
    number: Array,
    extra: Array,
    head: Head,
    prototypes: Array | None,
    spec: InputSpec,
    *,
    suppress: bool = True,
) -> Candidates:
    if head.task == "segment" and prototypes is not None:
        outlines = prototype_outlines(prototypes, extra, xyxy, spec.width or 0, spec.height or 0)
        return Candidates.of(xyxy, score, number, suppress=suppress, outlines=outlines)
    if head.task == "pose":
        points = extra.reshape(-1, *head.keypoints)
        if head.keypoints[1] == 2:
            points = np.concatenate([points, np.ones_like(points[..., :1])], axis=2)
        return Candidates.of(xyxy, score, number, suppress=suppress, keypoints=points)
    return Candidates.of(xyxy, score, number, suppress=suppress)


def recognise(graph: Graph, hints: Hints, task: str, *, end_to_end: bool) -> Layout | None:
    """Return the layout if the graph is a YOLO of this task, with the scores per cell or end to end.

    The exporter's metadata decide where there are any; else the shapes, where they leave no doubt.
    """
    spec = image_input(graph, size_px=_size(graph))
    if spec is None or spec.axes != "nchw" or len(graph.outputs) != (2 if task == "segment" else 1):
        return None
    shape = graph.outputs[0].shape
    if len(shape) != 3 or (task == "segment" and len(graph.outputs[1].shape) != 4):
        return None
    head = _told_head(graph) if "task" in graph.metadata else _guessed_head(shape, hints, task, end_to_end)
    if head is None or head.task != task or is_rtdetr(graph):
        return None
    if "task" in graph.metadata and _told_end_to_end(graph, head) != end_to_end:
        return None
    width = 6 + head.extra if end_to_end else 4 + (head.classes or 0) + head.extra
    seen = shape[2] if end_to_end else shape[1]
    if seen is not None and seen != width:
        return None
    name = ("yolo26" if end_to_end else "yolov8") + ("" if task == "detect" else f"-{task}")
    return (EndToEnd if end_to_end else Yolo)(name, spec, head, told_names(graph))


def told_names(graph: Graph) -> tuple[str, ...] | None:
    """Return the class names of the metadata ({0: 'person', ...}), None when there are none of use."""
    names = literal(graph, "names")
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))) or not names:
        return None
    return tuple(str(names[number]) for number in range(len(names)))


def is_rtdetr(graph: Graph) -> bool:
    """Whether ultralytics' metadata speak of RT-DETR, whose output has the shape of an end-to-end YOLO."""
    words = (graph.metadata.get("head", "") + graph.metadata.get("description", "")).lower()
    return "rtdetr" in words or "rt-detr" in words


def _told_head(graph: Graph) -> Head | None:
    names, points = told_names(graph), literal(graph, "kpt_shape")
    task = graph.metadata["task"]
    if task not in TASKS:
        return None
    keypoints = _COCO_POSE
    if isinstance(points, list | tuple) and len(points) == 2 and points[1] in (2, 3):
        keypoints = (int(points[0]), int(points[1]))
    return Head(task, len(names) if names else None, keypoints)


def _told_end_to_end(graph: Graph, head: Head) -> bool:
    shape = graph.outputs[0].shape
    if shape[2] is not None and shape[2] == 6 + head.extra:
        return True
    if shape[1] is not None or shape[2] is not None:
        return False
    arguments = literal(graph, "args")
    inside = isinstance(arguments, dict) and bool(arguments.get("nms"))
    return inside or graph.metadata.get("end2end", "").lower() == "true"


def _guessed_head(shape: tuple[int | None, ...], hints: Hints, task: str, end_to_end: bool) -> Head | None:
    """Return the head if the shape fits the number of classes that is named, or COCO's."""
    extra = Head(task, None).extra
    if end_to_end:
        return Head(task, hints.classes) if shape[2] == 6 + extra else None
    if shape[1] is None:
        return None
    classes = shape[1] - 4 - extra
    if classes < 1 or (shape[2] is not None and shape[2] < shape[1]):
        return None
    # A pose network of one class has the width of a detector of 52: who names neither gets asked.
    wanted = {hints.classes} if hints.classes else ({1} if task == "pose" else {_COCO_CLASSES})
    return Head(task, classes) if hints.named or classes in wanted else None


def _size(graph: Graph) -> int:
    told = literal(graph, "imgsz")
    if isinstance(told, list | tuple) and told and all(isinstance(side, int) for side in told):
        return max(int(side) for side in told)
    return told if isinstance(told, int) else DEFAULT_SIZE_PX
