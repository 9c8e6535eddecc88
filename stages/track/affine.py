"""Affine maps between the pixels of two pictures: applied to points, boxes and filter states, and fitted.

A map is a (2, 3) float64 array [A | t] that takes a column (x, y) to A (x, y) + t. The maps of a camera are
similarities, where A is a rotation times a zoom; the functions take any A with a positive determinant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray

BoolArray = npt.NDArray[np.bool_]

# A turn or zoom that the fit cannot tell from none, at three standard errors, is none.
_SURE = 3.0
# A picture that shrinks more from one frame to the next is a mistake of whoever estimated it.
_MIN_ZOOM = 1e-3
# Two points fix a similarity; with fewer than this many more, agreement is luck.
_MIN_POINTS = 4


def identity() -> FloatArray:
    """Return the map that changes nothing."""
    return np.eye(2, 3)


def is_identity(affine: FloatArray, tolerance: float = 0.0) -> bool:
    """Return whether no coefficient is further than `tolerance` from the identity's."""
    return bool((np.abs(affine - np.eye(2, 3)) <= tolerance).all())


def checked_camera(camera: npt.ArrayLike) -> FloatArray:
    """Return a camera's motion as a (2, 3) float64 map.

    Raises:
        ValueError: if it is no finite (2, 3) array that can be undone.
    """
    affine = np.asarray(camera, np.float64)
    if affine.shape != (2, 3) or not np.isfinite(affine).all() or zoom(affine) < _MIN_ZOOM:
        raise ValueError(f"the camera's motion must be an invertible (2, 3) affine, got {affine.tolist()}")
    return affine


def zoom(affine: FloatArray) -> float:
    """Return by how much the map scales lengths: the root of its determinant; exact for similarities."""
    return math.sqrt(abs(affine[0, 0] * affine[1, 1] - affine[0, 1] * affine[1, 0]))


def compose(first: FloatArray, then: FloatArray) -> FloatArray:
    """Return the map that does `first` and `then` after it."""
    composed: FloatArray = then[:, :2] @ first
    composed[:, 2] += then[:, 2]
    return composed


def invert(affine: FloatArray) -> FloatArray:
    """Return the map that undoes `affine`.

    Raises:
        ValueError: if it cannot be undone, because its determinant is 0.
    """
    (a, b, x), (c, d, y) = affine.tolist()
    determinant = a * d - b * c
    if determinant == 0:
        raise ValueError(f"the affine map {affine.tolist()} flattens the picture and has no inverse")
    back: FloatArray = np.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]]) / determinant
    return back


def warp_points(points: npt.NDArray[np.number], affine: FloatArray) -> FloatArray:
    """Return the (N, 2) points (x, y) where the map puts them."""
    warped: FloatArray = np.asarray(points, np.float64) @ affine[:, :2].T + affine[:, 2]
    return warped


def warp_boxes(xyxy: npt.NDArray[np.floating], affine: FloatArray) -> FloatArray:
    """Return the (N, 4) boxes where the map puts them: the centre moves, width and height are zoomed.

    A turn does not tilt or widen a box, since objects stay about as wide and high in the picture. The hull
    of the turned corners would grow at each frame.
    """
    boxes = np.asarray(xyxy, np.float64)
    centre = warp_points((boxes[:, :2] + boxes[:, 2:]) / 2, affine)
    half = (boxes[:, 2:] - boxes[:, :2]) * (zoom(affine) / 2)
    return np.concatenate([centre - half, centre + half], axis=1)


def warp_xyah_state(state: FloatArray, affine: FloatArray) -> FloatArray:
    """Return the (5, N, 4) filter states of (u, v, a, h) in the pixels of the other picture.

    Centre and velocity go through the map, height and its velocity are zoomed, the aspect ratio stays; the
    variances follow. Two things are neglected: as in `warp_boxes`, a turn leaves a box upright; and where
    the variances of u and v differ, a turn by r would couple u with v by sin(r) cos(r) of the difference,
    which a filter with independent components cannot hold. `kalman.ConstantVelocity` keeps both equal, so
    there nothing is lost.

    Args:
        state: rows position, velocity, variance, covariance, velocity variance; see `kalman`.
        affine: from the pixels the states are in to those wanted.
    """
    matrix, scale = affine[:, :2], zoom(affine)
    warped: FloatArray = state.copy()
    warped[:2, :, :2] = state[:2, :, :2] @ matrix.T
    warped[0, :, :2] += affine[:, 2]
    warped[2:, :, :2] = state[2:, :, :2] @ np.square(matrix).T
    warped[:2, :, 3] *= scale
    warped[2:, :, 3] *= scale * scale
    return warped


def largest_shift(affine: FloatArray, width: float, height: float) -> float:
    """Return how far, in px, the map moves that corner of a picture which it moves furthest.

    No point of the picture is moved further.
    """
    corners = np.array([[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]])
    return float(np.hypot(*(warp_points(corners, affine) - corners).T).max())


@dataclass(frozen=True, slots=True)
class SimilarityFit:
    """A similarity fitted to pairs of points.

    Attributes:
        affine: (2, 3) the map.
        inliers: (N,) the pairs that agree with it.
        shift_error: standard error, px, of what it does to the inliers' centre.
        linear_error: standard error of its zoom and, in radians, its turn.
    """

    affine: FloatArray
    inliers: BoolArray
    shift_error: float
    linear_error: float


def fit_similarity(
    source: npt.NDArray[np.number], target: FloatArray, use: BoolArray, within: float
) -> SimilarityFit | None:
    """Return the similarity on which most pairs agree, or None when no four of them do.

    Random sampling (Fischler and Bolles, 1981) finds those that agree, least squares fits them. OpenCV's
    sampler starts from one fixed seed at each call, so equal pairs give equal bytes, in any thread.

    Args:
        source: (N, 2) points (x, y) in one picture.
        target: (N, 2) where they are in the other.
        use: (N,) which pairs to look at.
        within: how far from the map, in px, a pair still agrees.
    """
    if use.sum() < _MIN_POINTS:
        return None
    # OpenCV's stubs do not know that there may be no answer.
    rough: object = cv2.estimateAffinePartial2D(
        np.asarray(source[use], np.float64),
        np.asarray(target[use], np.float64),
        method=cv2.RANSAC,
        ransacReprojThreshold=within,
        refineIters=0,
    )[0]
    if rough is None:
        return None
    affine = np.asarray(rough, np.float64)
    for _ in range(2):
        inliers = use & (np.hypot(*(warp_points(source, affine) - target).T) <= within)
        if inliers.sum() < _MIN_POINTS:
            return None
        fit = fit_all(source, target, inliers)
        affine = fit.affine
    return fit


def fit_all(source: npt.NDArray[np.number], target: FloatArray, use: BoolArray) -> SimilarityFit:
    """Return the least-squares similarity of the pairs in `use`, at least two of them.

    In complex numbers it is w = c z + t. A turn and zoom within three standard errors of none is left out,
    so that what few points or a small part of the picture show does not swing its far corners.
    """
    z, w = _complex(source[use]), _complex(target[use])
    centre, goal = z.mean(), w.mean()
    z, w = z - centre, w - goal
    power = max(float(np.vdot(z, z).real), 1e-12)
    linear = np.vdot(z, w) / power
    residual = w - linear * z
    # Two real numbers in each pair, four parameters.
    spare = max(2 * len(z) - 4, 1)
    variance = float(np.vdot(residual, residual).real) / spare
    linear_error = math.sqrt(variance / power)
    if abs(linear - 1) <= _SURE * linear_error:
        linear = np.complex128(1.0)
    shift = goal - linear * centre
    affine = np.array([[linear.real, -linear.imag, shift.real], [linear.imag, linear.real, shift.imag]])
    return SimilarityFit(affine, use, math.sqrt(variance / len(z)), linear_error)


def _complex(points: npt.NDArray[np.number]) -> npt.NDArray[np.complex128]:
    xy = np.ascontiguousarray(points, np.float64)
    numbers: npt.NDArray[np.complex128] = xy.view(np.complex128)[:, 0]
    return numbers
