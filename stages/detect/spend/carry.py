"""Boxes that are carried from a picture that was looked at through those that are not, by optical flow.

Median Flow (Kalal, Mikolajczyk and Matas 2010) with two changes: the points are those of the picture that was
looked at, all along, so that small errors do not add up; and where boxes overlap, the points belong to the
object that stands in front.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.objects import Detections, F32Array
from stages.vision.sparse_flow import FlowView, corners_in_boxes, follow_points

I64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

FLOW_PX = 480
"""Largest side of the pictures in which points are followed."""

# Points come from the middle of a box: its left and right edges show what is behind the object.
_INSET = np.array([0.2, 0.05], np.float32)
# A point costs 10 us a picture: with many boxes each has fewer.
_GRID, _SMALL_GRID, _FEW_BOXES = (4, 4), (3, 3), 10
_MOST_POINTS = 400
# A box goes on while at least so many of its points agree, and this share of those that it began with.
_FEWEST = 3
_LEAST_SHARE = 0.5
# Points agree with the median within this share of the box's height, px at least.
_AGREE, _AGREE_PX = 0.05, 2.0
# The box grows with its points when so many tell it, and when it is no chance at so many standard errors.
_FEWEST_FOR_SIZE, _SURE = 6, 3.0
_MAX_GROWTH = 1.5
_APART_PX = 4.0


class Carrier:
    """Carries the boxes of one look; make another one at the next.

    Args:
        view: the picture that was looked at, reduced.
        factor: px of the full picture per px of the reduced one.
        detections: of that picture.
        size: (width, height) of the full picture, px.
    """

    def __init__(self, view: FlowView, factor: int, detections: Detections, size: tuple[int, int]) -> None:
        self._view, self._factor, self._detections = view, factor, detections
        self._edges = np.array(size * 2, np.float32)
        self._xyxy = detections.xyxy / np.float32(factor)
        self._row = np.arange(len(detections))
        self._start, self._owner = _points(view, self._xyxy)
        self._now = self._start
        self._began = np.bincount(self._owner, minlength=len(detections))

    def __len__(self) -> int:
        """Return how many boxes are still carried."""
        return len(self._row)

    def carry(self, view: FlowView) -> Detections:
        """Go on to the next picture.

        Returns:
            The detections that could be followed, moved, in the order that they had. What is lost once does
            not come back; boxes go as far as the picture's edge.
        """
        moved, good = follow_points(self._view, view, self._now)
        self._view = view
        self._now, self._start, self._owner = moved[good], self._start[good], self._owner[good]
        rows, boxes = [], []
        for row in self._row.tolist():
            mine = self._owner == row
            box = _moved(self._xyxy[row], self._start[mine], self._now[mine], int(self._began[row]))
            if box is not None and _within(box * self._factor, self._edges):
                rows.append(row)
                boxes.append(box * self._factor)
        self._row = np.array(rows, np.int64)
        before = self._xyxy[self._row] * np.float32(self._factor)
        after = np.array(boxes, np.float32).reshape(-1, 4)
        return placed(self._detections[self._row], before, after, self._edges)


def _points(view: FlowView, xyxy: F32Array) -> tuple[F32Array, I64Array]:
    """Return (P, 2) px and (P,) whose they are; of two boxes the one that reaches lower down is in front."""
    inset = (xyxy[:, 2:] - xyxy[:, :2]) * _INSET
    inner = np.concatenate([xyxy[:, :2] + inset, xyxy[:, 2:] - inset], axis=1)
    points, owner = corners_in_boxes(view, inner, _GRID if len(xyxy) <= _FEW_BOXES else _SMALL_GRID)
    if len(points) > _MOST_POINTS:
        chosen = np.linspace(0, len(points) - 1, _MOST_POINTS).astype(np.int64)
        points, owner = points[chosen], owner[chosen]
    x, y = points[:, :1], points[:, 1:]
    left, top, right, bottom = xyxy.T
    covered = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    covered &= bottom[None] > bottom[owner][:, None]
    own = ~covered.any(axis=1)
    # An object that is hidden so far keeps what there is.
    enough = np.bincount(owner[own], minlength=len(xyxy)) >= _FEWEST
    own |= ~enough[owner]
    return points[own], owner[own]


def _moved(box: F32Array, start: F32Array, now: F32Array, began: int) -> F32Array | None:
    """Return where the box is, None when too few of its points agree."""
    least = max(_FEWEST, _LEAST_SHARE * began)
    if len(start) < least:
        return None
    shift, growth = _moved_by(start, now)
    reach = max(_AGREE_PX, _AGREE * float(box[3] - box[1]))
    origin = np.median(start, axis=0)
    agree = np.abs(now - origin - shift - growth * (start - origin)).max(axis=1) <= reach
    if np.count_nonzero(agree) < least:
        return None
    start, now = start[agree], now[agree]
    growth = _growth(start, now)
    middle, before = now.mean(axis=0), start.mean(axis=0)
    corners = middle + growth * (box.reshape(2, 2) - before)
    return np.asarray(corners.reshape(4), np.float32)


def _moved_by(start: F32Array, now: F32Array) -> tuple[F32Array, float]:
    """Return the medians of how points were shifted and how their distances grew."""
    shift = np.median(now - start, axis=0)
    if len(start) < _FEWEST_FOR_SIZE:
        return shift, 1.0
    one, other = np.triu_indices(len(start), 1)
    distance = np.hypot(*(start[one] - start[other]).T)
    apart = distance > _APART_PX
    if not apart.any():
        return shift, 1.0
    later = np.hypot(*(now[one] - now[other]).T)
    return shift, _bounded(float(np.median(later[apart] / distance[apart])))


def _growth(start: F32Array, now: F32Array) -> float:
    """Return by how much the points have moved apart: the slope of their distances from their middle."""
    if len(start) < _FEWEST_FOR_SIZE:
        return 1.0
    before, after = (points - points.mean(axis=0) for points in (start, now))
    total = float(np.square(before).sum())
    if total <= 0:
        return 1.0
    growth = float((before * after).sum()) / total
    rest = float(np.square(after - growth * before).sum()) / (2 * len(start) - 4)
    return 1.0 if abs(growth - 1) <= _SURE * (rest / total) ** 0.5 else _bounded(growth)


def _bounded(growth: float) -> float:
    return min(max(growth, 1 / _MAX_GROWTH), _MAX_GROWTH)


def _within(box: F32Array, edges: F32Array) -> bool:
    inside = np.clip(box, 0, edges)
    return bool((inside[2:] - inside[:2] >= 1).all())


def placed(detections: Detections, before: F32Array, after: F32Array, edges: F32Array) -> Detections:
    """Return detections whose boxes are now elsewhere, with all that lies in them.

    Args:
        detections: N rows.
        before: (N, 4) float32 px, boxes that go with the detections' points.
        after: (N, 4) float32 px, where these boxes are now; they are cut off at the edges.
        edges: (4,) float32 px, width, height, width, height of the picture.
    """
    size = np.maximum(before[:, 2:] - before[:, :2], 1e-3)
    scale = (after[:, 2:] - after[:, :2]) / size
    shift = after[:, :2] - before[:, :2] * scale
    keypoints, corners, outline = detections.keypoints, detections.corners, detections.outline
    if keypoints is not None:
        keypoints = keypoints.copy()
        keypoints[..., :2] = keypoints[..., :2] * scale[:, None] + shift[:, None]
    if corners is not None:
        corners = (corners * scale[:, None] + shift[:, None]).astype(np.float32)
    if outline is not None:
        outline = outline.copy()
        for row, polygon in enumerate(outline):
            outline[row] = (polygon * scale[row] + shift[row]).astype(np.float32)
    xyxy = np.clip(after, 0, edges).astype(np.float32)
    return replace(detections, xyxy=xyxy, keypoints=keypoints, corners=corners, outline=outline)
