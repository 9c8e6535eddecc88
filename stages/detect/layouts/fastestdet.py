"""FastestDet (dog-qiuqiu, github.com/dog-qiuqiu/FastestDet, BSD-3): one map of predictions at stride 16."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.detect.boxes import cxcywh_to_xyxy
from stages.detect.layouts.base import Array, Candidates, Hints, Layout
from stages.detect.layouts.ports import image_input, one_output
from stages.detect.layouts.spec import InputSpec
from stages.detect.runtime.graph import Graph

_STRIDE = 16


class FastestDet(Layout):
    """Output (B, 5 + classes, height / 16, width / 16): objectness, offset, size, class probabilities.

    Input BGR 0..1, stretched.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:
        """Return it if the only output is a map of the input at stride 16."""
        spec = image_input(graph, colour="bgr", place="stretch", size_px=352)
        output = one_output(graph, rank=4)
        if spec is None or output is None:
            return None
        channels, rows, columns = output.shape[1:]
        if channels is None or channels < 6:
            return None
        if spec.width is not None and spec.height is not None and rows is not None:
            if (rows, columns) != (spec.height // _STRIDE, spec.width // _STRIDE):
                return None
        elif not hints.named:
            return None
        return cls("fastestdet", spec, channels - 5)

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Read as the repository's `test.py` does: score is objectness^0.6 x class^0.4."""
        return [self._decode(raw, spec, confidence) for raw in outputs[0]]

    def _decode(self, raw: Array, spec: InputSpec, confidence: float) -> Candidates:
        rows, columns = raw.shape[1:]
        best = raw[5:].max(axis=0)
        score = np.power(np.maximum(raw[0], 0), 0.6) * np.power(np.maximum(best, 0), 0.4)
        y, x = np.nonzero(score >= confidence)
        near = raw[:, y, x]
        centre = (np.stack([x, y], axis=1) + np.tanh(near[1:3].T)) / (columns, rows)
        size = 1 / (1 + np.exp(-np.clip(near[3:5].T, -50, 50)))
        whole = np.array([spec.width, spec.height] * 2, np.float32)
        xyxy = cxcywh_to_xyxy(np.concatenate([centre, size], axis=1).astype(np.float32) * whole)
        return Candidates.of(xyxy, score[y, x], near[5:].argmax(axis=0), suppress=True)
