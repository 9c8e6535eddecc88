"""Zones of the picture: polygons of the configuration, and how much of what is in them moves where to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.frame import Area
from pipeline.motion import MotionField
from pipeline.plugin import Options, StreamInfo
from stages.vision.polygon import area, crosses_itself, inside

MAX_CORNERS = 100
SMALLEST_ZONE = 1e-4
"""Share of the picture's area."""

_TOWARDS = ("right", "down", "left", "up")
"""Quarters of the circle, around 0, 90, 180 and 270 degrees clockwise from the right."""


class ZoneOptions(Options):
    """A polygon.

    Attributes:
        polygon: the (x, y) of at least three corners; the sides must not cross each other.
        units: `fraction` of the picture's width and height (0..1), or `px`.
    """

    polygon: Annotated[tuple[tuple[float, float], ...], Field(min_length=3, max_length=MAX_CORNERS)]
    units: Literal["fraction", "px"] = "fraction"

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.units == "fraction" and not all(0 <= v <= 1 for corner in self.polygon for v in corner):
            raise ValueError("corners must lie within 0..1 (of width and height); for pixels set units: px")
        if crosses_itself(self.polygon):
            raise ValueError("the sides of the polygon cross each other; give its corners in order around it")
        return self

    def laid(self, name: str, info: StreamInfo) -> Area:
        """Return the corners in px of a stream's picture.

        Raises:
            ConfigError: if a corner lies outside the picture, or next to nothing in the polygon.
        """
        scale = (float(info.width), float(info.height)) if self.units == "fraction" else (1.0, 1.0)
        corners = tuple((x * scale[0], y * scale[1]) for x, y in self.polygon)
        size = f"the picture of {info.width} x {info.height} px"
        for x, y in corners:
            if not (0 <= x <= info.width and 0 <= y <= info.height):
                raise ConfigError(f"zone '{name}': corner ({x:g}, {y:g}) px lies outside {size}")
        if area(corners) < SMALLEST_ZONE * info.width * info.height:
            remedy = "draw it larger" if self.units == "fraction" else "for fractions set units: fraction"
            raise ConfigError(f"zone '{name}': it covers only {area(corners):.3g} px² of {size}; {remedy}")
        return corners


@dataclass(slots=True)
class ZoneMotion:
    """What moved in one zone since the last report; sums over media time, so the frame rate plays no part.

    Args:
        polygon: px of the full picture.
        min_speed_px_s: what is slower stands.
    """

    polygon: Area
    min_speed_px_s: float
    seconds: float = 0.0
    _seen_s: float = 0.0
    _possible_s: float = 0.0
    _moving_s: float = 0.0
    _speed: float = 0.0
    _velocity: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    _towards: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(_TOWARDS)))

    def add(self, motion: MotionField, possible: int) -> None:
        """Take the flow of one picture.

        Args:
            motion: the whole picture's.
            possible: how many points of the zone might have been followed, with those that were not.
        """
        dt_s = motion.dt_s
        rows = inside(motion.points, self.polygon)
        self.seconds += dt_s
        self._possible_s += possible * dt_s
        self._seen_s += int(rows.sum()) * dt_s
        velocity = motion.velocity[rows].astype(np.float64)
        velocity = velocity[np.hypot(*velocity.T) >= self.min_speed_px_s]
        self._moving_s += len(velocity) * dt_s
        self._speed += float(np.hypot(*velocity.T).sum()) * dt_s
        self._velocity += velocity.sum(axis=0) * dt_s
        quarter = np.rint(np.arctan2(velocity[:, 1], velocity[:, 0]) / (math.pi / 2)).astype(np.int64) % 4
        self._towards += np.bincount(quarter, minlength=4) * dt_s

    def report(self) -> dict[str, Any]:
        """Return the figures as an event's data and begin anew."""
        moves, speed = self._moving_s > 0, self._speed
        x, y = self._velocity.tolist()
        drift = math.hypot(x, y)
        data = {
            "seconds": round(self.seconds, 3),
            "moving_share": round(self._moving_s / self._seen_s, 4) if self._seen_s else None,
            "seen_share": round(min(self._seen_s / self._possible_s, 1.0), 4) if self._possible_s else 0.0,
            "speed_px_s": round(speed / self._moving_s, 2) if moves else None,
            "direction_deg": round(math.degrees(math.atan2(y, x)) % 360, 1) if moves and drift > 0 else None,
            "agreement": round(drift / speed, 4) if moves else None,
            "towards": {
                name: round(share / self._moving_s, 4) if moves else 0.0
                for name, share in zip(_TOWARDS, self._towards.tolist(), strict=True)
            },
        }
        self.seconds = self._seen_s = self._possible_s = self._moving_s = self._speed = 0.0
        self._velocity[:] = 0
        self._towards[:] = 0
        return data
