"""Cameras whose ground plane is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.count.geometry import F64Array
from stages.count.ground.lens import Lens

WIDTH, HEIGHT = 1280, 720


@dataclass(frozen=True)
class TrueCamera:
    """A pinhole camera at `height_m` over the ground's origin, that looks along +y and down by `tilt_deg`."""

    height_m: float = 6.0
    tilt_deg: float = 12.0
    focal_px: float = 1000.0
    lens: Lens | None = None

    def pixels(self, metres: F64Array) -> F64Array:
        """(N, 2) m on the ground -> (N, 2) px; only for what lies before the camera."""
        tilt = np.radians(self.tilt_deg)
        x, y = np.asarray(metres, np.float64).T
        depth = y * np.cos(tilt) + self.height_m * np.sin(tilt)
        down = self.height_m * np.cos(tilt) - y * np.sin(tilt)
        assert (depth > 0).all()
        straight = np.column_stack([x, down]) / depth[:, None] * self.focal_px + (WIDTH / 2, HEIGHT / 2)
        return straight if self.lens is None else self.lens.distorted(straight)

    @property
    def horizon_y(self) -> float:
        return HEIGHT / 2 - self.focal_px * float(np.tan(np.radians(self.tilt_deg)))


LANE = np.array([[-3.0, 10.0], [3.0, 10.0], [3.0, 30.0], [-3.0, 30.0]])
"""A rectangle on the ground, m."""
