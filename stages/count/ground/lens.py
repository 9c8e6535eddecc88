"""Lens distortion: where a straight-line camera would have seen a point, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.count.geometry import F64Array

_STEPS = 20
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Lens:
    """A lens by the model of Brown (1966) and Conrady (1919), with OpenCV's coefficients in OpenCV's order.

    With (x, y) = (point - centre) / focal and r^2 = x^2 + y^2, a point that a camera without distortion
    sees at (x, y) is seen at

        x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2), and likewise for y.

    Attributes:
        focal_px: focal length, px.
        centre: (x, y) px of the optical axis.
        coefficients: k1, k2, p1, p2, k3.
    """

    focal_px: float
    centre: tuple[float, float]
    coefficients: tuple[float, float, float, float, float]

    def distorted(self, points: F64Array) -> F64Array:
        """Return where the lens shows the points (N, 2) px of a camera without distortion, (N, 2) px."""
        return self._bent((points - self.centre) / self.focal_px) * self.focal_px + self.centre

    def undistorted(self, points: F64Array) -> F64Array:
        """Return where a camera without distortion sees the points (N, 2) px of the picture, (N, 2) px.

        NaN where there is no answer: farther out than the coefficients hold, where the model turns back.
        """
        seen = (points - self.centre) / self.focal_px
        straight = seen.copy()
        with np.errstate(all="ignore"):  # what runs away becomes NaN below
            for _ in range(_STEPS):
                miss = self._bent(straight) - seen
                straight = straight - np.linalg.solve(self._slopes(straight), miss[..., None])[..., 0]
                if np.nanmax(np.abs(miss), initial=0.0) < _SAME:
                    break
            slopes = self._slopes(straight)
            found = np.abs(self._bent(straight) - seen).max(axis=1, initial=0.0) < 1e-6
            found &= (np.linalg.det(slopes) > 0) & (np.trace(slopes, axis1=1, axis2=2) > 0)
        straight[~found] = np.nan
        return straight * self.focal_px + self.centre

    def slopes(self, points: F64Array) -> F64Array:
        """Return (N, 2, 2), how `distorted` moves with its points (N, 2) px."""
        return self._slopes((points - self.centre) / self.focal_px)

    def _bent(self, points: F64Array) -> F64Array:
        k1, k2, p1, p2, k3 = self.coefficients
        x, y = points[:, 0], points[:, 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.column_stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ]
        )

    def _slopes(self, points: F64Array) -> F64Array:
        k1, k2, p1, p2, k3 = self.coefficients
        x, y = points[:, 0], points[:, 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        steeper = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))  # of the radial factor, by x: times x
        slopes = np.empty((len(points), 2, 2))
        slopes[:, 0, 0] = radial + x * x * steeper + 2 * p1 * y + 6 * p2 * x
        slopes[:, 1, 1] = radial + y * y * steeper + 6 * p1 * y + 2 * p2 * x
        slopes[:, 0, 1] = slopes[:, 1, 0] = x * y * steeper + 2 * p1 * x + 2 * p2 * y
        return slopes
