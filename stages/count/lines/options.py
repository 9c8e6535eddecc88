"""What can be said of a counting line, and laying it into a picture of known size."""

from __future__ import annotations

from math import hypot
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.plugin import Options, StreamInfo
from stages.count.fields import Name, Position, Seconds, Units, check_fraction, check_inside, text, to_px
from stages.count.geometry import Anchor, Segment

SHORTEST_LINE_PX = 3.0


class DirectionNames(Options):
    """What the two directions are called, seen by a person who stands at `start` and looks to `end`."""

    to_right: Name = "to_right"
    to_left: Name = "to_left"

    @model_validator(mode="after")
    def _two_names(self) -> Self:
        if self.to_right == self.to_left:
            raise ValueError(f"to_right and to_left need different names, got '{self.to_right}' twice")
        return self


class LineOptions(Options):
    """A line of finite length, with a direction.

        start ---------> end      A line drawn from left to right:
                 |                what moves down the picture goes `to_right`,
                 v to_right       what moves up goes `to_left`.

    Attributes:
        start: (x, y) of the start.
        end: (x, y) of the end.
        units: `fraction` of the picture's width and height (0..1), or `px`.
        anchor: the point of the box that must cross.
        directions: their names.
        labels: count only these classes; all when left out.
        band: hysteresis in distance, on either side of the line: a fraction of the picture's diagonal, or
            pixels when `units` is `px`. 1 % of the diagonal when left out.
        hold_s: hysteresis in time: an object must be seen beyond the band for so long.
    """

    start: Position
    end: Position
    units: Units = "fraction"
    anchor: Anchor = "bottom_center"
    directions: DirectionNames = DirectionNames()
    labels: Annotated[frozenset[Name], Field(min_length=1)] | None = None
    band: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    hold_s: Seconds = 0.15

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"start and end must be two different points, got {text(self.start)} twice")
        check_fraction("start", self.start, self.units)
        check_fraction("end", self.end, self.units)
        if self.units == "fraction" and self.band is not None and self.band >= 1:
            raise ValueError(f"band {self.band:g} must be below 1 (a fraction of the picture's diagonal)")
        return self

    def laid(self, name: str, info: StreamInfo) -> Segment:
        """Return the line in pixels of the picture.

        Raises:
            ConfigError: if it lies outside the picture or is shorter than `SHORTEST_LINE_PX`.
        """
        where = f"line '{name}'"
        start, end = to_px(self.start, self.units, info), to_px(self.end, self.units, info)
        check_inside(where, "start", start, info)
        check_inside(where, "end", end, info)
        length_px = hypot(end[0] - start[0], end[1] - start[1])
        if length_px < SHORTEST_LINE_PX:
            remedy = "move them apart" if self.units == "fraction" else "for fractions set units: fraction"
            raise ConfigError(
                f"{where}: start {text(start)} and end {text(end)} px are {length_px:.2g} px apart in the "
                f"picture of {info.width} x {info.height} px; a line needs at least {SHORTEST_LINE_PX:g} px; "
                f"{remedy}"
            )
        return Segment(start, end)
