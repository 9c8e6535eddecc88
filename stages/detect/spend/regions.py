"""One picture put together of those regions of another in which something may have changed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.objects import Detections, F32Array
from pipeline.picture import BgrPicture, Picture, U8Array
from stages.detect.spend.carry import placed

I64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Around what has changed and around known boxes so much is looked at too, share of their size and px.
_MARGIN, _MARGIN_PX = 0.25, 16
# Grey between the regions, so that none borders on another's pixels; the grey of letterboxes.
_GAP_PX = 8
_GREY = 114
# Changed pixels nearer to one another than this (in the reduced picture) belong together.
_JOIN = np.ones((5, 5), np.uint8)
_MOST = 24
# Sides of the put-together picture that are tried, as shares of the picture's. With more than the last of
# them the whole picture costs the same and shows more.
_SIDES = (0.25, 0.35, 0.5, 0.7)
# Boxes that end so near to an inner edge of their region are cut off there.
_CUT_PX = 3.0


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Regions of a picture side by side, at their own size.

    Attributes:
        picture: what the detector looks at.
        source: (R, 4) int64 xyxy px of the full picture; disjoint.
        place: (R, 2) int64 (left, top) px of each in the mosaic.
        edges: (4,) float32, width, height, width, height of the full picture.
    """

    picture: BgrPicture
    source: I64Array
    place: I64Array
    edges: F32Array

    def looked_at(self, shape: tuple[int, int]) -> BoolArray:
        """Return (h, w) which pixels of the full picture, reduced to this shape, lie in a region."""
        where = np.zeros(shape, np.bool_)
        scale = np.array([shape[1], shape[0]]) / self.edges[:2]
        low = np.ceil(self.source[:, :2] * scale).astype(np.int64)
        high = np.floor(self.source[:, 2:] * scale).astype(np.int64)
        for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True):
            where[top:bottom, left:right] = True
        return where

    def merged(self, found: Detections, before: Detections | None) -> Detections:
        """Return what is known of the full picture now.

        Args:
            found: in the mosaic. Of what is cut off at an edge inside of the picture nothing is known.
            before: what was known before: it holds where nobody looked.
        """
        centre = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
        size = self.source[:, 2:] - self.source[:, :2]
        low, high = self.place, self.place + size
        inside = np.all((centre[:, None] >= low) & (centre[:, None] < high), axis=2)
        rows = np.flatnonzero(np.any(inside, axis=1))
        region = inside[rows].argmax(axis=1)
        shift = (self.source[:, :2] - self.place)[region]
        xyxy = (found.xyxy[rows] + np.tile(shift, 2)).astype(np.float32)
        source = self.source[region].astype(np.float32)
        at_edge = np.concatenate(
            [source[:, :2] <= 0, source[:, 2:] >= self.edges[2:]],
            axis=1,
        )
        reach = np.concatenate([xyxy[:, :2] - source[:, :2], source[:, 2:] - xyxy[:, 2:]], axis=1)
        whole = (at_edge | (reach > _CUT_PX)).all(axis=1)
        new = placed(found[rows[whole]], found.xyxy[rows[whole]], xyxy[whole], self.edges)
        return new if before is None else _joined(new, before[~self._covers(before.xyxy)])

    def _covers(self, xyxy: F32Array) -> BoolArray:
        """Return (N,) whether the middle of each box was looked at."""
        centre = ((xyxy[:, :2] + xyxy[:, 2:]) / 2)[:, None]
        within = (centre >= self.source[:, :2]) & (centre < self.source[:, 2:])
        return np.asarray(np.any(np.all(within, axis=2), axis=1))


def regions_of(picture: Picture, changed: U8Array | None, known: F32Array) -> Mosaic | None:
    """Put together what should be looked at, None when that is too much of the picture, or nothing.

    Args:
        picture: the full picture.
        changed: (h, w) uint8, not 0 where the reduced picture has changed; None when it has nowhere.
        known: (N, 4) float32 px, boxes of known objects: those that touch what has changed are looked at as
            a whole.
    """
    if changed is None:
        return None
    size = np.array([picture.width, picture.height])
    moving = _moving(changed, size)
    if len(moving) == 0:
        return None
    touched = known[_overlap(known, moving)] if len(known) else known
    source = _disjoint(_grown(np.concatenate([moving, touched]), size))
    if len(source) > _MOST:
        return None
    for side in _SIDES:
        canvas = np.maximum((size * side).astype(np.int64), 1)
        place = _packed(source[:, 2:] - source[:, :2], canvas)
        if place is not None:
            edges = np.tile(size, 2).astype(np.float32)
            return Mosaic(BgrPicture(_painted(picture, source, place, canvas)), source, place, edges)
    return None


def _moving(changed: U8Array, size: I64Array) -> F32Array:
    """Return (M, 4) px of the full picture: the boxes around connected changes."""
    joined = cv2.dilate(changed, _JOIN)
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined)
    left, top, width, height = stats[1:, :4].T
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    scale = size / np.array([changed.shape[1], changed.shape[0]])
    return np.asarray(boxes * np.tile(scale, 2), np.float32)


def _grown(xyxy: F32Array, size: I64Array) -> I64Array:
    """Return the boxes with their margin, in whole even px within the picture."""
    margin = (xyxy[:, 2:] - xyxy[:, :2]) * _MARGIN + _MARGIN_PX
    low = np.floor((xyxy[:, :2] - margin) / 2).astype(np.int64) * 2
    high = np.ceil((xyxy[:, 2:] + margin) / 2).astype(np.int64) * 2
    return np.concatenate([np.clip(low, 0, size - 1), np.clip(high, 1, size)], axis=1)


def _overlap(xyxy: F32Array, others: F32Array) -> BoolArray:
    """Return (N,) whether each box overlaps one of the others."""
    start = np.maximum(xyxy[:, None, :2], others[None, :, :2])
    end = np.minimum(xyxy[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.any(np.all(end > start, axis=2), axis=1))


def _disjoint(boxes: I64Array) -> I64Array:
    """Join boxes that overlap until none do."""
    done: list[I64Array] = []
    left = list(boxes)
    while left:
        box = left.pop()
        for index, other in enumerate(done):
            if (np.minimum(box[2:], other[2:]) > np.maximum(box[:2], other[:2])).all():
                del done[index]
                low, high = np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])
                left.append(np.concatenate([low, high]))
                break
        else:
            done.append(box)
    return np.array(done, np.int64).reshape(-1, 4)


def _packed(size: I64Array, canvas: I64Array) -> I64Array | None:
    """Place rectangles of these (R, 2) sizes on shelves, the highest first; None when they do not fit."""
    place = np.zeros_like(size)
    x = y = shelf = 0
    for row in np.argsort(-size[:, 1], kind="stable").tolist():
        width, height = (int(side) for side in size[row])
        if x and x + width > canvas[0]:
            x, y, shelf = 0, y + shelf + _GAP_PX, 0
        if x + width > canvas[0] or y + height > canvas[1]:
            return None
        place[row] = x, y
        x, shelf = x + width + _GAP_PX, max(shelf, height)
    return place


def _painted(picture: Picture, source: I64Array, place: I64Array, canvas: I64Array) -> U8Array:
    painted = np.full((canvas[1], canvas[0], 3), _GREY, np.uint8)
    for (left, top, right, bottom), (x, y) in zip(source.tolist(), place.tolist(), strict=True):
        part = picture.part(left, top, right, bottom).bgr()
        painted[y : y + bottom - top, x : x + right - left] = part
    return painted


def _joined(one: Detections, other: Detections) -> Detections:
    """Return the rows of both; columns that only one of them has are left out."""
    columns = {}
    for name in one.__dataclass_fields__:
        first, second = getattr(one, name), getattr(other, name)
        same = first is not None and second is not None and first.shape[1:] == second.shape[1:]
        columns[name] = np.concatenate([first, second]) if same else None
    return Detections.unchecked(**columns)
