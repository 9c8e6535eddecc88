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


def rotated_corners(rotated: F32Array) -> F32Array:
    """Return the corners (N, 4, 2), in order around the box.

    Args:
        rotated: (N, 5) centre x, centre y, width, height, and the angle in radians by which the width turns
            clockwise (y points down) from the x axis.
    """
    cos, sin = np.cos(rotated[:, 4]), np.sin(rotated[:, 4])
    along = np.stack([cos, sin], axis=1) * rotated[:, 2:3] / 2
    across = np.stack([-sin, cos], axis=1) * rotated[:, 3:4] / 2
    centre = rotated[:, :2]
    corners = [centre + along + across, centre + along - across]
    corners += [centre - along - across, centre - along + across]
    return np.asarray(np.stack(corners, axis=1), dtype=np.float32)


def rotated_to_xyxy(rotated: F32Array) -> F32Array:
    """Return the upright boxes (N, 4) around (N, 5) rotated ones."""
    corners = rotated_corners(rotated)
    return np.asarray(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1), dtype=np.float32)


def suppress_rotated(rotated: F32Array, score: F32Array, group: I64Array, iou: float) -> I64Array:
    """Greedy non-maximum suppression of rotated boxes; the arguments are those of `suppress`, (N, 5) boxes.

    Overlap is the similarity of the boxes as normal distributions (ProbIoU, Murrugarra-Llerena et al. 2021,
    arXiv:2106.06072), which oriented YOLO networks are trained and published with.
    """
    order = np.argsort(-score, kind="stable")
    alike = _probabilistic_iou(rotated[order].astype(np.float64)) > iou
    alike &= group[order][:, None] == group[order][None]
    kept = np.ones(len(order), np.bool_)
    for row in range(len(order)):
        if kept[row]:
            kept[row + 1 :] &= ~alike[row, row + 1 :]
    return np.asarray(order[kept], dtype=np.int64)


def _probabilistic_iou(rotated: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (N, N): 1 - Hellinger distance of the boxes' distributions (section 3)."""
    cos, sin = np.cos(rotated[:, 4]), np.sin(rotated[:, 4])
    long, short = rotated[:, 2] ** 2 / 12, rotated[:, 3] ** 2 / 12
    xx, yy = long * cos**2 + short * sin**2, long * sin**2 + short * cos**2
    xy = (long - short) * cos * sin
    sum_xx, sum_yy, sum_xy = (part[:, None] + part[None] for part in (xx, yy, xy))
    dx, dy = (rotated[:, None, axis] - rotated[None, :, axis] for axis in (0, 1))
    tiny = 1e-7
    joint = sum_xx * sum_yy - sum_xy**2
    apart = (sum_xx * dy**2 + sum_yy * dx**2) / 4 - sum_xy * dx * dy / 2
    alone = np.maximum(xx * yy - xy**2, 0)
    shape = np.log(joint / (4 * np.sqrt(alone[:, None] * alone[None]) + tiny) + tiny) / 2
    distance = np.clip(apart / (joint + tiny) + shape, tiny, 100)
    return np.asarray(1 - np.sqrt(1 - np.exp(-distance) + tiny), dtype=np.float64)


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
    # It moves the groups apart by the largest coordinate, which a box at the left of 0 would undo.
    tlwh[:, :2] -= tlwh[:, :2].min()
    kept = cv2.dnn.NMSBoxesBatched(tlwh.tolist(), score.tolist(), group.tolist(), 0.0, iou)
    rows = np.asarray(kept, dtype=np.int64).ravel()
    return rows[np.argsort(-score[rows], kind="stable")]
