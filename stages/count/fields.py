"""Kinds of options that the counting parts have in common, and laying what is drawn into a picture."""

from __future__ import annotations

from math import hypot
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.errors import ConfigError
from pipeline.plugin import StreamInfo
from stages.count.geometry import AnchorName, Point

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Position = tuple[Coordinate, Coordinate]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
AnchorOption = AnchorName | tuple[Share, Share]
Units = Literal["fraction", "px"]
"""Of the picture's width and height (0..1), or pixels."""

DEFAULT_BAND = 0.01
"""Share of the picture's diagonal: 7 px at 640 x 360, 22 px at 1920 x 1080."""


def text(point: Point) -> str:
    """Return a point as a person writes it."""
    return f"({point[0]:g}, {point[1]:g})"


def check_fraction(what: str, point: Point, units: Units) -> None:
    """Refuse a point outside 0..1 where `units` is `fraction`.

    Raises:
        ValueError: naming `what`.
    """
    if units == "fraction" and not all(0 <= value <= 1 for value in point):
        raise ValueError(
            f"{what} {text(point)} must lie within 0..1 (fractions of width and height); "
            "for pixels set units: px"
        )


def to_px(point: Point, units: Units, info: StreamInfo) -> Point:
    """Return a point of the options in pixels of the picture."""
    width, height = (info.width, info.height) if units == "fraction" else (1, 1)
    return point[0] * width, point[1] * height


def check_inside(where: str, what: str, point: Point, info: StreamInfo) -> None:
    """Refuse a point outside the picture; its border belongs to it.

    Args:
        where: whose point, "line 'gate'".
        what: which point, "end".
        point: (x, y) px.
        info: tells the picture's size.

    Raises:
        ConfigError: naming both, and what would be allowed.
    """
    x, y = point
    if not (0 <= x <= info.width and 0 <= y <= info.height):
        raise ConfigError(
            f"{where}: {what} {text(point)} px lies outside the picture of {info.width} x {info.height} px; "
            f"x must be within 0..{info.width}, y within 0..{info.height}"
        )


def band_px(band: float | None, units: Units, info: StreamInfo) -> float:
    """Return a band in pixels: of the options a share of the diagonal, or pixels; None is the default."""
    diagonal_px = hypot(info.width, info.height)
    if band is None:
        return DEFAULT_BAND * diagonal_px
    return band * diagonal_px if units == "fraction" else band
