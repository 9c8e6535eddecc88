"""What detectors do with boxes: conversion and non-maximum suppression."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]

AGNOSTIC_NMS = (
    "Boxes of different classes suppress each other too: a van that the network takes for a car and a truck "
    "at once is one object, and is counted once."
)
"""Help text of the option that detectors with class-wise scores share."""


def cxcywh_to_xyxy(cxcywh: F32Array) -> F32Array:
    """Convert (N, 4) boxes from (centre x, centre y, width, height) to corners."""
    half = cxcywh[:, 2:] / 2
    return np.asarray(np.concatenate([cxcywh[:, :2] - half, cxcywh[:, :2] + half], axis=1), dtype=np.float32)


def suppress(xyxy: F32Array, score: F32Array, group: I64Array, iou: float) -> I64Array:
    """Greedy non-maximum suppression within each group.

    Args:
        xyxy: (N, 4) float32.
        score: (N,) float32.
        group: (N,) int64, e.g. the class: boxes of different groups do not suppress each other.
        iou: a box is dropped if it overlaps a better one of its group by more than this.

    Returns:
        The rows kept, (M,) int64, best score first.
    """
    if len(xyxy) == 0:
        return np.empty(0, np.int64)
    # OpenCV wants (left, top, width, height); score and IoU thresholds are its last two arguments.
    tlwh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).astype(np.float64)
    kept = cv2.dnn.NMSBoxesBatched(tlwh.tolist(), score.tolist(), group.tolist(), 0.0, iou)
    rows = np.asarray(kept, dtype=np.int64).ravel()
    return rows[np.argsort(-score[rows], kind="stable")]
