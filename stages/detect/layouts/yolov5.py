"""YOLOv5 and YOLOv7 as their own repositories export them: three anchors in each grid cell.

Source: github.com/ultralytics/yolov5 `export.py`, github.com/WongKinYiu/yolov7 `export.py --grid`. Input RGB
0..1, centred, the rest grey 114.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.detect.boxes import cxcywh_to_xyxy
from stages.detect.layouts.base import Array, Candidates, Hints, Layout
from stages.detect.layouts.grid import cell_count
from stages.detect.layouts.ports import image_input
from stages.detect.layouts.spec import InputSpec
from stages.detect.layouts.yolo import told_names
from stages.detect.runtime.graph import Graph

_ANCHORS = 3
_STRIDES = ((8, 16, 32), (8, 16, 32, 64))


class Yolov5(Layout):
    """Output (B, rows, 5 + classes): centre and size in px of the input, objectness, class probabilities."""

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:
        """Return it if there are three rows for each cell of its grids, or its metadata say so."""
        spec = image_input(graph)
        # Older exports carry the raw maps of the three grids as further outputs.
        if spec is None or spec.axes != "nchw" or len(graph.outputs) not in (1, 4, 5):
            return None
        shape = graph.outputs[0].shape
        if len(shape) != 3 or "task" in graph.metadata:
            return None
        names = told_names(graph)
        rows, columns = shape[1:]
        if columns is None or columns < 6 or (names and columns != 5 + len(names)):
            return None
        if spec.width is None or spec.height is None or rows is None:
            return cls("yolov5", spec, columns - 5, names) if names or hints.named else None
        counts = [_ANCHORS * cell_count(spec.width, spec.height, strides) for strides in _STRIDES]
        return cls("yolov5", spec, columns - 5, names) if rows in counts or hints.named else None

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:  # noqa: ARG002
        """Score is objectness times class probability."""
        found = []
        for raw in outputs[0]:
            near = raw[raw[:, 4] >= confidence].astype(np.float32)
            number = near[:, 5:].argmax(axis=1)
            score = near[:, 4] * near[np.arange(len(near)), 5 + number]
            keep = score >= confidence
            xyxy = cxcywh_to_xyxy(near[keep, :4])
            found.append(Candidates.of(xyxy, score[keep], number[keep], suppress=True))
        return found
