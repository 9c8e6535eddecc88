"""NanoDet and NanoDet-Plus (RangiLyu, github.com/RangiLyu/nanodet, Apache-2.0).

Box sides are distributions over distances (Generalized Focal Loss, Li et al. 2020, arXiv:2006.04388,
section 3): the distance is the expectation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from stages.detect.layouts.base import Array, Candidates, F32Array, Hints, Layout
from stages.detect.layouts.grid import cell_count, check_rows, grid
from stages.detect.layouts.ports import image_input, one_output
from stages.detect.layouts.spec import RGB_DEVIATION, RGB_MEAN, InputSpec
from stages.detect.runtime.graph import Graph, TensorInfo

_PLUS_STRIDES = (8, 16, 32, 64)
_BINS = 8
"""Bins of a distance: `reg_max` + 1, which is 8 in every published configuration of both."""
_BGR_MEAN = RGB_MEAN[::-1]
_BGR_SCALE = tuple(1 / deviation for deviation in RGB_DEVIATION[::-1])


class NanoDet(Layout):
    """Outputs `cls_pred_stride_S` (B, cells, classes) and `dis_pred_stride_S` (B, cells, 32) for each stride.

    Or, in NanoDet-Plus, one output (B, cells, classes + 32) of four strides. Input BGR, ImageNet's mean
    and deviation.
    """

    def __init__(
        self, name: str, spec: InputSpec, classes: int | None, strides: tuple[int, ...], centre: float
    ) -> None:
        super().__init__(name, spec, classes)
        self._strides = strides
        self._centre = centre

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if the outputs come in pairs with a stride in their names."""
        spec = _input(graph)
        found = _heads(graph)
        if spec is None or found is None:
            return None
        strides, (classes, _) = found
        return _Pairs("nanodet", spec, graph.outputs[classes[0]].shape[2], strides, 0.5, found[1])

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Read (B, cells, classes + 32)."""
        raw = outputs[0]
        classes = raw.shape[2] - 4 * _BINS
        return [self._decode(one[:, :classes], one[:, classes:], spec, confidence) for one in raw]

    def _decode(self, score: Array, distance: Array, spec: InputSpec, confidence: float) -> Candidates:
        cell, stride = grid(spec.width or 0, spec.height or 0, self._strides, ceil=True)
        check_rows(len(score), cell)
        rows = np.flatnonzero(score.max(axis=1) >= confidence)
        number = score[rows].argmax(axis=1)
        sides = _expectation(distance[rows]) * stride[rows]
        centre = (cell[rows] + self._centre) * stride[rows]
        xyxy = np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1)
        return Candidates.of(xyxy, score[rows, number], number, suppress=True)


class _Pairs(NanoDet):
    """The older export, whose heads are outputs of their own."""

    def __init__(
        self,
        name: str,
        spec: InputSpec,
        classes: int | None,
        strides: tuple[int, ...],
        centre: float,
        heads: tuple[list[int], list[int]],
    ) -> None:
        super().__init__(name, spec, classes, strides, centre)
        self._heads = heads

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        score, distance = (np.concatenate([outputs[at] for at in head], axis=1) for head in self._heads)
        return [
            self._decode(one, other, spec, confidence) for one, other in zip(score, distance, strict=True)
        ]


def recognise_plus(graph: Graph, hints: Hints) -> Layout | None:
    """Return NanoDet-Plus if the only output has one row for each cell of four grids."""
    spec = _input(graph)
    output = one_output(graph, rank=3)
    if spec is None or output is None or "names" in graph.metadata:
        return None
    rows, columns = output.shape[1:]
    if columns is not None and columns <= 4 * _BINS:
        return None
    if spec.width is not None and spec.height is not None and rows is not None:
        if rows != cell_count(spec.width, spec.height, _PLUS_STRIDES, ceil=True):
            return None
    elif not hints.named:
        return None
    # A cell's point is its corner in NanoDet-Plus, its centre before.
    return NanoDet("nanodet-plus", spec, None if columns is None else columns - 4 * _BINS, _PLUS_STRIDES, 0.0)


def _input(graph: Graph) -> InputSpec | None:
    return image_input(
        graph, colour="bgr", mean=_BGR_MEAN, scale=_BGR_SCALE, place="centre", grey=0, size_px=320
    )


def _heads(graph: Graph) -> tuple[tuple[int, ...], tuple[list[int], list[int]]] | None:
    """Return the strides, and the positions of their class and their distance outputs."""
    found: dict[str, dict[int, int]] = {"cls": {}, "dis": {}}
    for at, port in enumerate(graph.outputs):
        named = re.fullmatch(r"(cls|dis)_pred_stride_(\d+)", port.name)
        if named is None or not _fits(named[1], port):
            return None
        found[named[1]][int(named[2])] = at
    strides = tuple(sorted(found["cls"]))
    if not strides or strides != tuple(sorted(found["dis"])):
        return None
    return strides, ([found["cls"][s] for s in strides], [found["dis"][s] for s in strides])


def _fits(kind: str, port: TensorInfo) -> bool:
    return len(port.shape) == 3 and (kind == "cls" or port.shape[2] in (None, 4 * _BINS))


def _expectation(distance: Array) -> F32Array:
    """Return (N, 4) distances in strides from (N, 32) logits (equation 5)."""
    logits = distance.reshape(-1, 4, _BINS).astype(np.float32)
    weight = np.exp(logits - logits.max(axis=2, keepdims=True))
    mean = weight @ np.arange(_BINS, dtype=np.float32) / weight.sum(axis=2)
    return np.asarray(mean, dtype=np.float32)
