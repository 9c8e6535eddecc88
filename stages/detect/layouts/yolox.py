"""YOLOX (Ge et al. 2021, arXiv:2107.08430): one anchor-free prediction per grid cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.detect.boxes import cxcywh_to_xyxy
from stages.detect.layouts.base import Array, Candidates, Hints, Layout
from stages.detect.layouts.grid import cell_count, check_rows, grid
from stages.detect.layouts.ports import image_input, one_output
from stages.detect.layouts.spec import InputSpec
from stages.detect.runtime.graph import Graph

_STRIDES = (8, 16, 32)
# exp overflows float32 on damaged weights only; such a box is cut to the picture later.
_LARGEST_EXPONENT = 20.0


class Yolox(Layout):
    """Output (B, cells, 5 + classes): offset and size in strides, objectness, class probabilities.

    Input BGR 0..255, at the top left, the rest grey 114, as YOLOX's own `preproc` does it.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:
        """Return it if there is one row for each cell of three grids."""
        spec = image_input(graph, colour="bgr", scale=(1.0, 1.0, 1.0), place="top_left")
        output = one_output(graph, rank=3)
        if spec is None or output is None or "names" in graph.metadata:
            return None
        rows, columns = output.shape[1:]
        if columns is not None and columns < 6:
            return None
        if spec.width is not None and spec.height is not None and rows is not None:
            if rows != cell_count(spec.width, spec.height, _STRIDES):
                return None
        elif not hints.named:
            return None
        return cls("yolox", spec, None if columns is None else columns - 5)

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """The centre is cell + offset, the size exp(t), both in strides (section 2.1)."""
        cell, stride = grid(spec.width or 0, spec.height or 0, _STRIDES)
        return [_decode(raw, cell, stride, confidence) for raw in outputs[0]]


def _decode(raw: Array, cell: Array, stride: Array, confidence: float) -> Candidates:
    """Score is objectness times class probability: a cell below `confidence` in one cannot reach it."""
    check_rows(len(raw), cell)
    rows = np.flatnonzero(raw[:, 4] >= confidence)
    near = raw[rows]
    best = near[:, 5:].argmax(axis=1)
    score = near[:, 4] * near[np.arange(len(near)), 5 + best]
    keep = score >= confidence
    near, rows = near[keep], rows[keep]
    centre = (near[:, :2] + cell[rows]) * stride[rows]
    size = np.exp(np.minimum(near[:, 2:4], _LARGEST_EXPONENT)) * stride[rows]
    xyxy = cxcywh_to_xyxy(np.concatenate([centre, size], axis=1))
    return Candidates.of(xyxy, score[keep], best[keep], suppress=True)
