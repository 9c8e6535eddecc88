"""Patches of given colours: no weights, for what is known by its colour (vests, balls, marked pallets)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints, field_validator, model_validator

from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, StageContext
from stages.detect.base import Detector
from stages.detect.outlines import outline_of
from stages.detect.spend.options import DetectorOptions
from stages.vision.colour import ColourRange, parse_colour

U8Array = npt.NDArray[np.uint8]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

_SPECK_PX, _HOLE_PX = 3, 5


class HsvOptions(Options):
    """A range of HSV values in OpenCV's units: hue 0..179 (degrees halved), saturation, value 0..255.

    Attributes:
        low: smallest hue, saturation and value.
        high: largest; a hue below the low one goes around the circle (red: 170 to 8).
    """

    low: tuple[int, int, int]
    high: tuple[int, int, int]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        ColourRange(self.low, self.high)
        return self


class ColourOptions(DetectorOptions):
    """Options of the stage `colour`."""

    colours: dict[Name, tuple[str | HsvOptions, ...]] = Field(
        min_length=1,
        max_length=16,
        description='By label, what colours it may have: names ("orange"), hex ("#ff8800") or HSV ranges '
        "{low: [170, 90, 50], high: [8, 255, 255]}; one or a list.",
    )
    height: int = Field(
        360, ge=32, le=2160, description="Height in px that the picture is scaled to before the search."
    )
    min_area: float = Field(
        0.0005, gt=0, lt=1, description="Smallest patch, as a share of the picture's area."
    )
    max_area: float = Field(1.0, gt=0, le=1, description="Largest patch, likewise.")
    close: int = Field(
        _HOLE_PX, ge=1, le=99, description="Gaps up to so many px of the scaled picture are closed."
    )
    outlines: bool = Field(False, description="Tell the patches' outlines too, not only their boxes.")
    max_detections: int = Field(
        100, ge=1, le=1000, description="At most so many per label, the largest ones."
    )

    @field_validator("colours", mode="before")
    @classmethod
    def _listed(cls, colours: Any) -> Any:
        if not isinstance(colours, dict):
            return colours
        return {label: one if isinstance(one, list | tuple) else (one,) for label, one in colours.items()}

    @field_validator("colours")
    @classmethod
    def _known(
        cls, colours: dict[Name, tuple[str | HsvOptions, ...]]
    ) -> dict[Name, tuple[str | HsvOptions, ...]]:
        for label, ones in colours.items():
            if not ones:
                raise ValueError(f"'{label}' has no colour; give at least one")
            for one in ones:
                _range(one)
        return colours

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_area > self.max_area:
            raise ValueError(f"min_area {self.min_area:g} is above max_area {self.max_area:g}")
        return self


class _Patches(NamedTuple):
    """Patches of one label, in px of the scaled picture."""

    xyxy: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    outlines: list[npt.NDArray[np.float32]]


class ColourDetector(Detector):
    """Finds connected patches whose pixels lie in HSV ranges.

    The score is the share of a patch's pixels that have the colour, after gaps were closed.
    """

    Options: ClassVar[type[Options]] = ColourOptions
    emits = NO_EVENTS

    @classmethod
    def known_labels(cls, options: ColourOptions) -> frozenset[str]:
        """Return the labels that the options give to colours."""
        return frozenset(options.colours)

    def __init__(self, options: ColourOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._ranges = {label: [_range(one) for one in ones] for label, ones in options.colours.items()}

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Search each picture by itself."""
        return [self._detect(picture) for picture in pictures]

    def _detect(self, picture: Picture) -> Detections:
        height = min(self.options.height, picture.height)
        width = max(round(picture.width * height / picture.height), 1)
        hsv = np.asarray(cv2.cvtColor(picture.fit(width, height), cv2.COLOR_BGR2HSV), np.uint8)
        found = {label: self._patches(hsv, ranges) for label, ranges in self._ranges.items()}
        labels = np.repeat(list(found), [len(patches.score) for patches in found.values()])
        scale = np.array([picture.width / width, picture.height / height], np.float32)
        outline = None
        if self.options.outlines:
            outline = np.empty(len(labels), dtype=np.object_)
            for row, points in enumerate(points for patches in found.values() for points in patches.outlines):
                # Points are centres of pixels, so that half a pixel is kept out of the scaling.
                outline[row] = (points + 0.5) * scale - 0.5
        return Detections(
            np.concatenate([patches.xyxy for patches in found.values()]) * np.tile(scale, 2),
            np.concatenate([patches.score for patches in found.values()]),
            labels,
            outline=outline,
        )

    def _patches(self, hsv: U8Array, ranges: Sequence[ColourRange]) -> _Patches:
        mask = ranges[0].mask(hsv)
        for one in ranges[1:]:
            cv2.bitwise_or(mask, one.mask(hsv), dst=mask)
        opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((_SPECK_PX, _SPECK_PX), np.uint8))
        gap = self.options.close
        closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(closed)
        area = stats[:, cv2.CC_STAT_AREA]
        share = area / mask.size
        rows = 1 + np.flatnonzero((share[1:] >= self.options.min_area) & (share[1:] <= self.options.max_area))
        rows = rows[np.argsort(-area[rows], kind="stable")[: self.options.max_detections]]
        of_colour = np.bincount(numbers[mask > 0], minlength=count)
        tlwh = stats[rows, :4].astype(np.float32)
        outlines = [_outline(numbers, stats, row) for row in rows.tolist()] if self.options.outlines else []
        return _Patches(
            np.concatenate([tlwh[:, :2], tlwh[:, :2] + tlwh[:, 2:]], axis=1),
            (of_colour[rows] / area[rows]).astype(np.float32),
            outlines,
        )


def _range(colour: str | HsvOptions) -> ColourRange:
    return parse_colour(colour) if isinstance(colour, str) else ColourRange(colour.low, colour.high)


def _outline(numbers: Any, stats: Any, row: int) -> npt.NDArray[np.float32]:
    left, top, wide, high = stats[row, :4].tolist()
    part = numbers[top : top + high, left : left + wide] == row
    return outline_of(part.astype(np.uint8)) + np.array([left, top], np.float32)
