"""How what is seen moves, as vectors at points of the picture: the optical flow of one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class MotionField:
    """The optical flow from an earlier picture to a frame's own, on the media clock.

    Points whose motion could not be told (plain, hidden, gone) are left out, and those that stand are in it.

    Attributes:
        points: (N, 2) float32 (x, y) px of the full picture, where they are now.
        velocity: (N, 2) float32 px/s, x to the right, y down.
        dt_s: media seconds since the earlier picture, > 0.
        spacing_px: about how far neighbouring points are apart in the full picture.

    Raises:
        ValueError: if a shape does not fit, a number is not finite, or no time has passed.
    """

    points: F32Array
    velocity: F32Array
    dt_s: float
    spacing_px: float

    def __post_init__(self) -> None:
        for name in ("points", "velocity"):
            column = np.asarray(getattr(self, name), np.float32)
            if column.ndim != 2 or column.shape[1] != 2:
                raise ValueError(f"{name} must have shape (N, 2), got {column.shape}")
            if not np.isfinite(column).all():
                raise ValueError(f"{name} must be finite")
            object.__setattr__(self, name, column)
        if len(self.points) != len(self.velocity):
            raise ValueError(f"{len(self.points)} points cannot have {len(self.velocity)} velocities")
        if not self.dt_s > 0:
            raise ValueError(f"motion needs time: dt_s must be above 0, got {self.dt_s}")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def speed(self) -> F32Array:
        """(N,) float32 px/s."""
        return np.asarray(np.hypot(*self.velocity.T), np.float32)

    @property
    def origins(self) -> F32Array:
        """(N, 2) float32 px, where the points were in the earlier picture."""
        return np.asarray(self.points - self.velocity * np.float32(self.dt_s), np.float32)
