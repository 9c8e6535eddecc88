"""From a foreground mask to one box per moving object."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stages.vision.background import Foreground

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]

# Which fragments are worth a look: at least this share of the smallest object, and only the largest ones, as
# joining compares all with all. A picture with more is noise.
_CRUMB = 0.2
_MOST_FRAGMENTS = 200

# Joining, by areas of boxes: so much of the smaller one lies in the other, or they all but touch. Reach is
# a share of the larger box's side (the root of its area). Dust does not lengthen an object by touching it.
_OVERLAP = 0.5
_REACH = 0.05
_FRAGMENT = 0.3
_REACH_OF_FRAGMENT = 0.1
_DUST = 0.05
_GROWTH = 1.25
"""How much larger than its parts the joined box may be: above that they are two objects side by side."""

_GHOST_RATIO = 2.0
"""A blob is a ghost when its outline is so many times sharper in the background than in the picture."""
_SAME_STRUCTURE = 0.8
"""Correlation of picture and background from which a blob is the background itself under another light."""
_MARGIN_PX = 2

# A blob that fills its box so far, and differs so much, is as sure as the score can tell.
_GOOD_FILL = 0.6
_GOOD_CONTRAST_LEVELS = 15.0


def find_blobs(foreground: Foreground, min_area: float) -> tuple[F32Array, F32Array]:
    """Return the boxes of the moving objects and how sure each is.

    Holes are closed and fragments joined. Two kinds of change are no object: a ghost (the place that an
    object of the background has left), and the background itself under another light.

    Args:
        foreground: mask and pictures, (H, W).
        min_area: smallest box, as a share of the picture's area.

    Returns:
        xyxy (N, 4) float32 px of the mask, and score (N,) float32 in 0..1 from fill and contrast.
    """
    closed = cv2.morphologyEx(cv2.medianBlur(foreground.mask, 3), cv2.MORPH_CLOSE, _square(3))
    mask = np.asarray(closed, dtype=np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    tlwh = stats[1:, :4].astype(np.float32)
    area = tlwh[:, 2] * tlwh[:, 3]
    largest = np.argsort(-area, kind="stable")[:_MOST_FRAGMENTS]
    tlwh = tlwh[largest[area[largest] >= _CRUMB * min_area * mask.size]]
    xyxy = join_fragments(np.concatenate([tlwh[:, :2], tlwh[:, :2] + tlwh[:, 2:]], axis=1))
    xyxy = xyxy[_area(xyxy) >= min_area * mask.size]
    score = np.array([_score(foreground, mask, box) for box in xyxy.astype(int).tolist()], np.float32)
    return xyxy[score > 0], score[score > 0]


def join_fragments(xyxy: F32Array) -> F32Array:
    """Join boxes that are parts of one object, until none are left to join.

    Two boxes belong together if they overlap by half of the smaller or all but touch (a small fragment may
    be farther away), provided that together they fill the box around both: neighbours on a diagonal and
    side by side with a space between them stay apart.

    Args:
        xyxy: (N, 4) float32.

    Returns:
        The joined boxes, (M, 4) float32.
    """
    while len(xyxy) > 1:
        partner = _partners(xyxy)
        _, into = np.unique(partner, return_inverse=True)
        joined = np.empty((int(into.max()) + 1, 4), np.float32)
        if len(joined) == len(xyxy):
            break
        joined[:, :2], joined[:, 2:] = np.inf, -np.inf
        np.minimum.at(joined[:, :2], into, xyxy[:, :2])
        np.maximum.at(joined[:, 2:], into, xyxy[:, 2:])
        xyxy = joined
    return xyxy


def _partners(xyxy: F32Array) -> I64Array:
    """Return for each box the row of the largest box that it belongs to (its own when it stands alone)."""
    # Sorted by size, a box can only go to an earlier row: no circles.
    order = np.argsort(-_area(xyxy), kind="stable")
    sorted_xyxy = xyxy[order]
    area = _area(sorted_xyxy)
    one, other = sorted_xyxy[:, None], sorted_xyxy[None]
    inner_start, inner_end = (
        np.maximum(one[..., :2], other[..., :2]),
        np.minimum(one[..., 2:], other[..., 2:]),
    )
    outer_start, outer_end = (
        np.minimum(one[..., :2], other[..., :2]),
        np.maximum(one[..., 2:], other[..., 2:]),
    )
    shared = np.clip(inner_end - inner_start, 0, None).prod(axis=2)
    gap = np.clip(inner_start - inner_end, 0, None).max(axis=2)
    hull = (outer_end - outer_start).prod(axis=2)
    smaller, larger = np.minimum(area[:, None], area[None]), np.maximum(area[:, None], area[None])
    reach = np.sqrt(larger) * np.where(smaller < _FRAGMENT * larger, _REACH_OF_FRAGMENT, _REACH)
    related = (shared > _OVERLAP * smaller) | ((smaller > _DUST * larger) & (gap <= reach))
    related &= hull <= _GROWTH * (smaller + larger - shared)
    np.fill_diagonal(related, val=True)
    partner = np.empty(len(xyxy), np.int64)
    partner[order] = order[related.argmax(axis=1)]
    return partner


def _score(foreground: Foreground, mask: U8Array, xyxy: list[int]) -> float:
    """Return how sure it is that the box holds an object, 0 for a ghost or a change of light."""
    left, top, right, bottom = xyxy
    part = np.s_[
        max(top - _MARGIN_PX, 0) : bottom + _MARGIN_PX, max(left - _MARGIN_PX, 0) : right + _MARGIN_PX
    ]
    blob, picture, background = mask[part], foreground.picture[part], foreground.background[part]
    if _is_ghost(blob, picture, background) or is_relit(blob, picture, background):
        return 0.0
    fill = cv2.countNonZero(blob) / ((right - left) * (bottom - top))
    contrast = cv2.mean(cv2.absdiff(picture, background), mask=blob)[0]
    return min(fill / _GOOD_FILL, 1.0) * float(1.0 - np.exp(-contrast / _GOOD_CONTRAST_LEVELS))


def _is_ghost(blob: U8Array, picture: U8Array, background: U8Array) -> bool:
    """Say whether the blob's outline is an edge of the background rather than of the picture."""
    outline = np.asarray(cv2.morphologyEx(blob, cv2.MORPH_GRADIENT, _square(3)), dtype=np.uint8)
    return edge_strength(background, outline) > _GHOST_RATIO * edge_strength(picture, outline)


def is_relit(blob: U8Array, picture: U8Array, background: U8Array) -> bool:
    """Say whether picture and background show the same structure, only brighter or darker."""
    near = cv2.dilate(blob, _square(5)) > 0
    now = cv2.blur(picture, (5, 5))[near].astype(np.float64)
    before = cv2.blur(background, (5, 5))[near].astype(np.float64)
    now -= now.mean()
    before -= before.mean()
    return float(now @ before) > _SAME_STRUCTURE * float(np.sqrt((now @ now) * (before @ before)))


def edge_strength(luma: U8Array, where: U8Array) -> float:
    """Return the mean gradient (Sobel, 8 times levels per px) where the mask `where` is not 0."""
    horizontal = cv2.Sobel(luma, cv2.CV_32F, 1, 0)
    vertical = cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    return cv2.mean(cv2.magnitude(horizontal, vertical), mask=where)[0]


def _area(xyxy: F32Array) -> F32Array:
    return np.asarray((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))


def _square(size_px: int) -> U8Array:
    return np.ones((size_px, size_px), np.uint8)
