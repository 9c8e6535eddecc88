"""How the ground plane is described in the configuration, and what is wrong with a description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.plugin import Options
from stages.count.fields import AnchorOption, Coordinate, Name, Position, Units, check_fraction, text
from stages.count.geometry import F64Array
from stages.count.ground.fit import LEAST_POINTS, MOST_POINTS, Method, fit_plane, rectangle_metres
from stages.count.ground.lens import Lens
from stages.count.ground.plane import Plane

Metres = Annotated[float, Field(gt=0, le=100_000)]

_NOMINAL = (1920, 1080)
"""Size of the picture for which fractions are checked before one is seen."""


class PointOptions(Options):
    """A point whose place is known.

    Attributes:
        at: (x, y) in the picture.
        metres: (x, y) on the ground, m: from any origin, with any axes at a right angle. Seen from above, y
            lies to the left of x, as on a map.
    """

    at: Position
    metres: Position


class RectangleOptions(Options):
    """A rectangle on the ground whose sides are known: a parking bay, four road markings, a container's foot.

    Attributes:
        corners: (x, y) in the picture, four of them, going around.
        sides_m: m from the first corner to the second, and from the second to the third.
    """

    corners: Annotated[tuple[Position, ...], Field(min_length=4, max_length=4)]
    sides_m: tuple[Metres, Metres]


class LensOptions(Options):
    """A lens that bends straight lines, by OpenCV's model (see `Lens`).

    Attributes:
        k1: radial; negative for a barrel, as wide angles have it.
        k2: radial, fourth order.
        p1: tangential.
        p2: tangential.
        k3: radial, sixth order.
        focal: focal length as a share of the picture's width, or px when the plane's `units` is px.
        centre: the optical axis; the picture's middle when left out.
    """

    k1: Coordinate = 0.0
    k2: Coordinate = 0.0
    p1: Coordinate = 0.0
    p2: Coordinate = 0.0
    k3: Coordinate = 0.0
    focal: Annotated[float, Field(gt=0)] | None = None
    centre: Position | None = None


class PlaneOptions(Options):
    """Where the ground lies in the picture: `points`, or a `rectangle`.

    Attributes:
        points: pairs of places, 4 to 100; more give a smaller and better known error.
        rectangle: one on the ground.
        units: `fraction` of the picture's width and height (0..1), or `px`.
        fit: `least_squares` takes all points, `ransac` leaves out what contradicts most others (6 or more).
        lens: its distortion.
        error_px: how exactly the points are marked in the picture (standard deviation), px.
        error_m: how exactly they are known on the ground, m.
    """

    points: (
        Annotated[tuple[PointOptions, ...], Field(min_length=LEAST_POINTS, max_length=MOST_POINTS)] | None
    ) = None
    rectangle: RectangleOptions | None = None
    units: Units = "fraction"
    fit: Method = "least_squares"
    lens: LensOptions | None = None
    error_px: Annotated[float, Field(gt=0, le=100)] = 2.0
    error_m: Annotated[float, Field(ge=0, le=100)] = 0.05

    @model_validator(mode="after")
    def _determined(self) -> Self:
        if (self.points is None) == (self.rectangle is None):
            raise ValueError(
                "give either points (4 or more) or a rectangle; `sightline calibrate` finds them"
            )
        for number, place in enumerate(self._places, 1):
            check_fraction(f"point {number}", place, self.units)
        if self.units == "fraction" or self.lens is None:  # a lens in pixels needs the picture's size
            self._fitted(*_NOMINAL)
        return self

    def plane(self, width: int, height: int) -> Plane:
        """Return the plane in a picture of this size.

        Raises:
            ConfigError: if a point lies outside the picture, or the points determine no plane.
        """
        for number, place in enumerate(self._places, 1):
            if self.units == "px" and not (0 <= place[0] <= width and 0 <= place[1] <= height):
                raise ConfigError(
                    f"ground: point {number} {text(place)} px lies outside the picture of "
                    f"{width} x {height} px; x must be within 0..{width}, y within 0..{height}"
                )
        try:
            return self._fitted(width, height)
        except ValueError as error:
            raise ConfigError(f"ground: {error}") from error

    @property
    def _places(self) -> Sequence[Position]:
        if self.rectangle is not None:
            return self.rectangle.corners
        return [point.at for point in self.points or ()]

    def _fitted(self, width: int, height: int) -> Plane:
        scale = np.array([width, height], np.float64) if self.units == "fraction" else np.ones(2)
        picture: F64Array = np.array(self._places, np.float64) * scale
        if self.rectangle is not None:
            corners = [(float(x), float(y)) for x, y in picture]
            metres = rectangle_metres(corners, self.rectangle.sides_m)
        else:
            metres = np.array([point.metres for point in self.points or ()], np.float64)
        plane = fit_plane(
            picture,
            metres,
            error_px=self.error_px,
            error_m=self.error_m,
            lens=self._lens(width, height),
            method=self.fit,
        )
        error = plane.scale_error()
        if not error < 1.0:
            worst, missed_px = plane.contradiction(self.error_px)
            if worst is not None:
                raise ValueError(
                    f"the points contradict each other, point {worst + 1} by {missed_px:.0f} px, so that "
                    "nothing can be measured; check its place and its metres"
                )
            raise ValueError(
                f"distances between the points are known to {100 * error:.0f} % only, so nothing can be "
                "measured; take points farther apart, in metres (not degrees), or say how exactly they are "
                "known (error_m, error_px)"
            )
        return plane

    def _lens(self, width: int, height: int) -> Lens | None:
        lens = self.lens
        if lens is None:
            return None
        across, down = (width, height) if self.units == "fraction" else (1, 1)
        focal = float(width) if lens.focal is None else lens.focal * across
        centre = (
            (width / 2, height / 2)
            if lens.centre is None
            else (lens.centre[0] * across, lens.centre[1] * down)
        )
        return Lens(focal, centre, (lens.k1, lens.k2, lens.p1, lens.p2, lens.k3))


class GroundOptions(PlaneOptions):
    """The ground plane, and how speeds are told from it.

    Attributes:
        anchor: the point of the box that stands on the ground: its name, or fractions of its sides.
        window_s: a speed is the mean over so many seconds of media time.
        localisation: how exactly a box's anchor is known, as a share of the box's size (the root of its
            area); standard deviation. Half a pixel is added.
        correlation_s: for how long a box errs in the same direction, s.
        max_error_kmh: a speed whose error (95 %) is larger than this and than `max_error_share` of the speed
            is not told: not measurable.
        max_error_share: see there.
        limit_kmh: faster than this is an event `object.speeding`; none when left out.
        labels: classes that the limit holds for; all when left out.
    """

    anchor: AnchorOption = "bottom_center"
    window_s: Annotated[float, Field(ge=0.2, le=10)] = 1.0
    localisation: Annotated[float, Field(ge=0, le=1)] = 0.08
    correlation_s: Annotated[float, Field(ge=0, le=10)] = 0.4
    max_error_kmh: Annotated[float, Field(gt=0)] = 5.0
    max_error_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    limit_kmh: Annotated[float, Field(gt=0)] | None = None
    labels: Annotated[frozenset[Name], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.labels is not None and self.limit_kmh is None:
            raise ValueError("labels choose for whom limit_kmh holds; give limit_kmh too, or leave them out")
        return self
