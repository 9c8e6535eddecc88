"""The stage `flow`: how what is seen moves, without a detector: vectors, and crowd flow by zone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import floor, hypot
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from pipeline.event import Event, Producer
from pipeline.frame import Area, Frame
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.motion.measure import FlowMethod, Measured, measure
from stages.motion.zones import ZoneMotion, ZoneOptions
from stages.vision.luma import reduced_luma
from stages.vision.polygon import inside
from stages.vision.sparse_flow import FlowView

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]

# Across a longer pause nothing can be followed.
_LONGEST_STEP_S = 1.0


class FlowOptions(Options):
    """Options of the stage `flow`.

    Attributes:
        method: `sparse` follows corners, `dense` looks everywhere, also in what has few corners; only the
            latter's shares are shares of area.
        width: px that the picture is reduced to.
        points: `sparse` only: about how many corners.
        cell_px: `dense` only: side of the cells that flow is averaged over, px of the reduced picture.
        every_s: measure no more often than this, in media time; 0 for every picture.
        min_speed: what is slower stands; picture diagonals per second.
        zones: polygons by name that are reported.
        report_s: seconds of media time that a report covers.
    """

    method: FlowMethod = "sparse"
    width: Annotated[int, Field(ge=64, le=1920)] = 320
    points: Annotated[int, Field(ge=8, le=5000)] = 200
    cell_px: Annotated[int, Field(ge=4, le=64)] = 8
    every_s: Annotated[float, Field(ge=0, lt=_LONGEST_STEP_S)] = 0.0
    min_speed: Annotated[float, Field(ge=0, le=10)] = 0.02
    zones: dict[Name, ZoneOptions] = Field(default_factory=dict, max_length=64)
    report_s: Annotated[float, Field(gt=0, le=86_400)] = 10.0


class FlowStage(Stage):
    """Sets `frame.motion` and, with zones, `frame.areas`; appends `zone.motion` events.

    A report covers one of the periods [0, report_s), [report_s, 2 report_s) ... of the media clock, and is
    made at the first picture after it. Periods in which nothing could be measured have none.
    """

    Options: ClassVar[type[Options]] = FlowOptions
    emits: ClassVar[Mapping[str, str]] = {"zone.motion": "a period of a zone's optical flow is over"}
    gives = frozenset({"motion"})
    options: FlowOptions

    @classmethod
    def emitted(cls, options: FlowOptions) -> Collection[str]:
        """Return `zone.motion` where there are zones."""
        return cls.emits if options.zones else ()

    def __init__(self, options: FlowOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._size = (0, 0)
        self._areas: dict[str, Area] = {}
        self._zones: dict[str, ZoneMotion] = {}
        self._view: FlowView | None = None
        self._view_s = 0.0
        self._latest: Frame | None = None
        self._period = 0

    def open(self, info: StreamInfo) -> None:
        """Lay the zones into the picture.

        Raises:
            ConfigError: if a zone lies outside the picture or is empty.
        """
        self._size = info.width, info.height
        self._areas = {name: zone.laid(name, info) for name, zone in self.options.zones.items()}
        min_speed_px_s = self.options.min_speed * hypot(*self._size)
        self._zones = {name: ZoneMotion(area, min_speed_px_s) for name, area in self._areas.items()}
        self._view = self._latest = None

    def process(self, frame: Frame) -> None:
        """Measure the flow up to this frame, and report what has come to its end."""
        latest, pts_s = self._latest, frame.moment.pts_s
        period = floor(pts_s / self.options.report_s)
        if latest is not None and not frame.follows(latest):
            frame.events.extend(self._reports(latest, ended=False))  # media time begins anew
            self._view = None
        elif latest is not None and period != self._period:
            frame.events.extend(self._reports(frame, ended=True))
        self._latest, self._period = frame, period
        if self._areas:
            frame.areas = MappingProxyType({**(frame.areas or {}), **self._areas})
        if (measured := self._measured(frame)) is None:
            return
        frame.motion = measured.field
        for zone in self._zones.values():
            zone.add(measured.field, int(inside(measured.asked, zone.polygon).sum()))

    def finish(self) -> Sequence[Event]:
        """Return the reports of the period that the end of the stream cut short."""
        frame, self._latest, self._view = self._latest, None, None
        return () if frame is None else self._reports(frame, ended=False)

    def close(self) -> None:
        """Forget the last picture."""
        self._view = self._latest = None

    def _measured(self, frame: Frame) -> Measured | None:
        """Return the flow since the picture measured last, None where there is none or it is not time yet."""
        pts_s, options = frame.moment.pts_s, self.options
        since_s = pts_s - self._view_s
        lost = self._view is None or not 0 < since_s <= _LONGEST_STEP_S
        # A time stamp is rounded: a picture that comes a hair too early is not left out.
        if not lost and since_s < options.every_s - 1e-3:
            return None
        luma = frame.picture.luma()
        reduced = reduced_luma(luma, options.width)
        # A picture that needs no reduction may be the decoder's own buffer, which must not be held.
        view = FlowView(reduced.copy() if reduced is luma else reduced)
        before, self._view, self._view_s = self._view, view, pts_s
        if lost or before is None or before.luma.shape != view.luma.shape:
            return None
        size = frame.picture.width, frame.picture.height
        return measure(before, view, since_s, size, options.method, options.points, options.cell_px)

    def _reports(self, frame: Frame, *, ended: bool) -> list[Event]:
        """Return an event for each zone in which anything was measured, and begin anew.

        Args:
            frame: the one at which it is known.
            ended: the period came to its end before `frame`, rather than being cut short at it.
        """
        start_s, end_s = self._period * self.options.report_s, (self._period + 1) * self.options.report_s
        pts_s = frame.moment.pts_s
        moment = frame.moment.shifted(end_s - pts_s) if ended else frame.moment
        return [
            frame.event(
                "zone.motion",
                f"{name}:{self._period}",
                Producer("flow", name, self.context.config_hash),
                moment=moment,
                data={"zone": name, "from_s": round(start_s, 6), **zone.report()},
            )
            for name, zone in self._zones.items()
            if zone.seconds > 0
        ]
