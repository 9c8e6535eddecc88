"""Where things lie in the street, and where the camera sees them.

World: x in metres along the street (right is positive, 0 is the middle of the picture), z in metres away
from the camera along the ground. The camera hangs at a first-floor window of the near side and looks across.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Metres = TypeVar("Metres", float, npt.NDArray[np.float64])
"""One distance, or an array of them."""

NEAR_KERB_Z = 16.0
FAR_KERB_Z = 27.8
FACADE_Z = 31.0
ZEBRA_X = (-9.4, -6.6)

SHADOW_SLANT = (0.62, 0.10)
"""Where the shadow of a point one metre up lies: right and down, in metres of the picture."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane between `near_z` and `far_z`.

    Attributes:
        near_z: its edge on the camera's side.
        far_z: its other edge.
        z: where the wheels on the camera's side roll.
        heading: +1 when traffic moves to the right, -1 to the left.
    """

    near_z: float
    far_z: float
    z: float
    heading: int

    @property
    def stop_x(self) -> float:
        """Where a car's nose waits for people on the zebra crossing."""
        return ZEBRA_X[0] - 1.0 if self.heading > 0 else ZEBRA_X[1] + 1.0


LANES = (
    Lane(near_z=16.0, far_z=19.5, z=17.0, heading=1),
    Lane(near_z=19.5, far_z=23.6, z=20.8, heading=-1),
    Lane(near_z=23.6, far_z=27.8, z=24.9, heading=-1),
)


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera whose verticals stay vertical, so that an object's size depends on its z alone.

    Attributes:
        width: of the picture, px.
        height: of the picture, px.
    """

    width: int
    height: int

    _FOCAL = 430 / 360
    _HORIZON = -4 / 360
    _EYE_M = 11.0

    def scale(self, z: Metres) -> Metres:
        """Return the px a metre takes at distance `z`."""
        return self._FOCAL * self.height / z

    def x_px(self, x: Metres, z: Metres) -> Metres:
        """Return the picture's x of a point at (x, z)."""
        return self.width / 2 + x * self.scale(z)

    def y_px(self, z: Metres) -> Metres:
        """Return the picture's y of the ground at distance `z`."""
        return self._HORIZON * self.height + self._EYE_M * self.scale(z)

    def nearest_z(self) -> float:
        """Return the distance of the ground at the lower border of the picture."""
        return self._EYE_M * self._FOCAL / (1 - self._HORIZON)

    def half_view_m(self, z: float) -> float:
        """Return half the length of street that is seen at distance `z`."""
        return self.width / 2 / self.scale(z)
