"""Decoding of YOLOX (Ge et al. 2021, arXiv:2107.08430): one anchor-free prediction per grid cell."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]

STRIDES = (8, 16, 32)


def cell_count(width: int, height: int) -> int:
    """Return how many predictions a network with this input size makes."""
    return sum((width // stride) * (height // stride) for stride in STRIDES)


def decode(raw: F32Array, width: int, height: int, confidence: float) -> tuple[F32Array, F32Array, I64Array]:
    """Turn the network's output into boxes.

    The centre is cell + offset and the size exp(t), both in strides (section 2.1); the score is objectness
    times class probability.

    Args:
        raw: (`cell_count`, 5 + classes) float32 output of one picture.
        width: of the network's input, px.
        height: of the network's input, px.
        confidence: smallest score.

    Returns:
        cxcywh (N, 4) float32 in px of the input, score (N,) float32, class number (N,) int64.
    """
    best = raw[:, 5:].argmax(axis=1)
    score = raw[:, 4] * raw[np.arange(len(raw)), 5 + best]
    keep = score >= confidence
    cell, stride = _grid(width, height)
    centre = (raw[keep, :2] + cell[keep]) * stride[keep]
    # exp overflows float32 on damaged weights only; such a box is cut to the picture later.
    size = np.exp(np.minimum(raw[keep, 2:4], 20.0)) * stride[keep]
    return np.concatenate([centre, size], axis=1).astype(np.float32), score[keep], best[keep].astype(np.int64)


@lru_cache(maxsize=8)
def _grid(width: int, height: int) -> tuple[F32Array, F32Array]:
    """Return each prediction's cell (x, y), (N, 2), and stride in px, (N, 1)."""
    cells, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: height // stride, : width // stride].astype(np.float32)
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride, np.float32))
    return np.concatenate(cells), np.concatenate(strides)
