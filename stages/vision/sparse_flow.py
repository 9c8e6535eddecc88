"""Where points of one picture are in the next: pyramidal Lucas-Kanade with a forward-backward check.

Positions are those of boxes: (x, y) px, the middle of the first pixel is (0.5, 0.5). So positions in a
reduced picture times the reduction are positions in the full one.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_WINDOW_PX = 13
# Three halvings: a search reaches about 50 px.
_LEVELS = 3
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 0.02)
# Smallest eigenvalue of a window's gradients, OpenCV's measure: below it a window is too plain to be found.
_PLAIN = 1e-3
# Coarse brightness is that of 16 x 16 px.
_COARSE_PX = 16
_TOLERANCE_PX = 1.0

# Smallest eigenvalue of a corner's gradient matrix, OpenCV's units: 2 levels/px along its weaker axis.
_MIN_CORNER = 4 * (2 / 255) ** 2
_CORNER_PX = 3


class FlowView:
    """One picture as the search sees it; what is made of it is kept, for it serves two searches.

    Args:
        luma: (H, W) uint8; a width of 320 to 640 px is plenty. It is copied only if its rows have gaps.
    """

    def __init__(self, luma: U8Array) -> None:
        self.luma: U8Array = np.ascontiguousarray(luma)
        self.height, self.width = luma.shape

    @cached_property
    def flat(self) -> U8Array:
        """The picture about grey 128 without its coarse brightness, which exposure changes little."""
        size = max(self.width // _COARSE_PX, 1), max(self.height // _COARSE_PX, 1)
        coarse = cv2.resize(self.luma, size, interpolation=cv2.INTER_AREA)
        backdrop = cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.addWeighted(self.luma, 1.0, backdrop, -1.0, 128.0), np.uint8)

    @cached_property
    def strength(self) -> F32Array:
        """(H, W) how good a corner each pixel is (Shi and Tomasi, 1994)."""
        return np.asarray(cv2.cornerMinEigenVal(self.luma, _CORNER_PX), np.float32)


def follow_points(
    before: FlowView,
    after: FlowView,
    points: F32Array,
    guess: F32Array | None = None,
    tolerance_px: float = _TOLERANCE_PX,
) -> tuple[F32Array, BoolArray]:
    """Find points of one picture in a later one of the same size.

    Pyramidal Lucas-Kanade (Bouguet, 2000). Each point that was found is looked for backwards; where that does
    not lead back to it, it is not trusted (Kalal, Mikolajczyk and Matas, 2010, "Forward-backward error").

    Args:
        before: the picture that the points lie in.
        after: the later one.
        points: (N, 2) float32 (x, y) px.
        guess: (N, 2) or (2,) px by which they may have moved, None for not at all. A search reaches about
            50 px from there.
        tolerance_px: how far from where it began the way back may end.

    Returns:
        (N, 2) float32 px, where they are now, and (N,) whether that can be trusted. Where it cannot, the
        position is the old one.

    Raises:
        ValueError: if the pictures differ in size, or the points are no (N, 2) array.
    """
    if (before.width, before.height) != (after.width, after.height):
        sizes = f"{before.width} x {before.height} and {after.width} x {after.height}"
        raise ValueError(f"flow needs two pictures of one size, got {sizes}")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points are (N, 2) px, got {points.shape}")
    if len(points) == 0:
        return points.astype(np.float32), np.zeros(0, np.bool_)
    start = points.astype(np.float32) - np.float32(0.5)
    offset = np.zeros_like(start) if guess is None else np.broadcast_to(guess, start.shape).astype(np.float32)
    end, there = _search(before.flat, after.flat, start, start + offset)
    back, returned = _search(after.flat, before.flat, end, end - offset)
    # `end` may be no number where the search left the picture.
    with np.errstate(invalid="ignore"):
        inside = (end > -0.5).all(axis=1) & (end < (after.width - 0.5, after.height - 0.5)).all(axis=1)
        error_px = np.hypot(*(back - start).T)
        good = there & returned & inside & (error_px <= tolerance_px)
    return np.where(good[:, None], end + np.float32(0.5), points).astype(np.float32), good


def corners(view: FlowView, cells: int, avoid_xyxy: F32Array | None = None) -> F32Array:
    """Return the best corner of each cell of a grid over the picture, where it is good enough.

    Args:
        view: the picture.
        cells: about how many (square) cells.
        avoid_xyxy: (M, 4) boxes in whose inside none is taken.

    Returns:
        (N, 2) float32 px, N <= about `cells`, in the order of the cells.
    """
    side = max(round((view.width * view.height / max(cells, 1)) ** 0.5), _CORNER_PX)
    columns, rows = max(view.width // side, 1), max(view.height // side, 1)
    whole = np.array([[0, 0, view.width, view.height]], np.float32)
    found, _ = corners_in_boxes(view, whole, (columns, rows))
    if avoid_xyxy is None or len(avoid_xyxy) == 0:
        return found
    x, y = found[:, :1], found[:, 1:]
    left, top, right, bottom = avoid_xyxy.T
    covered = ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).any(axis=1)
    clear: F32Array = found[~covered]
    return clear


def corners_in_boxes(
    view: FlowView, xyxy: F32Array, grid: tuple[int, int] = (4, 4)
) -> tuple[F32Array, npt.NDArray[np.int64]]:
    """Return the best corners of each box: one in each cell of a grid, where it is good enough.

    Args:
        view: the picture.
        xyxy: (M, 4) float32 boxes, px of this picture; what lies outside it is cut off.
        grid: cells (across, down) of each box.

    Returns:
        (N, 2) float32 px, and (N,) int64 the row of the box that each belongs to, ascending.
    """
    size = np.array([view.width, view.height])
    points: list[npt.NDArray[np.intp]] = []
    owners: list[int] = []
    for row, box in enumerate(np.asarray(xyxy, np.float64)):
        low = np.clip(np.rint(box[:2]), 0, size).astype(np.intp)
        high = np.clip(np.rint(box[2:]), 0, size).astype(np.intp)
        extent = high - low
        if (extent < 1).any():
            continue
        part = view.strength[low[1] : high[1], low[0] : high[0]]
        found = _best_of_cells(part, *np.minimum(grid, extent).tolist())
        points.append(found + low)
        owners.extend([row] * len(found))
    if not points:
        return np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
    return np.concatenate(points).astype(np.float32) + np.float32(0.5), np.array(owners, np.int64)


def _search(
    source: U8Array, target: U8Array, start: F32Array, guess: F32Array
) -> tuple[F32Array, npt.NDArray[np.bool_]]:
    end, status, _ = cv2.calcOpticalFlowPyrLK(
        source,
        target,
        start,
        guess.copy(),
        winSize=(_WINDOW_PX, _WINDOW_PX),
        maxLevel=_LEVELS,
        criteria=_STEPS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        minEigThreshold=_PLAIN,
    )
    return np.asarray(end, np.float32), np.asarray(status[:, 0] > 0)


def _best_of_cells(strength: F32Array, columns: int, rows: int) -> npt.NDArray[np.intp]:
    """Return (N, 2) int (x, y) of the strongest pixel of each cell that has a good one."""
    height, width = strength.shape[0] // rows, strength.shape[1] // columns
    # What the cells leave out is the same on both sides.
    top, left = (strength.shape[0] - rows * height) // 2, (strength.shape[1] - columns * width) // 2
    part = strength[top : top + rows * height, left : left + columns * width]
    cells = part.reshape(rows, height, columns, width).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    best = cells.argmax(axis=1)
    place = np.arange(rows * columns)
    y, x = np.divmod(best, width)
    x += left + place % columns * width
    y += top + place // columns * height
    found: npt.NDArray[np.intp] = np.stack([x, y], axis=1)[cells[place, best] >= _MIN_CORNER]
    return found
