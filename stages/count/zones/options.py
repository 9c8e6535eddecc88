"""What can be said of a zone and of what is told of it, and laying it into a picture of known size."""

from __future__ import annotations

from math import hypot
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.errors import ConfigError
from pipeline.plugin import Options, StreamInfo
from stages.count.fields import (
    AnchorOption,
    Position,
    Seconds,
    Units,
    check_fraction,
    check_inside,
    text,
    to_px,
)
from stages.count.filters import FilterOptions
from stages.count.geometry import Point
from stages.count.zones.region import Region, Ring
from stages.count.zones.situations import (
    CrowdOptions,
    DwellOptions,
    LoiteringOptions,
    OccupancyOptions,
    QueueOptions,
    StoppedOptions,
    TailgatingOptions,
    WrongWayOptions,
)
from stages.vision.polygon import area, crosses_itself, inside, meet

MAX_CORNERS = 100
MAX_HOLES = 20
SMALLEST_ZONE = 1e-4
"""Share of the picture's area."""

Corners = Annotated[tuple[Position, ...], Field(max_length=MAX_CORNERS + 1)]
Polygon = Annotated[Corners, Field(min_length=3)]


class AreaOptions(Options):
    """A polygon in the picture, with or without holes.

    Attributes:
        polygon: the (x, y) of at least three corners in order around it; the sides must not cross.
        holes: polygons within it that do not belong to it.
        units: `fraction` of the picture's width and height (0..1), or `px`.
    """

    polygon: Polygon
    holes: Annotated[tuple[Polygon, ...], Field(max_length=MAX_HOLES)] = ()
    units: Units = "fraction"

    @field_validator("polygon", mode="after")
    @classmethod
    def _open_ring(cls, ring: Ring) -> Ring:
        return _open(ring)

    @field_validator("holes", mode="after")
    @classmethod
    def _open_rings(cls, rings: tuple[Ring, ...]) -> tuple[Ring, ...]:
        return tuple(_open(ring) for ring in rings)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for what, ring in self.rings():
            for corner in ring:
                check_fraction(f"corner of {what}", corner, self.units)
            if len(set(ring)) < 3:
                raise ValueError(f"{what} needs at least three different corners, got {len(set(ring))}")
            repeated = [corner for i, corner in enumerate(ring) if corner == ring[i - 1]]
            if repeated:
                raise ValueError(f"{what} has the corner {text(repeated[0])} twice in a row; once is enough")
            if crosses_itself(ring) or _folds_back(ring):
                raise ValueError(f"the sides of {what} cross each other; give its corners in order around it")
        for number, hole in enumerate(self.holes, start=1):
            others = [("the polygon", self.polygon), *self.rings()[number + 1 :]]
            for what, ring in others:
                if meet(hole, ring):
                    raise ValueError(f"hole {number} crosses {what}; a hole must lie within the polygon")
            if not inside(np.array(hole), self.polygon).all():
                raise ValueError(f"hole {number} lies outside the polygon")
        return self

    def rings(self) -> list[tuple[str, Ring]]:
        """Return what is drawn, each with what to call it."""
        holes = [(f"hole {number}", hole) for number, hole in enumerate(self.holes, start=1)]
        return [("the polygon", self.polygon), *holes]

    def laid(self, where: str, info: StreamInfo) -> Region:
        """Return it in px of a stream's picture.

        Args:
            where: what to call it in errors, "zone 'till'".
            info: tells the picture's size.

        Raises:
            ConfigError: if a corner lies outside the picture, or next to nothing in the polygon.
        """
        rings: list[Ring] = []
        for _, ring in self.rings():
            corners = tuple(to_px(corner, self.units, info) for corner in ring)
            for corner in corners:
                check_inside(where, "corner", corner, info)
            rings.append(corners)
        covered = area(rings[0]) - sum(area(hole) for hole in rings[1:])
        if covered < SMALLEST_ZONE * info.width * info.height:
            remedy = "draw it larger" if self.units == "fraction" else "for fractions set units: fraction"
            size = f"the picture of {info.width} x {info.height} px"
            raise ConfigError(f"{where}: it covers only {covered:.3g} px² of {size}; {remedy}")
        return Region(rings[0], tuple(rings[1:]))


class MaskOptions(AreaOptions):
    """An area in which objects do not exist for lines and zones.

    Attributes:
        polygon: the (x, y) of at least three corners in order around it; the sides must not cross.
        holes: polygons within it that do not belong to it.
        units: `fraction` of the picture's width and height (0..1), or `px`.
        anchor: the point of the box that lies in it.
    """

    anchor: AnchorOption = "bottom_center"


class ZoneOptions(AreaOptions, FilterOptions):
    """A zone, and what is to be told of it: each kind of situation is switched on by its own key.

    Attributes:
        polygon: the (x, y) of at least three corners in order around it; the sides must not cross.
        holes: polygons within it that do not belong to it.
        units: `fraction` of the picture's width and height (0..1), or `px`.
        anchor: the point of the box that must be inside: its name, or its fractions of the width and height.
        labels: see `FilterOptions`; an object that gets a wanted class or attribute while it is inside
            has been there since it came.
        where: see `FilterOptions`.
        band: hysteresis in distance: only what is further outside than this has left. A fraction of the
            picture's diagonal, or pixels when `units` is `px`. 1 % of the diagonal when left out.
        hold_s: hysteresis in time: an object must be inside, or beyond the band, for so long.
        still: an object stands while it stays within so many diagonals of its box from where it stopped.
        visits: tell of each object that comes and goes (`zone.entered`, `zone.left`).
        occupancy: tell how many there are.
        dwell: tell of who stays long.
        queue: tell how many wait, and for how long.
        loitering: tell of who hangs about.
        wrong_way: tell of who goes against a direction.
        stopped: tell of who stands still.
        tailgating: tell of who follows too closely.
        crowd: tell when it is too dense.
    """

    anchor: AnchorOption = "bottom_center"
    band: Annotated[float, Field(ge=0)] | None = None
    hold_s: Seconds = 0.15
    still: Annotated[float, Field(gt=0, le=2)] = 0.15
    visits: bool = True
    occupancy: OccupancyOptions | None = None
    dwell: DwellOptions | None = None
    queue: QueueOptions | None = None
    loitering: LoiteringOptions | None = None
    wrong_way: WrongWayOptions | None = None
    stopped: StoppedOptions | None = None
    tailgating: TailgatingOptions | None = None
    crowd: CrowdOptions | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.units == "fraction":
            if self.band is not None and self.band >= 1:
                raise ValueError(f"band {self.band:g} must be below 1 (a fraction of the picture's diagonal)")
            for point in self.wrong_way.way if self.wrong_way else ():
                check_fraction("point of wrong_way.way", point, self.units)
        return self

    def place(self) -> dict[str, Any]:
        """Return what makes it this zone; hysteresis and what is told play no part."""
        kept = {*AreaOptions.model_fields, *FilterOptions.model_fields, "anchor"}
        return self.model_dump(include=kept, exclude_defaults=True)

    def way(self, where: str, info: StreamInfo) -> tuple[Point, ...]:
        """Return the allowed direction in px.

        Raises:
            ConfigError: if it leads out of the picture.
        """
        way = () if self.wrong_way is None else self.wrong_way.way
        points = tuple(to_px(point, self.units, info) for point in way)
        for point in points:
            check_inside(where, "point of wrong_way.way", point, info)
        return points


def _open(ring: Ring) -> Ring:
    """Return the corners without the first one again at the end, as some formats close their polygons."""
    return ring[:-1] if len(ring) > 3 and ring[0] == ring[-1] else ring


def _folds_back(ring: Ring) -> bool:
    """Return whether a side lies on the one before it."""
    for i in range(len(ring)):
        (ax, ay), (bx, by), (cx, cy) = ring[i - 2], ring[i - 1], ring[i]
        ux, uy, vx, vy = bx - ax, by - ay, cx - bx, cy - by
        if ux * vx + uy * vy < 0 and abs(ux * vy - uy * vx) <= 1e-9 * hypot(ux, uy) * hypot(vx, vy):
            return True
    return False
