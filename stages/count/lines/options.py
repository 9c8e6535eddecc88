"""What can be said of a counting line, and laying it into a picture of known size."""

from __future__ import annotations

from itertools import pairwise
from math import hypot
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.plugin import Options, StreamInfo
from stages.count.fields import (
    AnchorOption,
    Name,
    Position,
    Seconds,
    Units,
    check_fraction,
    check_inside,
    text,
    to_px,
)
from stages.count.filters import FilterOptions
from stages.count.geometry import Point, Polyline

SHORTEST_LINE_PX = 3.0
"""Of a line's straight parts."""

Path = Annotated[tuple[Position, ...], Field(min_length=2)]


class DirectionNames(Options):
    """What the two directions are called, seen by a person who walks from the line's start to its end."""

    to_right: Name = "to_right"
    to_left: Name = "to_left"

    @model_validator(mode="after")
    def _two_names(self) -> Self:
        if self.to_right == self.to_left:
            raise ValueError(f"to_right and to_left need different names, got '{self.to_right}' twice")
        return self


class LineOptions(FilterOptions):
    """A line of finite length, with a direction.

        start ---------> end      A line drawn from left to right:
                 |                what moves down the picture goes `to_right`,
                 v to_right       what moves up goes `to_left`.

    It is drawn in one of three ways: by `start` and `end`, with bends by `points`, or as several lines by
    `gates`, which count under one name.

    Attributes:
        start: (x, y) of the start.
        end: (x, y) of the end.
        points: of a line with bends, from its start to its end.
        gates: several lines, each like `points`; their crossings are added up.
        units: `fraction` of the picture's width and height (0..1), or `px`.
        anchor: the point of the box that must cross: its name, or its fractions of the width and height.
        directions: their names.
        labels: see `FilterOptions`.
        where: see `FilterOptions`.
        band: hysteresis in distance, on either side of the line: a fraction of the picture's diagonal, or
            pixels when `units` is `px`. 1 % of the diagonal when left out.
        hold_s: hysteresis in time: an object must stay beyond the band for so long.
    """

    start: Position | None = None
    end: Position | None = None
    points: Path | None = None
    gates: Annotated[tuple[Path, ...], Field(min_length=1)] | None = None
    units: Units = "fraction"
    anchor: AnchorOption = "bottom_center"
    directions: DirectionNames = DirectionNames()
    band: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    hold_s: Seconds = 0.15

    @model_validator(mode="after")
    def _sound(self) -> Self:
        drawn = [
            self.start is not None or self.end is not None,
            self.points is not None,
            self.gates is not None,
        ]
        if sum(drawn) != 1 or (self.start is None) != (self.end is None):
            raise ValueError("draw the line by start and end, or by points, or by gates")
        for number, path in enumerate(self.paths):
            if self.start is not None and path[0] == path[1]:
                raise ValueError(f"start and end must be two different points, got {text(path[0])} twice")
            for place, point in enumerate(path):
                check_fraction(self._called(number, place), point, self.units)
            Polyline(path)
        if self.units == "fraction" and self.band is not None and self.band >= 1:
            raise ValueError(f"band {self.band:g} must be below 1 (a fraction of the picture's diagonal)")
        return self

    @property
    def paths(self) -> tuple[tuple[Point, ...], ...]:
        """Its gates as they were drawn; most lines have one."""
        if self.gates is not None:
            return self.gates
        if self.points is not None:
            return (self.points,)
        return () if self.start is None or self.end is None else ((self.start, self.end),)

    def laid(self, name: str, info: StreamInfo) -> tuple[Polyline, ...]:
        """Return its gates in pixels of the picture.

        Raises:
            ConfigError: if one lies outside the picture or has a part shorter than `SHORTEST_LINE_PX`.
        """
        return tuple(self._laid(name, number, path, info) for number, path in enumerate(self.paths))

    def _laid(self, name: str, number: int, path: tuple[Point, ...], info: StreamInfo) -> Polyline:
        where = f"line '{name}'"
        points = tuple(to_px(point, self.units, info) for point in path)
        for place, point in enumerate(points):
            check_inside(where, self._called(number, place), point, info)
        for place, (a, b) in enumerate(pairwise(points)):
            length_px = hypot(b[0] - a[0], b[1] - a[1])
            if length_px < SHORTEST_LINE_PX:
                remedy = (
                    "move them apart" if self.units == "fraction" else "for fractions set units: fraction"
                )
                raise ConfigError(
                    f"{where}: {self._called(number, place)} {text(a)} and {self._called(number, place + 1)} "
                    f"{text(b)} px are {length_px:.2g} px apart in the picture of {info.width} x "
                    f"{info.height} px; a line needs at least {SHORTEST_LINE_PX:g} px; {remedy}"
                )
        return Polyline(points)

    def _called(self, number: int, place: int) -> str:
        """Return what a person calls one of the points."""
        if self.start is not None:
            return ("start", "end")[place]
        return f"point {place + 1}" + (f" of gate {number + 1}" if self.gates is not None else "")
