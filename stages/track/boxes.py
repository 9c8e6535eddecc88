"""Box formats by name, overlap of paired boxes, and the pairs of boxes that touch at all.

Formats, all in pixels: `xyxy` is (left, top, right, bottom); `xyah` is (centre x, centre y, width / height,
height), the measurement space of DeepSORT.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

# Below this many cells comparing everything with everything is quicker than sorting.
_DENSE_CELLS = 20_000


def xyxy_to_xyah(xyxy: npt.NDArray[np.floating]) -> FloatArray:
    """Convert (N, 4) corners to (N, 4) centre, aspect and height; the height must not be 0."""
    left, top, right, bottom = np.asarray(xyxy, np.float64).T
    height = bottom - top
    return np.stack([(left + right) / 2, (top + bottom) / 2, (right - left) / height, height], axis=1)


def xyah_to_xyxy(xyah: FloatArray) -> FloatArray:
    """Convert (N, 4) centre, aspect and height to (N, 4) corners; negative sizes become 0."""
    x, y, aspect, height = xyah.T
    half_height = np.maximum(height, 0.0) / 2
    half_width = np.maximum(aspect, 0.0) * half_height
    return np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1)


def paired_iou(a_xyxy: npt.NDArray[np.floating], b_xyxy: npt.NDArray[np.floating]) -> FloatArray:
    """Return the intersection over union of row k of `a_xyxy` with row k of `b_xyxy`, (P,), in 0..1.

    Boxes without area have an overlap of 0 with everything.
    """
    a, b = np.asarray(a_xyxy, np.float64).T, np.asarray(b_xyxy, np.float64).T
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    iou: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def touching_pairs(a_xyxy: FloatArray, b_xyxy: FloatArray) -> tuple[IntArray, IntArray]:
    """Return all (i, j) for which box i of `a_xyxy` and box j of `b_xyxy` overlap or touch.

    Many boxes are swept along x: two intervals overlap when one begins within the other, so the work grows
    with the pairs that overlap in x rather than with all pairs.

    Args:
        a_xyxy: (N, 4) boxes.
        b_xyxy: (M, 4) boxes.

    Returns:
        Two (P,) index arrays; each pair once, in no promised order.
    """
    if len(a_xyxy) * len(b_xyxy) <= _DENSE_CELLS:
        a, b = a_xyxy.T[:, :, None], b_xyxy.T[:, None, :]
        rows, columns = np.nonzero((a[0] <= b[2]) & (b[0] <= a[2]) & (a[1] <= b[3]) & (b[1] <= a[3]))
        return rows, columns
    i, j = _begins_within(a_xyxy[:, 0], a_xyxy[:, 2], b_xyxy[:, 0], "left")
    j2, i2 = _begins_within(b_xyxy[:, 0], b_xyxy[:, 2], a_xyxy[:, 0], "right")
    i, j = np.concatenate([i, i2]), np.concatenate([j, j2])
    apart = (a_xyxy[i, 1] > b_xyxy[j, 3]) | (b_xyxy[j, 1] > a_xyxy[i, 3])
    return i[~apart], j[~apart]


def _begins_within(
    begin: FloatArray, end: FloatArray, points: FloatArray, side: str
) -> tuple[IntArray, IntArray]:
    """Return (interval, point) for every point in its interval; "right" leaves out points at `begin`."""
    order = np.argsort(points, kind="stable")
    first = np.searchsorted(points[order], begin, side=side)  # type: ignore[call-overload]
    count = np.searchsorted(points[order], end, side="right") - first
    count = np.maximum(count, 0)
    interval = np.repeat(np.arange(len(begin)), count)
    offset = np.arange(len(interval)) - np.repeat(np.cumsum(count) - count, count)
    return interval, order[np.repeat(first, count) + offset]
