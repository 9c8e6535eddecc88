"""Finds the ground plane from points whose places both in the picture and on the ground are known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array
from stages.count.ground.lens import Lens
from stages.count.ground.plane import Homography, Plane, derivatives, project

Method = Literal["least_squares", "ransac"]

LEAST_POINTS, MOST_POINTS = 4, 100
LEAST_FOR_RANSAC = 6
APART_PX = 3.0
"""How far points must lie from each other, and from the line through two others."""

_PRIOR_FREEDOM = 4.0
"""The stated error counts like so many residuals when the true one is estimated."""

_OUTLIER = 3.0
_IMPOSSIBLE = (
    "no camera sees a plane so: the points' order in the picture and on the ground differ; "
    "a rectangle's corners go around it, and two pairs may be swapped"
)


def fit_plane(
    picture: F64Array,
    metres: F64Array,
    *,
    error_px: float = 2.0,
    error_m: float = 0.05,
    lens: Lens | None = None,
    method: Method = "least_squares",
) -> Plane:
    """Fit the ground plane to four or more pairs of points.

    Minimises the weighted squared distances in the picture, from a linear start (Hartley and Zisserman,
    sections 4.1 and 4.5). The covariance of the result is that of weighted least squares, scaled by what the
    residuals say of the stated errors.

    Args:
        picture: (M, 2) px, where the points are seen.
        metres: (M, 2) m, where they lie on the ground, in any right-angled axes.
        error_px: standard deviation of `picture`, of each direction.
        error_m: standard deviation of `metres`, of each direction.
        lens: its distortion.
        method: `ransac` leaves out pairs that contradict most others; it needs six.

    Raises:
        ValueError: if the points do not determine a plane, or none that a camera sees from above.
    """
    picture, metres = np.asarray(picture, np.float64), np.asarray(metres, np.float64)
    _refuse_undetermined(picture, metres)
    seen = picture if lens is None else lens.undistorted(picture)
    if not np.isfinite(seen).all():
        number = 1 + int(np.flatnonzero(~np.isfinite(seen).all(axis=1))[0])
        raise ValueError(
            f"point {number} lies where the lens's coefficients turn the picture back; check them"
        )
    used = (
        _consistent(seen, metres, error_px, error_m) if method == "ransac" else np.ones(len(seen), np.bool_)
    )
    homography, parameters, scale = _fitted(seen[used], metres[used], error_px, error_m)
    _, depth = project(homography, metres[used])
    if (depth <= 0).any():
        raise ValueError(_IMPOSSIBLE)
    return Plane(homography, parameters, lens, picture, metres, used, error_px * scale)


def _refuse_undetermined(picture: F64Array, metres: F64Array) -> None:
    number = len(picture)
    if not LEAST_POINTS <= number <= MOST_POINTS:
        raise ValueError(f"a plane needs {LEAST_POINTS} to {MOST_POINTS} pairs of points, got {number}")
    if not (np.isfinite(picture).all() and np.isfinite(metres).all()):
        raise ValueError("points must be finite numbers")
    extent_m = float(np.ptp(metres, axis=0).max())
    # On the ground as exact as in the picture, where the points fill a part of it.
    apart_m = APART_PX * extent_m / max(float(np.ptp(picture, axis=0).max()), APART_PX)
    for points, apart, where, unit in (
        (picture, APART_PX, "in the picture", "px"),
        (metres, apart_m, "on the ground", "m"),
    ):
        for i, j in combinations(range(number), 2):
            distance = float(np.hypot(*(points[i] - points[j])))
            if distance < apart or distance == 0:
                raise ValueError(
                    f"points {i + 1} and {j + 1} are {distance:.2g} {unit} apart {where}; "
                    "take different places"
                )
        line = _line_of_most(points, apart)
        if len(line) >= number - 1:
            listed = ", ".join(str(index + 1) for index in line[:-1]) + f" and {line[-1] + 1}"
            raise ValueError(
                f"points {listed} lie in a line {where}, so that they tell nothing of what is beside it; "
                f"take {LEAST_POINTS} of which no three are in a line"
            )


def _line_of_most(points: F64Array, apart: float) -> list[int]:
    """Return the indices of the most points in a line: within `apart` of the line through two of them."""
    best: list[int] = []
    for i, j in combinations(range(len(points)), 2):
        along = (points[j] - points[i]) / np.hypot(*(points[j] - points[i]))
        off = (points - points[i]) @ np.array([-along[1], along[0]])
        near = np.flatnonzero(np.abs(off) < apart).tolist()
        if len(near) > len(best):
            best = near
    return best


def _consistent(seen: F64Array, metres: F64Array, error_px: float, error_m: float) -> npt.NDArray[np.bool_]:
    """Return (M,) which pairs agree with most others (Fischler and Bolles 1981)."""
    if len(seen) < LEAST_FOR_RANSAC:
        raise ValueError(f"fit: ransac needs {LEAST_FOR_RANSAC} pairs of points or more, got {len(seen)}")
    spacing = float(np.ptp(seen, axis=0).max() / np.ptp(metres, axis=0).max())  # px per m, about
    limit_px = _OUTLIER * float(np.hypot(error_px, error_m * spacing))
    _, mask = cv2.findHomography(metres, seen, cv2.RANSAC, limit_px, maxIters=10_000, confidence=0.9999)
    used = np.zeros(len(seen), np.bool_) if mask is None else mask.ravel().astype(np.bool_)
    if used.sum() < max(LEAST_POINTS + 1, len(seen) / 2):
        raise ValueError(
            f"only {int(used.sum())} of {len(seen)} pairs of points agree with one plane; "
            "check their order and units"
        )
    _refuse_undetermined(seen[used], metres[used])
    return used


def _fitted(
    seen: F64Array, metres: F64Array, error_px: float, error_m: float
) -> tuple[Homography, F64Array, float]:
    """Return the homography, the (8, 8) covariance of its `h`, and how much larger than stated errors are."""
    centre_m, centre_px = metres.mean(axis=0), seen.mean(axis=0)
    scale_m = float(np.sqrt(((metres - centre_m) ** 2).sum(axis=1).mean()))
    scale_px = float(np.sqrt(((seen - centre_px) ** 2).sum(axis=1).mean()))
    start, _ = cv2.findHomography((metres - centre_m) / scale_m, (seen - centre_px) / scale_px, 0)
    if start is None or abs(start[2, 2]) < 1e-9:
        raise ValueError(_IMPOSSIBLE)
    h = (start / start[2, 2]).ravel()[:8]

    def made(values: F64Array) -> Homography:
        return Homography(values, centre_m, scale_m, centre_px, scale_px)

    def whitened(values: F64Array, block: F64Array) -> F64Array:
        # An error on the ground shows in the picture larger the nearer it is.
        by_metres, _ = derivatives(made(values), metres)
        covariance = error_px**2 * np.eye(2) + error_m**2 * by_metres @ by_metres.swapaxes(1, 2)
        return np.asarray(np.linalg.solve(np.linalg.cholesky(covariance), block))

    from scipy.optimize import least_squares  # 35 MB, where there is a ground to fit

    for _ in range(2):
        weigh_at = h

        def misses(values: F64Array, at: F64Array = weigh_at) -> F64Array:
            pixels, _ = project(made(values), metres)
            return whitened(at, (pixels - seen)[..., None]).ravel()

        def slopes(values: F64Array, at: F64Array = weigh_at) -> F64Array:
            return whitened(at, derivatives(made(values), metres)[1]).reshape(-1, 8)

        h = least_squares(misses, h, jac=slopes, method="lm").x
    chi2 = float((misses(h) ** 2).sum())
    freedom = 2 * len(seen) - 8
    scale2 = (_PRIOR_FREEDOM + chi2) / (_PRIOR_FREEDOM + freedom)
    information = slopes(h).T @ slopes(h)
    return made(h), np.asarray(np.linalg.inv(information) * scale2, np.float64), float(np.sqrt(scale2))


def rectangle_metres(corners: Sequence[tuple[float, float]], sides_m: tuple[float, float]) -> F64Array:
    """Return where a rectangle's corners lie on the ground, (4, 2) m.

    The first corner is the origin, the second lies on the x axis at `sides_m[0]`, and the third and fourth
    lie `sides_m[1]` beside it: in +y where the camera sees them to the left of the way from the first to the
    second, in -y where it sees them to the right.

    Args:
        corners: four, px, going around the rectangle either way.
        sides_m: lengths of the sides from the first to the second corner and from the second to the third.
    """
    (ax, ay), (bx, by), (cx, cy) = corners[:3]
    clockwise = (bx - ax) * (cy - by) - (by - ay) * (cx - bx) > 0  # y goes down in the picture
    length, width = sides_m
    y = -width if clockwise else width
    return np.array([[0.0, 0.0], [length, 0.0], [length, y], [0.0, y]])
