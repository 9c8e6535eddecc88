"""Boxes carried from one picture to the next by the flow of the points in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stages.vision.sparse_flow import FlowView, corners_in_boxes, follow_points

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]

# Points are taken from the middle of a box, where the object is: corners of a box show what is behind it.
_MIDDLE = 0.8
_FEWEST = 3
# The size follows only when so many points agree, and no faster than this from one picture to the next.
_FEWEST_FOR_SIZE = 6
_MAX_GROWTH = 1.1


def carry_boxes(
    before: FlowView, after: FlowView, xyxy: F32Array, guess: F32Array | None = None
) -> tuple[F32Array, F32Array]:
    """Move boxes with what is in them: median of shifts, median growth (Kalal 2010, "Median Flow").

    Args:
        before: the picture that the boxes lie in.
        after: a later one of the same size.
        xyxy: (N, 4) float32 px of these pictures.
        guess: (N, 2) px by which each box may have moved, None for not at all.

    Returns:
        (N, 4) float32 px, and (N,) float32 the share of a box's points, 0..1, that could be followed: 0
        where fewer than 3 could, and the box stays where it was.
    """
    boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
    carried, support = boxes.copy(), np.zeros(len(boxes), np.float32)
    margin = (boxes[:, 2:] - boxes[:, :2]) * np.float32((1 - _MIDDLE) / 2)
    middle = np.concatenate([boxes[:, :2] + margin, boxes[:, 2:] - margin], axis=1)
    points, owner = corners_in_boxes(before, middle)
    moved, good = follow_points(before, after, points, None if guess is None else guess[owner])
    for row in np.unique(owner[good]).tolist():
        mine = owner == row
        followed = mine & good
        if np.count_nonzero(followed) < _FEWEST:
            continue
        carried[row] = _moved(boxes[row], points[followed], moved[followed])
        support[row] = np.count_nonzero(followed) / np.count_nonzero(mine)
    return carried, support


def _moved(box: F32Array, before: F32Array, after: F32Array) -> F32Array:
    shift = np.median(after - before, axis=0)
    growth = 1.0
    if len(before) >= _FEWEST_FOR_SIZE:
        one, other = np.triu_indices(len(before), 1)
        distance = np.hypot(*(before[one] - before[other]).T)
        apart = distance > 1.0
        if apart.any():
            later = np.hypot(*(after[one] - after[other]).T)[apart]
            growth = float(np.clip(np.median(later / distance[apart]), 1 / _MAX_GROWTH, _MAX_GROWTH))
    centre = (box[:2] + box[2:]) / 2 + shift
    half = (box[2:] - box[:2]) * growth / 2
    return np.concatenate([centre - half, centre + half]).astype(np.float32)
