"""RetinaNet (Lin et al. 2017, arXiv:1708.02002): the raw heads of NVIDIA's export (ONNX Model Zoo)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from stages.detect.coco import COCO_NAMES
from stages.detect.layouts.base import Array, Candidates, F32Array, Hints, Layout
from stages.detect.layouts.ports import image_input
from stages.detect.layouts.spec import RGB_DEVIATION, RGB_MEAN, InputSpec
from stages.detect.runtime.graph import Graph

_SCALE = (1 / RGB_DEVIATION[0], 1 / RGB_DEVIATION[1], 1 / RGB_DEVIATION[2])
_LEVELS = 5
_ANCHORS = 9
_RATIOS = (1.0, 2.0, 0.5)
_SCALES = tuple(4 * 2 ** (octave / 3) for octave in range(3))
# exp overflows float32 on damaged weights only; such a box is cut to the picture later.
_LARGEST_EXPONENT = 20.0


class RetinaNet(Layout):
    """Outputs of five levels: class probabilities (B, 9 x classes, h, w), then box offsets (B, 9 x 4, h, w).

    Input RGB with ImageNet's mean and deviation, at the top left.
    """

    @classmethod
    def recognise(cls, graph: Graph, hints: Hints) -> Layout | None:  # noqa: ARG003
        """Return it if there are five maps of classes and five of nine anchors' boxes."""
        spec = image_input(
            graph, mean=RGB_MEAN, scale=_SCALE, place="top_left", grey=0, stride=128, size_px=640
        )
        shapes = [port.shape for port in graph.outputs]
        if spec is None or len(shapes) != 2 * _LEVELS or any(len(shape) != 4 for shape in shapes):
            return None
        widths = {shape[1] for shape in shapes[:_LEVELS]}
        if len(widths) != 1 or any(shape[1] != 4 * _ANCHORS for shape in shapes[_LEVELS:]):
            return None
        width = widths.pop()
        if width is None or width % _ANCHORS:
            return None
        classes = width // _ANCHORS
        return cls("retinanet", spec, classes, COCO_NAMES if classes == len(COCO_NAMES) else None)

    def decode(self, outputs: Sequence[Array], spec: InputSpec, confidence: float) -> list[Candidates]:
        """Take every class above `confidence` of every anchor, as the published decoder does."""
        pairs = list(zip(outputs[:_LEVELS], outputs[_LEVELS:], strict=True))
        return [
            _decode([(score[at], box[at]) for score, box in pairs], spec, confidence)
            for at in range(len(outputs[0]))
        ]


def _decode(levels: list[tuple[Array, Array]], spec: InputSpec, confidence: float) -> Candidates:
    """Offsets are those of Faster R-CNN (arXiv:1506.01497, equation 2); sides count their last pixel."""
    boxes, scores, numbers = [], [], []
    for score, offset in levels:
        rows, columns = score.shape[1:]
        stride = (spec.width or 0) // columns
        probability = score.reshape(_ANCHORS, -1, rows, columns)
        anchor, number, y, x = np.nonzero(probability >= confidence)
        delta = offset.reshape(_ANCHORS, 4, rows, columns)[anchor, :, y, x]
        place = np.stack([x, y, x, y], axis=1) * np.float32(stride) + _anchors(stride)[anchor]
        size = place[:, 2:] - place[:, :2] + 1
        centre = place[:, :2] + size / 2 + delta[:, :2] * size
        half = np.exp(np.minimum(delta[:, 2:], _LARGEST_EXPONENT)) * size / 2
        boxes.append(np.concatenate([centre - half, centre + half - 1], axis=1))
        scores.append(probability[anchor, number, y, x])
        numbers.append(number)
    return Candidates.of(
        np.concatenate(boxes), np.concatenate(scores), np.concatenate(numbers), suppress=True
    )


@lru_cache(maxsize=16)
def _anchors(stride: int) -> F32Array:
    """Return the (9, 4) corners around the first cell, px: for each scale its three ratios."""
    corners = []
    for scale in _SCALES:
        for ratio in _RATIOS:
            width = stride / np.sqrt(ratio)
            size = np.array([width, width * ratio]) * scale
            corners.append([*(stride - size) / 2, *(stride + size) / 2])
    return np.array(corners, np.float32)
