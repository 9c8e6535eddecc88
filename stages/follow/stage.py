"""The stage `follow`: follows a few named objects by their colour, without a detector."""

from __future__ import annotations

import logging
from itertools import count
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, StringConstraints, field_validator, model_validator

from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame
from pipeline.objects import Detections, Tracks
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, Stage, StageContext, StreamInfo
from stages.follow.finder import ColourFinder, ShiftFinder, Sighting
from stages.follow.target import Target
from stages.follow.view import F64Array, U8Array
from stages.vision.colour import ColourRange, parse_colour

logger = logging.getLogger(__name__)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]

MAX_TARGETS = 16
SMALLEST_BOX_PX = 8.0

# From this width on a picture of half the size is looked at: it has pixels enough and costs half.
_HALVED_FROM_PX = 1280


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


class TargetOptions(Options):
    """One object.

    Attributes:
        start: its box (left, top, right, bottom) in px of the picture, for `meanshift` and `camshift`.
        start_s: media time from which it is followed.
        colour: for `colour`: a name ("orange") or hex ("#ff8800").
        hsv: for `colour`: a range of one's own in place of `colour`.
    """

    start: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    start_s: Seconds = 0.0
    colour: str | None = None
    hsv: HsvOptions | None = None

    @field_validator("colour")
    @classmethod
    def _known(cls, colour: str | None) -> str | None:
        if colour is not None:
            parse_colour(colour)
        return colour

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.colour is not None and self.hsv is not None:
            raise ValueError("give either colour or hsv, not both")
        if self.start is not None:
            left, top, right, bottom = self.start
            if right - left < SMALLEST_BOX_PX or bottom - top < SMALLEST_BOX_PX:
                raise ValueError(
                    f"start {_text(self.start)} must be [left, top, right, bottom], at least "
                    f"{SMALLEST_BOX_PX:g} px wide and high"
                )
        return self

    def range(self) -> ColourRange:
        """Return the colour to look for."""
        if self.hsv is not None:
            return ColourRange(self.hsv.low, self.hsv.high)
        return parse_colour(self.colour or "")


class FollowOptions(Options):
    """Options of the stage `follow`.

    Attributes:
        method: `camshift` goes after the colours that a start box holds and takes on their size;
            `meanshift` keeps the box's size; `colour` takes the largest patch of a given colour and needs
            no start box.
        targets: the objects, by name; the name is the label of their tracks.
        min_similarity: how alike its histogram and that of a place must be, 0..1 (`meanshift`, `camshift`).
        min_area: smallest patch of a colour, as a share of the picture (`colour`).
        max_age_s: an object that was lost for longer gets a new id.
        search_all_s: a lost object is looked for around its last place, ever further, and after so many
            seconds in the whole picture.
    """

    method: Literal["camshift", "meanshift", "colour"] = "camshift"
    targets: Annotated[dict[Name, TargetOptions], Field(min_length=1, max_length=MAX_TARGETS)]
    min_similarity: Annotated[float, Field(gt=0, lt=1)] = 0.5
    min_area: Annotated[float, Field(gt=0, lt=1)] = 0.001
    max_age_s: Seconds = 5.0
    search_all_s: Seconds = 1.0

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name, target in self.targets.items():
            by_colour = target.colour is not None or target.hsv is not None
            if self.method == "colour" and not by_colour:
                raise ValueError(
                    f"target '{name}' needs a colour or hsv for method colour "
                    "(hex in quotes: a bare # begins a comment)"
                )
            if self.method == "colour" and target.start is not None:
                raise ValueError(
                    f"target '{name}' has a start box, which method colour does not use; take it away"
                )
            if self.method != "colour" and target.start is None:
                raise ValueError(f"target '{name}' needs a start box for method {self.method}")
            if self.method != "colour" and by_colour:
                raise ValueError(
                    f"target '{name}' has a colour, but {self.method} takes the colours from the start box; "
                    "take it away or set method: colour"
                )
        return self


class FollowStage(Stage):
    """Sets `frame.detections` and `frame.tracks` to the objects found in it; what is lost has no row.

    The score of a row is its similarity (see `ColourModel.similarity`), for `colour` the share of the box
    that has the colour. Where the media clock begins anew, so does it.
    """

    Options: ClassVar[type[Options]] = FollowOptions
    emits = NO_EVENTS
    gives = frozenset({"detections", "tracks"})
    options: FollowOptions

    def __init__(self, options: FollowOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._run = ""
        self._last_s: float | None = None
        self._targets: dict[str, Target] = {}
        self._ids = count(1)
        self._never_found = set(options.targets)

    def open(self, info: StreamInfo) -> None:
        """Forget everything.

        Raises:
            ConfigError: if a start box is not within the picture.
        """
        for name, target in self.options.targets.items():
            if target.start is None:
                continue
            left, top, right, bottom = target.start
            if left < 0 or top < 0 or right > info.width or bottom > info.height:
                raise ConfigError(
                    f"target '{name}': start {_text(target.start)} lies outside the picture of "
                    f"{info.width} x {info.height} px; x must be within 0..{info.width}, "
                    f"y within 0..{info.height}"
                )
        self._begin()
        self._never_found = set(self.options.targets)

    def process(self, frame: Frame) -> None:
        """Find the objects.

        Raises:
            ConfigError: if another stage before this one detects or tracks, or a start box has no colour.
            SourceError: if the frame's media time is not after that of the frame before.
        """
        if frame.detections is not None or frame.tracks is not None:
            raise ConfigError(
                "stage 'follow' finds its objects itself; "
                "take the detector, tracker or second 'follow' before it away"
            )
        now_s = frame.moment.pts_s
        if self._last_s is not None and frame.run != self._run and now_s <= self._last_s:
            self._begin()
        self._run = frame.run
        if self._last_s is not None and now_s <= self._last_s:
            raise SourceError(
                f"picture {frame.sequence}: time must advance: "
                f"a frame at {now_s:g} s after one at {self._last_s:g} s"
            )
        self._last_s = now_s
        bgr = _looked_at(frame.picture)
        scale = np.array([frame.picture.width / bgr.shape[1], frame.picture.height / bgr.shape[0]] * 2)
        found = self._found(bgr, scale, now_s)
        self._never_found.difference_update(found)
        frame.detections, frame.tracks = _tables(found, scale)
        frame.model_hash = None

    def finish(self) -> tuple[()]:
        """Warn of each object that was never found."""
        for name in sorted(self._never_found):
            logger.warning(
                "target '%s' of stream '%s' was never found: %s", name, self.context.stream, self._why(name)
            )
        self._never_found = set()
        return ()

    def close(self) -> None:
        """Forget everything."""
        self._begin()

    def _begin(self) -> None:
        self._run = ""
        self._last_s = None
        self._targets = {}
        self._ids = count(1)

    def _found(self, bgr: U8Array, scale: F64Array, now_s: float) -> dict[str, tuple[int, Sighting]]:
        """Return id and place of each object found, by name; places in px of `bgr`."""
        found: dict[str, tuple[int, Sighting]] = {}
        for name, options in self.options.targets.items():
            if now_s < options.start_s:
                continue
            target = self._targets.get(name)
            if target is None:
                target, sighting = self._started(name, options, bgr, scale, now_s)
                self._targets[name] = target
            else:
                sighting = None
            if sighting is None:
                sighting = target.update(bgr, now_s, self._taken(name))
            if sighting is not None:
                found[name] = (target.id, sighting)
        return found

    def _started(
        self, name: str, options: TargetOptions, bgr: U8Array, scale: F64Array, now_s: float
    ) -> tuple[Target, Sighting | None]:
        """Return a new target and, where a start box says so, where it is.

        Raises:
            ConfigError: if the start box has no colour.
        """
        finder: ColourFinder | ShiftFinder
        first = None
        if self.options.method == "colour":
            area_px = float(bgr.shape[0] * bgr.shape[1])
            finder = ColourFinder(options.range(), self.options.min_area * area_px)
        else:
            box = np.array(options.start, np.float64) / scale
            try:
                finder = ShiftFinder(bgr, box, self.options.method, self.options.min_similarity)
            except ValueError as error:
                raise ConfigError(
                    f"target '{name}': start {_text(options.start or ())} at {now_s:.3f} s: {error}; "
                    "choose another box or time"
                ) from error
            first = finder.first
        target = Target(
            finder,
            self._ids.__next__,
            max_age_s=self.options.max_age_s,
            search_all_s=self.options.search_all_s,
            first=first,
            pts_s=now_s,
        )
        return target, first

    def _taken(self, name: str) -> list[F64Array]:
        """Return where the other objects are."""
        places = (target.place for other, target in self._targets.items() if other != name)
        return [place for place in places if place is not None]

    def _why(self, name: str) -> str:
        target = self.options.targets[name]
        if self._last_s is None or self._last_s < target.start_s:
            return f"the stream ended before its start_s of {target.start_s:g} s"
        return "no patch of its colour was large enough; see min_area, colour and hsv"


def _looked_at(picture: Picture) -> U8Array:
    if picture.width >= _HALVED_FROM_PX:
        return picture.fit(picture.width // 2, picture.height // 2)
    return picture.bgr()


def _tables(found: dict[str, tuple[int, Sighting]], scale: F64Array) -> tuple[Detections, Tracks]:
    """Return the same rows as detections and as tracks: what is found is observed, so counters may use it."""
    if not found:
        return Detections.empty(), Tracks.empty()
    xyxy = np.array([sighting.box for _, sighting in found.values()]) * scale
    score = np.array([sighting.similarity for _, sighting in found.values()], np.float32)
    label = np.array(list(found), np.str_)
    ids = np.array([track_id for track_id, _ in found.values()], np.int64)
    n = len(ids)
    detections = Detections(xyxy.astype(np.float32), score, label)
    tracks = Tracks(ids, detections.xyxy, score, label, np.arange(n), np.zeros(n, np.float32))
    return detections, tracks


def _text(box: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
