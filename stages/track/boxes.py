"""Box formats by name, overlap of paired boxes, and the pairs that lie near each other at all.

Formats, all in pixels: `xyxy` is (left, top, right, bottom); `xyah` is (centre x, centre y, width / height,
height), the measurement space of DeepSORT.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from stages.track.kernels import replaceable

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

# Below this many cells comparing everything with everything is quicker than sorting.
_DENSE_CELLS = 4_000
# Pairs looked at together: what they need in between stays small, however many there are.
_BLOCK = 4_096
# The smallest area that is one: 0 divided by it stays 0.
_TINY = float(np.finfo(np.float64).tiny)
# xyxy @ this = centre x, centre y, width, height; halves and differences of two numbers are exact enough.
_TO_XYWH = np.array(
    [[0.5, 0.0, -1.0, 0.0], [0.0, 0.5, 0.0, -1.0], [0.5, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 1.0]]
)


def xyxy_to_xyah(xyxy: npt.NDArray[np.floating]) -> FloatArray:
    """Convert (N, 4) corners to (N, 4) centre, aspect and height; the height must not be 0."""
    xyah = xyxy_to_xywh(xyxy)
    xyah[:, 2] /= xyah[:, 3]
    return xyah


def xyxy_to_xywh(xyxy: npt.NDArray[np.floating]) -> FloatArray:
    """Convert (N, 4) corners to (N, 4) centre, width and height."""
    xywh: FloatArray = np.matmul(xyxy.astype(np.float64, copy=False), _TO_XYWH)
    return xywh


@replaceable
def xyah_to_xyxy(xyah: FloatArray) -> FloatArray:
    """Convert (N, 4) centre, aspect and height to (N, 4) corners; negative sizes become 0."""
    half = np.maximum(xyah[:, 2:], 0.0)
    half[:, 0] *= half[:, 1]
    half *= 0.5
    xyxy = np.empty_like(xyah)
    np.subtract(xyah[:, :2], half, out=xyxy[:, :2])
    np.add(xyah[:, :2], half, out=xyxy[:, 2:])
    return xyxy


def paired_iou(a_xyxy: npt.NDArray[np.floating], b_xyxy: npt.NDArray[np.floating]) -> FloatArray:
    """Return the intersection over union of row k of `a_xyxy` with row k of `b_xyxy`, (P,), in 0..1.

    Boxes without area have an overlap of 0 with everything.
    """
    a, b = np.asarray(a_xyxy, np.float64), np.asarray(b_xyxy, np.float64)
    side = np.minimum(a[:, 2:], b[:, 2:])
    side -= np.maximum(a[:, :2], b[:, :2])
    np.maximum(side, 0.0, out=side)
    shared = side[:, 0] * side[:, 1]
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    union = size_a[:, 0] * size_a[:, 1]
    union += size_b[:, 0] * size_b[:, 1]
    union -= shared
    iou: FloatArray = shared / np.maximum(union, _TINY)
    return iou


def touching_pairs(
    a_xyxy: npt.NDArray[np.floating], b_xyxy: npt.NDArray[np.floating]
) -> tuple[IntArray, IntArray]:
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
        a, b = a_xyxy.T[:, :, None], b_xyxy.T[:, None]
        touching = a[0] <= b[2]
        touching &= b[0] <= a[2]
        touching &= a[1] <= b[3]
        touching &= b[1] <= a[3]
        rows, columns = touching.nonzero()
        return rows, columns
    order_a, order_b = a_xyxy[:, 0].argsort(), b_xyxy[:, 0].argsort()
    a, b = a_xyxy.take(order_a, axis=0), b_xyxy.take(order_b, axis=0)
    i, j = _begins_within(a[:, 0], a[:, 2], b[:, 0], "left")
    j2, i2 = _begins_within(b[:, 0], b[:, 2], a[:, 0], "right")
    i, j = np.concatenate([i, i2]), np.concatenate([j, j2])
    near = a[:, 1].take(i) <= b[:, 3].take(j)
    near &= b[:, 1].take(j) <= a[:, 3].take(i)
    pairs = near.nonzero()[0]
    return order_a.take(i.take(pairs)), order_b.take(j.take(pairs))


@replaceable
def overlapping_pairs(
    a_xyxy: npt.NDArray[np.floating], b_xyxy: npt.NDArray[np.floating]
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return all (i, j) for which box i of `a_xyxy` and box j of `b_xyxy` overlap, and their IoU.

    Args:
        a_xyxy: (N, 4) boxes.
        b_xyxy: (M, 4) boxes.

    Returns:
        Three (P,) arrays; each pair once, in no promised order.
    """
    if len(a_xyxy) * len(b_xyxy) > _DENSE_CELLS:
        i, j = touching_pairs(a_xyxy, b_xyxy)
        iou = np.empty(len(i))
        for begin in range(0, len(i), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            iou[block] = paired_iou(a_xyxy.take(i[block], axis=0), b_xyxy.take(j[block], axis=0))
        overlapping = iou.nonzero()[0]
        return i.take(overlapping), j.take(overlapping), iou.take(overlapping)
    a, b = np.asarray(a_xyxy, np.float64)[:, None], np.asarray(b_xyxy, np.float64)
    side = np.minimum(a[..., 2:], b[:, 2:])
    side -= np.maximum(a[..., :2], b[:, :2])
    np.maximum(side, 0.0, out=side)
    shared = side[..., 0] * side[..., 1]
    i, j = shared.nonzero()
    common = shared[i, j]
    return i, j, common / ((_area(a[:, 0]).take(i) + _area(b).take(j)) - common)


def _area(xyxy: FloatArray) -> FloatArray:
    size = xyxy[:, 2:] - xyxy[:, :2]
    return size[:, 0] * size[:, 1]


def points_within(centre: FloatArray, reach: FloatArray, points: FloatArray) -> tuple[IntArray, IntArray]:
    """Return all (i, j) for which point j lies in the box that reaches `reach[i]` around `centre[i]`.

    The points are swept along x, so the work grows with those near in x rather than with all pairs.

    Args:
        centre: (N, 2) x, y.
        reach: (N, 2) half the width and half the height of each box.
        points: (M, 2) x, y.

    Returns:
        Two (P,) index arrays; each pair once, in no promised order.
    """
    begin, end = centre[:, 0] - reach[:, 0], centre[:, 0] + reach[:, 0]
    order = points[:, 0].argsort()
    i, place = _begins_within(begin, end, points[:, 0].take(order), "left")
    apart = centre[:, 1].take(i)
    apart -= points[:, 1].take(order).take(place)
    pairs = (np.abs(apart, out=apart) <= reach[:, 1].take(i)).nonzero()[0]
    return i.take(pairs), order.take(place.take(pairs))


def _begins_within(
    begin: npt.NDArray[np.floating],
    end: npt.NDArray[np.floating],
    points: npt.NDArray[np.floating],
    side: Literal["left", "right"],
) -> tuple[IntArray, IntArray]:
    """Return (interval, point) for every one of the ascending `points` in its interval.

    "right" leaves out points at `begin`.
    """
    first = points.searchsorted(begin, side)
    count = points.searchsorted(end, "right")
    count -= first
    np.maximum(count, 0, out=count)
    interval = np.arange(len(begin)).repeat(count)
    # The k-th pair of all is the (k - pairs of the intervals before)-th of its interval.
    first -= count.cumsum()
    first += count
    place = first.take(interval)
    place += np.arange(len(interval))
    return interval, place
