"""Corners of one picture, and where they are in a later one."""

from __future__ import annotations

import math
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.picture import U8Array
from stages.track.boxes import FloatArray, IntArray

F32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# One corner in each of about so many square cells: enough to fit from, spread over the picture.
_CELLS = 100
# Smallest eigenvalue of a corner's mean gradient matrix in OpenCV's units: 2 levels/px along its weaker axis.
_MIN_CORNER = 4 * (2 / 255) ** 2
_CORNER_WINDOW_PX = 3

# Patches that are compared in place are 11 x 11 px, windows that are searched for are larger.
_PATCH_RADIUS_PX = 5
_WINDOW_PX = 13
# Coarse brightness is that of 16 x 16 px.
_COARSE_HALVINGS = 4
# Three halvings: the search reaches about 50 px of the reduced picture.
_LEVELS = 3
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
_MARGIN_PX = _PATCH_RADIUS_PX + 2

# What a patch may differ by after the best shift, gain and offset: noise of so many levels, or this share of
# its own variance.
_NOISE_LEVELS = 3.0
_MAX_UNEXPLAINED = 0.3
# A found window may differ by this share of its contrast.
_MAX_DIFFERENCE = 0.5


class View:
    """One picture as landmarks see it.

    Args:
        luma: (H, W) uint8, small (about 320 to 480 px wide), C-contiguous; kept, not copied.
    """

    def __init__(self, luma: U8Array) -> None:
        self.luma = luma
        self.height, self.width = luma.shape

    @cached_property
    def flat(self) -> U8Array:
        """The picture about grey 128, without its coarse brightness; exposure changes it little."""
        coarse = self.luma
        for _ in range(min(_COARSE_HALVINGS, min(self.luma.shape).bit_length() - 1)):
            coarse = halved(coarse)
        backdrop = cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.addWeighted(self.luma, 1.0, backdrop, -1.0, 128.0), np.uint8)

    @cached_property
    def spectrum_source(self) -> F32Array:
        """The flat picture at half its size, (H // 2, W // 2), for phase correlation."""
        return halved(self.flat).astype(np.float32)

    def shift_to(self, later: View) -> tuple[float, float]:
        """Return the (x, y) px by which most of the picture has moved, a guess good to 2 px.

        Phase correlation (Kuglin and Hines, 1975): reaches further than a search, blind to turn and zoom.
        """
        source, target = self.spectrum_source, later.spectrum_source
        window = cv2.createHanningWindow(source.shape[::-1], cv2.CV_32F)
        (x, y), _ = cv2.phaseCorrelate(source, target, window)
        # A blank picture has no phase, and the answer is no number.
        return (2 * x, 2 * y) if math.isfinite(x) and math.isfinite(y) else (0.0, 0.0)


class Landmarks:
    """Corners of one picture, the best of each cell of a grid.

    Args:
        view: the picture.
        points: (N, 2) int (x, y) to take for corners, but for those at the border; None finds the corners.
        avoid_xyxy: (M, 4) boxes in whose inside no corner is taken.
    """

    def __init__(
        self, view: View, points: IntArray | None = None, avoid_xyxy: FloatArray | None = None
    ) -> None:
        self.view = view
        found = _corners(view.luma) if points is None else points[_clear(points, view)]
        self.points: IntArray = found if avoid_xyxy is None else found[~inside(found, avoid_xyxy)]

    def __len__(self) -> int:
        return len(self.points)

    def small_shifts(self, view: View) -> tuple[FloatArray, BoolArray]:
        """Measure shifts below about 1 px, for a hundredth of the cost of a search.

        One Gauss-Newton step (Lucas and Kanade, 1981) on every patch at once. Gain and offset are fitted
        along, so a change of exposure is no motion.

        Args:
            view: a later picture of the same size.

        Returns:
            (N, 2) shifts in px, and (N,) whether the patch is still there to be measured.
        """
        index, design, solver = self._templates
        patch = view.luma.reshape(-1).take(index).astype(np.float32)
        answer = np.matmul(solver, patch[:, :, None])
        rest = patch - np.matmul(design, answer)[:, :, 0]
        unexplained = np.square(rest).mean(axis=1)
        gain = answer[:, 0, 0]
        there = unexplained <= np.maximum(_NOISE_LEVELS**2, _MAX_UNEXPLAINED * patch.var(axis=1))
        there &= gain > 0.25
        shifts = -answer[:, 2:, 0].astype(np.float64) / np.where(there, gain, 1.0)[:, None]
        return shifts, there

    def search(
        self, view: View, use: BoolArray, guess: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[FloatArray, BoolArray]:
        """Find the corners anywhere near, by pyramidal Lucas-Kanade (Bouguet, 2000).

        Args:
            view: a later picture of the same size.
            use: (N,) which corners to look for.
            guess: (x, y) px by which they may have moved.

        Returns:
            (N, 2) positions in px, and (N,) whether found: inside the picture, and looking alike.
        """
        position = self.points.astype(np.float64)
        found = np.zeros(len(self), np.bool_)
        start = self.points[use].astype(np.float32)
        end, status, difference = cv2.calcOpticalFlowPyrLK(
            self.view.flat,
            view.flat,
            start,
            start + np.array(guess, np.float32),
            winSize=(_WINDOW_PX, _WINDOW_PX),
            maxLevel=_LEVELS,
            criteria=_STEPS,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        alike = difference[:, 0] <= _MAX_DIFFERENCE * self._contrast[use] + _NOISE_LEVELS
        within = (end >= 0).all(axis=1) & (end[:, 0] < view.width) & (end[:, 1] < view.height)
        position[use] = end
        found[use] = (status[:, 0] > 0) & alike & within
        return position, found

    @cached_property
    def _templates(self) -> tuple[IntArray, F32Array, F32Array]:
        """Return the (N, P) indices of the patches' pixels and two maps.

        (N, P, 4) takes gain, offset and shift to levels, (N, 4, P) takes levels to these.
        """
        width, side = self.view.width, 2 * _PATCH_RADIUS_PX + 1
        reach = np.arange(-_PATCH_RADIUS_PX - 1, _PATCH_RADIUS_PX + 2)
        around = reach[:, None] * width + reach
        index = (self.points[:, 1] * width + self.points[:, 0])[:, None, None] + around
        wide = self.view.luma.reshape(-1).take(index).astype(np.float32)
        columns = (
            wide[:, 1:-1, 1:-1],
            np.ones((len(wide), side, side), np.float32),
            (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) / 2,
            (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) / 2,
        )
        design = np.stack([column.reshape(len(wide), -1) for column in columns], axis=2)
        turned = design.transpose(0, 2, 1).astype(np.float64)
        normal = np.matmul(turned, design) + 1e-3 * np.eye(4)
        solver = np.linalg.solve(normal, turned).astype(np.float32)
        return index[:, 1:-1, 1:-1].reshape(len(wide), -1), design, solver

    @cached_property
    def _contrast(self) -> F32Array:
        """Return (N,) how far a level near each corner lies from that of its surroundings, on average."""
        deviation = cv2.absdiff(self.view.flat, np.full_like(self.view.flat, 128))
        mean = cv2.blur(deviation, (_WINDOW_PX, _WINDOW_PX))
        contrast: F32Array = mean[self.points[:, 1], self.points[:, 0]].astype(np.float32)
        return contrast


def inside(points: npt.NDArray[np.number], xyxy: FloatArray) -> BoolArray:
    """Return (N,) whether each point lies in at least one of the (M, 4) boxes."""
    x, y = points[:, :1], points[:, 1:]
    left, top, right, bottom = xyxy.T
    covered: BoolArray = ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).any(axis=1)
    return covered


def halved(luma: U8Array) -> U8Array:
    """Return the picture at half its size, without a last odd row or column.

    Exact means of 2 x 2 are OpenCV's quick path: 0.12 ms from 1080p, where a factor of 3 takes 1 ms.
    """
    height, width = luma.shape[0] // 2, luma.shape[1] // 2
    even = luma[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _clear(points: IntArray, view: View) -> BoolArray:
    """Return (N,) whether the patch around each point lies within the picture."""
    size = np.array([view.width, view.height])
    return np.asarray(((points >= _MARGIN_PX) & (points < size - _MARGIN_PX)).all(axis=1))


def _corners(luma: U8Array) -> IntArray:
    """Return (N, 2) int: the best corner (Shi and Tomasi, 1994) of each cell, where it is good enough.

    It is looked for at half the size, a tenth of the cost; a landmark need not be at the very corner.
    """
    height, width = luma.shape[0] // 2, luma.shape[1] // 2
    margin = _MARGIN_PX // 2 + 1
    cell = max(round((height * width / _CELLS) ** 0.5), 2 * margin)
    rows, columns = height // cell, width // cell
    if rows < 1 or columns < 1:
        return np.zeros((0, 2), np.intp)
    strength = cv2.cornerMinEigenVal(halved(luma), _CORNER_WINDOW_PX)
    strength[:margin] = strength[-margin:] = 0
    strength[:, :margin] = strength[:, -margin:] = 0
    # Cells are laid around the middle, so that what they leave out is the same on both sides.
    top, left = (height - rows * cell) // 2, (width - columns * cell) // 2
    grid = strength[top : top + rows * cell, left : left + columns * cell]
    cells = grid.reshape(rows, cell, columns, cell).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    best = cells.argmax(axis=1)
    place = np.arange(rows * columns)
    good = cells[place, best] >= _MIN_CORNER
    y, x = np.divmod(best, cell)
    y += top + place // columns * cell
    x += left + place % columns * cell
    corners: IntArray = 2 * np.stack([x, y], axis=1)[good]
    return corners
