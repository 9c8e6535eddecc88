"""What is to be hidden in pictures, and how."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from pipeline.options import Options

Method = Literal["mask", "pixelate", "blur"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Corners = Annotated[tuple[tuple[Fraction, Fraction], ...], Field(min_length=3, max_length=256)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class PrivacyOptions(Options):
    """What is hidden in the pictures of a sink, of the bus, or of everything.

    Attributes:
        method: `mask` paints black and leaves nothing; `pixelate` leaves `cells` coarse cells of few levels,
            `blur` the same cells, drawn smoothly.
        labels: classes whose boxes are hidden; patterns such as `*` are allowed.
        heads: classes of which the upper part is hidden.
        areas: polygons that are hidden, corners (x, y) in fractions of the picture.
        keep: polygons outside of which everything is hidden.
        margin: how much a box is widened at each side, as a share of its own size.
        hold_s: media time for which a box stays, and goes on as it went, after the detector has lost it.
        ahead_s: media time by which pictures are held back, so that what is found late is hidden before.
        cells: into how many cells the longer side of what is hidden is divided.

    Raises:
        ValueError: if there is nothing to hide, or an area is none.
    """

    method: Method = "mask"
    labels: tuple[Label, ...] = ()
    heads: tuple[Label, ...] = ()
    areas: tuple[Corners, ...] = Field(default=(), max_length=64)
    keep: tuple[Corners, ...] = Field(default=(), max_length=64)
    margin: float = Field(default=0.2, ge=0, le=2)
    hold_s: float = Field(default=2.0, ge=0, le=60)
    ahead_s: float = Field(default=0.0, ge=0, le=5)
    cells: int = Field(default=4, ge=1, le=8)

    @property
    def wanted(self) -> tuple[str, ...]:
        """All classes that it asks for."""
        return self.labels + self.heads

    @property
    def spelled_out(self) -> frozenset[str]:
        """The classes that are spelled out, not meant by a pattern."""
        return frozenset(label for label in self.wanted if not any(sign in label for sign in "*?["))

    @field_validator("areas", "keep", mode="after")
    @classmethod
    def _have_area(cls, areas: tuple[Corners, ...]) -> tuple[Corners, ...]:
        for number, corners in enumerate(areas, start=1):
            xs, ys = ({corner[axis] for corner in corners} for axis in (0, 1))
            if len(set(corners)) < 3 or len(xs) < 2 or len(ys) < 2:
                raise ValueError(f"area {number} needs three corners that do not lie on one line")
        return areas

    @model_validator(mode="after")
    def _something_to_hide(self) -> Self:
        if not (self.labels or self.heads or self.areas or self.keep):
            raise ValueError(
                "there is nothing to hide; give it labels, heads, areas or keep, such as labels: [person], "
                "or write privacy: false"
            )
        return self


Privacy = PrivacyOptions | Literal[False]
"""False: nothing is hidden, whatever holds for the others."""


def effective(own: Privacy | None, default: PrivacyOptions | None) -> PrivacyOptions | None:
    """Return what holds for one who has these settings, or none of its own; None: nothing is hidden."""
    return default if own is None else (own or None)
