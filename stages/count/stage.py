"""The stage `count`: tells which tracks crossed which line, and keeps the totals."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from pipeline.errors import ConfigError
from pipeline.event import Event, Producer
from pipeline.frame import Counts, Frame, Line
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.count.geometry import Anchor, Point, Segment, anchor_points
from stages.count.line_counter import Crossing, LineCounter

logger = logging.getLogger(__name__)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]

DEFAULT_BAND = 0.01
"""Share of the picture's diagonal: 7 px at 640 x 360, 22 px at 1920 x 1080."""

SHORTEST_LINE_PX = 3.0
MAX_LABELS_NAMED = 10
_NOWHERE = np.empty((0, 2))
"""Most labels that a warning names."""


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

    start: tuple[Coordinate, Coordinate]
    end: tuple[Coordinate, Coordinate]
    units: Literal["fraction", "px"] = "fraction"
    anchor: Anchor = "bottom_center"
    directions: DirectionNames = DirectionNames()
    labels: Annotated[frozenset[Name], Field(min_length=1)] | None = None
    band: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    hold_s: Seconds = 0.15

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"start and end must be two different points, got {_text(self.start)} twice")
        if self.units == "fraction":
            for name, point in (("start", self.start), ("end", self.end)):
                if not all(0 <= value <= 1 for value in point):
                    raise ValueError(
                        f"{name} {_text(point)} must lie within 0..1 (fractions of width and height); "
                        "for pixels set units: px"
                    )
            if self.band is not None and self.band >= 1:
                raise ValueError(f"band {self.band:g} must be below 1 (a fraction of the picture's diagonal)")
        return self


class CountOptions(Options):
    """Options of the stage `count`.

    Attributes:
        lines: by name.
        vanished_s: an object unseen for so long has left the picture; if it was last seen beyond the band,
            its crossing counts although `hold_s` has not passed.
        forget_s: an object unseen for longer is forgotten; set it to at least the time for which the
            tracker may give a lost object its id back.
    """

    lines: Annotated[dict[Name, LineOptions], Field(min_length=1)]
    vanished_s: Seconds = 1.0
    forget_s: Seconds = 10.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.forget_s < self.vanished_s:
            raise ValueError(
                f"forget_s ({self.forget_s:g}) must not be less than vanished_s ({self.vanished_s:g})"
            )
        return self


@dataclass(frozen=True, slots=True)
class _CountedLine:
    """A line of the configuration, laid into a picture of known size."""

    name: str
    options: LineOptions
    segment: Segment
    counter: LineCounter
    totals: dict[str, dict[str, int]]

    def matches(self, labels: Iterable[str]) -> bool:
        """Return whether one of these labels is counted."""
        return self.options.labels is None or not self.options.labels.isdisjoint(labels)


class CountStage(Stage):
    """Appends a `line.crossing` event for each crossing and sets `frame.counts` and `frame.lines`.

    Only observed positions count: rows of `frame.tracks` that are merely predicted are passed over, so an
    object that is lost at the line counts if and when it is seen again beyond it (see `LineCounter`).
    The event's moment and position are those of the crossing itself, interpolated between two frames.
    """

    Options: ClassVar[type[Options]] = CountOptions
    needs = frozenset({"tracks"})
    gives = frozenset({"counts", "lines"})
    options: CountOptions

    def __init__(self, options: CountOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._lines: list[_CountedLine] = []
        self._shown: MappingProxyType[str, Line] = MappingProxyType({})
        self._counts: Counts = MappingProxyType({})
        self._latest: Frame | None = None
        self._unmatched: list[_CountedLine] = []  # those whose labels no track has had yet
        self._seen_labels: set[str] = set()

    def open(self, info: StreamInfo) -> None:
        """Lay the lines into the picture. What was counted in pictures of another size stays counted.

        Raises:
            ConfigError: if a line lies outside the picture or is shorter than `SHORTEST_LINE_PX`.
        """
        totals = {line.name: line.totals for line in self._lines}
        self._lines = [self._laid(name, line, info) for name, line in self.options.lines.items()]
        for line in self._lines:
            line.totals.update(totals.get(line.name, {}))
        self._shown = MappingProxyType(
            {line.name: (line.segment.start, line.segment.end) for line in self._lines}
        )
        self._counts = self._snapshot()
        self._latest = None
        self._unmatched = [line for line in self._lines if line.options.labels is not None]
        self._seen_labels = set()

    def process(self, frame: Frame) -> None:
        """Count the frame's tracks.

        Raises:
            ConfigError: if no stage before this one makes tracks.
        """
        tracks = frame.tracks
        if tracks is None:
            raise ConfigError("stage 'count' needs tracks; put a stage 'track' before it")
        counted = len(frame.events)
        if self._latest is not None and not frame.follows(self._latest):
            frame.events.extend(self._settled(self._latest))  # ids and media time begin anew
        self._latest = frame
        seen = tracks[tracks.detection >= 0] if len(tracks) else tracks
        ids, labels, xyxy = seen.id.tolist(), seen.label.tolist(), seen.xyxy
        self._note(labels)
        for line in self._lines:
            points = anchor_points(xyxy, line.options.anchor) if ids else _NOWHERE
            crossings = line.counter.update(frame.moment.pts_s, ids, points, labels)
            frame.events.extend(self._counted(line, crossings, frame))
        if len(frame.events) > counted:
            self._counts = self._snapshot()
        frame.counts = self._counts
        frame.lines = self._shown

    def finish(self) -> Sequence[Event]:
        """Return the crossings of objects that were last seen beyond a line's band.

        Warns of each line whose `labels` none of the tracks had.
        """
        frame, self._latest = self._latest, None
        self._warn_of_unmatched()
        if frame is None:
            return ()
        return self._settled(frame)

    def _settled(self, frame: Frame) -> list[Event]:
        """Return what is certain because nothing more will be seen of these tracks; forget them."""
        return [event for line in self._lines for event in self._counted(line, line.counter.finish(), frame)]

    def _note(self, labels: Sequence[str]) -> None:
        """Note which labels there are, as long as a line still waits for one of its own."""
        if not self._unmatched:
            return
        self._unmatched = [line for line in self._unmatched if not line.matches(labels)]
        for label in labels:
            if len(self._seen_labels) <= MAX_LABELS_NAMED:  # one more, to know that there are more
                self._seen_labels.add(label)

    def _warn_of_unmatched(self) -> None:
        unmatched, self._unmatched = self._unmatched, []
        if not self._seen_labels:
            return
        seen = sorted(self._seen_labels)
        if len(seen) > MAX_LABELS_NAMED:
            seen[MAX_LABELS_NAMED:] = ["others"]
        for line in unmatched:
            logger.warning(
                "line '%s' of stream '%s' counts only %s; the tracks seen were %s",
                line.name,
                self.context.stream,
                ", ".join(sorted(line.options.labels or ())),
                ", ".join(seen),
            )

    def _laid(self, name: str, line: LineOptions, info: StreamInfo) -> _CountedLine:
        where = f"line '{name}'"
        scale = (float(info.width), float(info.height)) if line.units == "fraction" else (1.0, 1.0)
        start, end = ((x * scale[0], y * scale[1]) for x, y in (line.start, line.end))
        for point_name, (x, y) in (("start", start), ("end", end)):
            if not (0 <= x <= info.width and 0 <= y <= info.height):
                raise ConfigError(
                    f"{where}: {point_name} {_text((x, y))} px lies outside the picture of "
                    f"{info.width} x {info.height} px; x must be within 0..{info.width}, "
                    f"y within 0..{info.height}"
                )
        length_px = hypot(end[0] - start[0], end[1] - start[1])
        if length_px < SHORTEST_LINE_PX:
            remedy = "move them apart" if line.units == "fraction" else "for fractions set units: fraction"
            raise ConfigError(
                f"{where}: start {_text(start)} and end {_text(end)} px are {length_px:.2g} px apart in the "
                f"picture of {info.width} x {info.height} px; a line needs at least {SHORTEST_LINE_PX:g} px; "
                f"{remedy}"
            )
        diagonal_px = hypot(info.width, info.height)
        band = DEFAULT_BAND * diagonal_px if line.band is None else line.band
        if line.band is not None and line.units == "fraction":
            band *= diagonal_px
        segment = Segment(start, end)
        counter = LineCounter(
            segment,
            band_px=band,
            hold_s=line.hold_s,
            vanished_s=self.options.vanished_s,
            forget_s=self.options.forget_s,
            labels=line.labels,
        )
        names = line.directions
        return _CountedLine(name, line, segment, counter, {names.to_right: {}, names.to_left: {}})

    def _counted(self, line: _CountedLine, crossings: Iterable[Crossing], frame: Frame) -> list[Event]:
        """Add the crossings to the line's totals and make their events, known at `frame`."""
        events = []
        for crossing in crossings:
            names = line.options.directions
            direction = names.to_right if crossing.to_right else names.to_left
            totals = line.totals[direction]
            totals[crossing.label] = totals.get(crossing.label, 0) + 1
            events.append(
                frame.event(
                    "line.crossing",
                    f"{line.name}:{crossing.track_id}:{crossing.number}",
                    Producer("count", line.name, self.context.config_hash, frame.model_hash),
                    moment=frame.moment.shifted(crossing.time_s - frame.moment.pts_s),
                    track_id=crossing.track_id,
                    label=crossing.label,
                    position=crossing.position,
                    data={"line": line.name, "direction": direction, "label": crossing.label},
                    evidence={
                        "trail": [[round(t, 6), round(x, 2), round(y, 2)] for t, x, y in crossing.trail]
                    },
                )
            )
        return events

    def _snapshot(self) -> Counts:
        """Return the totals as they are now, in mappings that nobody can change."""
        return MappingProxyType({line.name: _frozen(line.totals) for line in self._lines})


def _frozen(totals: dict[str, dict[str, int]]) -> Mapping[str, Mapping[str, int]]:
    return MappingProxyType({name: MappingProxyType(dict(by_label)) for name, by_label in totals.items()})


def _text(point: Point) -> str:
    return f"({point[0]:g}, {point[1]:g})"
