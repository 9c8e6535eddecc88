"""The plane that objects stand on: from pixels to metres and back, with the error of each answer.

A homography takes metres on the ground to the picture (Hartley and Zisserman, Multiple View Geometry, 2nd
edition, section 2.3). Errors are propagated to first order (same, section 5.2): that of the calibration,
which all points share, and that of where an object is seen in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array
from stages.count.ground.lens import Lens

_TRUSTED_DEPTH = 0.25
"""Largest relative error of a point's depth for which first-order propagation still holds (about 5 % off)."""

_Z95 = 1.960
_CONTRADICTION = 3.0


class Homography(NamedTuple):
    """A homography in well-scaled units: u = centre_px + scale_px * h(m), m = (metres - centre_m) / scale_m.

    Attributes:
        h: (8,) its elements by rows; the ninth is 1, so that the centre lies before the camera.
        centre_m: (2,) m.
        scale_m: m.
        centre_px: (2,) px.
        scale_px: px.
    """

    h: F64Array
    centre_m: F64Array
    scale_m: float
    centre_px: F64Array
    scale_px: float

    def matrix(self) -> F64Array:
        """Return the (3, 3) matrix from metres to px (without the lens's distortion)."""
        shrink = np.diag([1 / self.scale_m, 1 / self.scale_m, 1.0])
        shrink[:2, 2] = -self.centre_m / self.scale_m
        grow = np.diag([self.scale_px, self.scale_px, 1.0])
        grow[:2, 2] = self.centre_px
        return np.asarray(grow @ np.append(self.h, 1.0).reshape(3, 3) @ shrink)


class Reading(NamedTuple):
    """What N pixels say of the ground; NaN where they do not show it.

    Attributes:
        metres: (N, 2) m.
        by_px: (N, 2, 2) m per px: how the position moves with the point in the picture.
        by_fit: (N, 2, 8): how it moves with the calibration's parameters, whose covariance is
            `Plane.parameters`.
    """

    metres: F64Array
    by_px: F64Array
    by_fit: F64Array


@dataclass(frozen=True, eq=False)
class Plane:
    """A calibrated ground plane, made by `stages.count.ground.fit`.

    Attributes:
        homography: from metres to px of a camera without distortion.
        parameters: (8, 8) covariance of `homography.h`.
        lens: its distortion, None without.
        picture: (M, 2) px, the calibration's points.
        metres: (M, 2) m, the same on the ground.
        used: (M,) bool, False for those that a robust fit left out.
        error_px: standard deviation of the calibration's points, as their residuals tell it.
        mirrored: the metres are those of a mirror: seen from above, y lies clockwise of x by a right angle.
    """

    homography: Homography
    parameters: F64Array
    lens: Lens | None
    picture: F64Array
    metres: F64Array
    used: npt.NDArray[np.bool_]
    error_px: float

    @property
    def mirrored(self) -> bool:
        """Whether the given metres are mirrored, so that headings are too."""
        return bool(np.linalg.det(self.homography.matrix()) > 0)

    def residuals_px(self) -> F64Array:
        """Return (M, 2) px, by how much each of the calibration's points misses in the picture."""
        return self.to_pixels(self.metres) - self.picture

    def residuals_m(self) -> F64Array:
        """Return (M, 2) m, by how much each misses on the ground."""
        return self.read(self.picture).metres - self.metres

    def contradiction(self, error_px: float) -> tuple[int | None, float]:
        """Return which point misses most, and by how many px, where points contradict each other.

        None where they do not: they miss by no more than chance would have it.

        Args:
            error_px: the standard deviation that was stated.
        """
        missed_px = np.hypot(*self.residuals_px().T)
        worst = int(missed_px.argmax())
        is_one = len(missed_px) > 4 and self.error_px > _CONTRADICTION * error_px
        return (worst if is_one else None), float(missed_px[worst])

    def to_pixels(self, metres: F64Array) -> F64Array:
        """Return where the points (N, 2) m of the ground are seen, (N, 2) px; NaN behind the camera."""
        pixels, depth = project(self.homography, metres)
        pixels[depth <= 0] = np.nan
        return pixels if self.lens is None else self.lens.distorted(pixels)

    def read(self, points: F64Array) -> Reading:
        """Return what the points (N, 2) px of the picture show of the ground; NaN beyond the horizon."""
        straight = points if self.lens is None else self.lens.undistorted(points)
        ground = _lift(self.homography, straight)
        by_metres, by_h = derivatives(self.homography, ground)
        by_px = np.full_like(by_metres, np.nan)
        known = np.isfinite(ground).all(axis=1)
        by_px[known] = np.linalg.inv(by_metres[known])
        by_fit = -by_px @ by_h
        if self.lens is not None:
            bent = self.lens.slopes(straight)
            by_px[known] = by_px[known] @ np.linalg.inv(bent[known])
        return Reading(ground, by_px, by_fit)

    def to_metres(
        self, points: F64Array, error_px: float | npt.NDArray[np.floating] = 0.0
    ) -> tuple[F64Array, F64Array]:
        """Return where points of the picture lie on the ground, and how sure that is.

        Args:
            points: (N, 2) px.
            error_px: standard deviation with which they are known, of each direction; one for all, or (N,).

        Returns:
            (N, 2) m and the covariances (N, 2, 2) m^2 of calibration and point together; NaN where the ground
            is not seen.
        """
        reading = self.read(points)
        spread = reading.by_px * np.broadcast_to(error_px, len(points))[:, None, None]
        calibration = reading.by_fit @ self.parameters @ reading.by_fit.swapaxes(1, 2)
        return reading.metres, spread @ spread.swapaxes(1, 2) + calibration

    def is_measurable(
        self,
        points: F64Array,
        error_px: float | npt.NDArray[np.floating] = 1.0,
        max_error_m: float = 1.0,
    ) -> npt.NDArray[np.bool_]:
        """Return (N,) whether the ground at these points (N, 2) px is known to `max_error_m`.

        It is not beyond the horizon, where the lens's model ends, and where the standard deviation in the
        worst direction exceeds the limit.
        """
        metres, covariance = self.to_metres(points, error_px)
        known = np.isfinite(metres).all(axis=1)
        worst = np.full(len(points), np.inf)
        worst[known] = np.sqrt(np.linalg.eigvalsh(covariance[known])[:, -1].clip(min=0.0))
        return worst <= max_error_m

    def is_near_horizon(
        self, points: F64Array, error_px: float | npt.NDArray[np.floating]
    ) -> npt.NDArray[np.bool_]:
        """Return (N,) whether the horizon is so near that an error is no longer proportional to its cause."""
        straight = points if self.lens is None else self.lens.undistorted(points)
        backward = np.linalg.inv(self.homography.matrix())
        depth = straight @ backward[2, :2] + backward[2, 2]
        slope = float(np.hypot(*backward[2, :2]))
        with np.errstate(invalid="ignore"):
            return np.asarray(~(np.abs(depth) * _TRUSTED_DEPTH > slope * np.asarray(error_px)))

    def scale_error(self) -> float:
        """Return the relative error (95 %) of a distance in the middle of the points, in the worse direction.

        A speed is never known better than that.
        """
        middle, length = self.metres.mean(axis=0), float(np.ptp(self.metres, axis=0).max()) / 2
        worst = 0.0
        for way in np.eye(2):
            ends = np.array([middle - way * length / 2, middle + way * length / 2])
            by_fit = self.read(self.to_pixels(ends)).by_fit
            stretched = way @ (by_fit[1] - by_fit[0])
            worst = max(worst, float(_Z95 * np.sqrt(stretched @ self.parameters @ stretched) / length))
        return worst

    def area_m2(self, polygon: Sequence[tuple[float, float]]) -> float | None:
        """Return the area on the ground of a polygon given in px, None when it is not all on the ground."""
        corners = self.read(np.asarray(polygon, np.float64)).metres
        if not np.isfinite(corners).all():
            return None
        x, y = corners.T
        return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def project(homography: Homography, metres: F64Array) -> tuple[F64Array, F64Array]:
    """Return (N, 2) px and the depths (N,), positive before the camera."""
    matrix = np.append(homography.h, 1.0).reshape(3, 3)
    scaled = (metres - homography.centre_m) / homography.scale_m
    sight = scaled @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = sight[:, :2] / sight[:, 2:] * homography.scale_px + homography.centre_px
    return pixels, sight[:, 2]


def _lift(homography: Homography, pixels: F64Array) -> F64Array:
    """Return (N, 2) m; NaN beyond the horizon."""
    matrix = np.linalg.inv(np.append(homography.h, 1.0).reshape(3, 3))
    scaled = (pixels - homography.centre_px) / homography.scale_px
    sight = scaled @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = sight[:, :2] / sight[:, 2:] * homography.scale_m + homography.centre_m
        ground[~(sight[:, 2] > 0)] = np.nan  # it is one over the depth
    return ground


def derivatives(homography: Homography, metres: F64Array) -> tuple[F64Array, F64Array]:
    """Return how pixels move with the ground's points, (N, 2, 2) px/m, and with `h`, (N, 2, 8) px."""
    h = homography.h
    x, y = ((metres - homography.centre_m) / homography.scale_m).T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = h[6] * x + h[7] * y + 1.0
        u, v = (h[0] * x + h[1] * y + h[2]) / depth, (h[3] * x + h[4] * y + h[5]) / depth
        by_metres = np.array([[h[0] - u * h[6], h[1] - u * h[7]], [h[3] - v * h[6], h[4] - v * h[7]]]) / depth
        none, one = np.zeros_like(x), np.ones_like(x)
        by_h = (
            np.array(
                [
                    [x, y, one, none, none, none, -u * x, -u * y],
                    [none, none, none, x, y, one, -v * x, -v * y],
                ]
            )
            / depth
        )
    scale = homography.scale_px
    return (
        np.moveaxis(by_metres, 2, 0) * (scale / homography.scale_m),
        np.moveaxis(by_h, 2, 0) * scale,
    )
