"""By how much a camera has been turned, moved or zoomed since a reference was taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stages.vision.same_view import ReferenceView, SceneView
from stages.vision.sparse_flow import follow_points

F32Array = npt.NDArray[np.float32]
F64Array = npt.NDArray[np.float64]

# A peak of the outlines' correlation that stands out by so much is no chance.
_SURE_PEAK = 8.0
# Points of a plane under one camera agree to this; fewer than so many, or this share, may be chance, such as
# the time that the camera writes into its picture.
_TOLERANCE_PX = 1.5
_FEWEST_POINTS = 10
_LEAST_SHARE = 0.25
# A homography has eight unknowns; with fewer points than this, four (turn, zoom, shift) are safer.
_ENOUGH_POINTS = 20
_FEATURES = 400
_CLEARLY_NEARER = 0.8
_FEWEST_MATCHES = 14
_MOST_ZOOM = 4.0
_GRID = (5, 5)


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """Where the reference's view lies in a picture.

    Attributes:
        homography: (3, 3) float64, maps px of the reference to px of the picture, both reduced.
        share: how far the places of the picture have moved: median over a grid, as a share of its diagonal.
        shift_px: (x, y) by which the picture's middle has moved, reduced px, x to the right, y down.
        rotation_deg: turn about the middle, clockwise as seen in the picture.
        zoom: above 1 when things look larger.
    """

    homography: F64Array
    share: float
    shift_px: tuple[float, float]
    rotation_deg: float
    zoom: float


def locate(reference: ReferenceView, view: SceneView) -> Shift | None:
    """Find where the view of a reference has gone to in a picture of the same size.

    By the outlines, then by landmarks from there on: any shift, and a few degrees and hundredths of turn and
    zoom. None where that does not find it.
    """
    x, y, height = reference.outline_shift(view)
    if height >= _SURE_PEAK:
        found = _by_landmarks(reference, view, (x, y))
        return found or _described(np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64), reference.shape)
    return _by_landmarks(reference, view, (0.0, 0.0))


def search(reference: ReferenceView, view: SceneView) -> Shift | None:
    """Find a view wherever it is, turned and zoomed, by its features (SIFT, Lowe, 2004); 30 to 40 ms."""
    finder = cv2.SIFT.create(_FEATURES)
    before, old = finder.detectAndCompute(reference.view.luma, None)
    after, new = finder.detectAndCompute(view.luma, None)
    if old is None or new is None or min(len(old), len(new)) < _FEWEST_MATCHES:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(old, new, k=2)
    clear = [
        best[0] for best in pairs if len(best) == 2 and best[0].distance < _CLEARLY_NEARER * best[1].distance
    ]
    start = _points([before[match.queryIdx].pt for match in clear])
    end = _points([after[match.trainIdx].pt for match in clear])
    return _fitted(start, end, max(_FEWEST_MATCHES, _LEAST_SHARE * len(clear)), view)


def undone(view: SceneView, shift: Shift) -> SceneView:
    """Return a picture as it would look if the camera had not moved; what it does not show is mirrored."""
    size = view.width, view.height
    # The homography maps px of the reference to px of the picture, which is the direction that is wanted.
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    luma = cv2.warpPerspective(view.luma, shift.homography, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
    return SceneView(np.asarray(luma, np.uint8))


def in_place(shape: tuple[int, int]) -> Shift:
    """Return the shift of a picture of (height, width) px that has not moved."""
    return _described(np.eye(3), shape)


def _by_landmarks(reference: ReferenceView, view: SceneView, guess: tuple[float, float]) -> Shift | None:
    points = reference.landmarks
    offset = np.array(guess, np.float32)
    target = points + offset
    inside = ((target >= 0) & (target < (view.width, view.height))).all(axis=1)
    points = points[inside]
    if len(points) < _FEWEST_POINTS:
        return None
    positions, good = follow_points(reference.view, view, points, offset)
    return _fitted(points[good], positions[good], max(_FEWEST_POINTS, _LEAST_SHARE * len(points)), view)


def _fitted(start: F32Array, end: F32Array, fewest: float, view: SceneView) -> Shift | None:
    """Fit a map to pairs of points, robustly; None unless enough of them agree to a sane one."""
    if len(start) < fewest:
        return None
    # Both begin their draws from the same seed at each call: the same pictures give the same answer.
    similar, mask = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE_PX
    )
    whole = None if similar is None else np.vstack([similar, [0, 0, 1]])
    agree = 0 if whole is None else int(mask.sum())
    if len(start) >= _ENOUGH_POINTS:
        projective, mask = cv2.findHomography(start, end, cv2.RANSAC, _TOLERANCE_PX)
        # The simpler one, unless perspective explains clearly more.
        if projective is not None and int(mask.sum()) > max(1.2 * agree, _ENOUGH_POINTS - 1):
            whole, agree = projective, int(mask.sum())
    if whole is None or agree < fewest:
        return None
    shift = _described(np.asarray(whole, np.float64), (view.height, view.width))
    sane = math.isfinite(shift.share) and 1 / _MOST_ZOOM <= shift.zoom <= _MOST_ZOOM
    return shift if sane else None


def _described(homography: F64Array, shape: tuple[int, int]) -> Shift:
    height, width = shape
    xs, ys = np.linspace(0, width, _GRID[0]), np.linspace(0, height, _GRID[1])
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    moved = _mapped(homography, grid)
    middle = np.array([[width / 2, height / 2]])
    near = middle + np.array([[0, 0], [1, 0], [0, 1]])
    centre, right, below = _mapped(homography, near)
    along, across = right - centre, below - centre
    area = float(along[0] * across[1] - along[1] * across[0])
    turn = math.degrees(math.atan2(along[1] - across[0], along[0] + across[1]))
    share = float(np.median(np.hypot(*(moved - grid).T))) / math.hypot(width, height)
    x, y = (centre - middle[0]).tolist()
    return Shift(homography, share, (x, y), turn, math.sqrt(area) if area > 0 else math.nan)


def _mapped(homography: F64Array, points: F64Array) -> F64Array:
    flat = np.column_stack([points, np.ones(len(points))]) @ homography.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(flat[:, :2] / flat[:, 2:], np.float64)


def _points(pairs: Sequence[Sequence[float]]) -> F32Array:
    return np.array(pairs, np.float32).reshape(-1, 2)
