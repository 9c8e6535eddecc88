"""Outlines of masks: from prototypes and coefficients (YOLACT's way), and from small masks in boxes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stages.detect.layouts.base import Array, F32Array, I64Array, Outlines
from stages.detect.outlines import outline_of


def prototype_outlines(
    prototypes: Array, coefficients: Array, xyxy: F32Array, width: int, height: int
) -> Outlines:
    """Return a maker of outlines: a mask is where a mix of prototypes is positive, within its box.

    Source: Bolya et al. 2019, arXiv:1904.02689, equation 1 (sigmoid > 0.5 is logit > 0).

    Args:
        prototypes: (C, h, w), a coarser picture of the input.
        coefficients: (N, C).
        xyxy: (N, 4) px of the input.
        width: of the input, px.
        height: of the input, px.
    """
    rows, columns = prototypes.shape[1:]
    scale = np.array([width / columns, height / rows], np.float32)

    def make(kept: I64Array) -> list[F32Array]:
        flat = prototypes.reshape(len(prototypes), -1)
        logits = (coefficients[kept].astype(np.float32) @ flat.astype(np.float32)).reshape(-1, rows, columns)
        return [_in_box(mask, xyxy[row], scale) for mask, row in zip(logits, kept, strict=True)]

    return make


def _in_box(logits: F32Array, xyxy: F32Array, scale: F32Array) -> F32Array:
    """Return the outline of the logits above 0 within the box, at the input's resolution."""
    rows, columns = logits.shape
    left, top = np.floor(xyxy[:2] / scale).astype(int) - 1
    right, bottom = np.ceil(xyxy[2:] / scale).astype(int) + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, columns), min(bottom, rows)
    if right <= left or bottom <= top:
        return np.empty((0, 2), np.float32)
    part = logits[top:bottom, left:right]
    size = (round((right - left) * float(scale[0])), round((bottom - top) * float(scale[1])))
    fine = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    origin = np.array([left, top], np.float32) * scale
    inside = np.zeros(fine.shape, np.uint8)
    start = np.maximum(np.round(xyxy[:2] - origin), 0).astype(int)
    end = np.maximum(np.round(xyxy[2:] - origin), 0).astype(int)
    where = np.s_[start[1] : end[1], start[0] : end[0]]
    inside[where] = fine[where] > 0
    return _outline(inside, origin)


def box_outlines(masks: Array, xyxy: F32Array) -> Outlines:
    """Return a maker of outlines from (N, m, m) probabilities, each stretched over its box.

    Source: He et al. 2017, arXiv:1703.06870, section 3.1 (threshold 0.5).
    """

    def make(kept: I64Array) -> list[F32Array]:
        outlines = []
        for row in kept:
            left, top, right, bottom = xyxy[row]
            width, height = max(round(float(right - left)), 1), max(round(float(bottom - top)), 1)
            fine = cv2.resize(masks[row].astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
            outlines.append(_outline((fine > 0.5).astype(np.uint8), xyxy[row, :2]))
        return outlines

    return make


def picture_outlines(masks: Array) -> Outlines:
    """Return a maker of outlines from (N, height, width) probabilities of the whole input."""

    def make(kept: I64Array) -> list[F32Array]:
        nothing = np.zeros(2, np.float32)
        return [_outline((masks[row] > 0.5).astype(np.uint8), nothing) for row in kept]

    return make


def _outline(mask: npt.NDArray[np.uint8], origin: F32Array) -> F32Array:
    """Return the outline of a mask whose top left corner is at `origin`, (P, 2) px of the input."""
    # Half a pixel: an outline names pixels, a box the lines between them.
    return np.asarray(outline_of(mask) + origin + 0.5, dtype=np.float32)
