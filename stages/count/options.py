"""The options of the stage `count`: what is common to all its parts, and one field for each part."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from pipeline.plugin import Options
from stages.count.evidence.options import EvidenceOptions
from stages.count.fields import Name, Seconds
from stages.count.ground.options import GroundOptions
from stages.count.history.options import TrajectoryOptions
from stages.count.lines.options import LineOptions
from stages.count.maps.part import MapsOptions
from stages.count.routes.options import RouteOptions
from stages.count.zones.options import MaskOptions, ZoneOptions


class CountOptions(Options):
    """Options of the stage `count`; at least one part is wanted.

    Attributes:
        lines: by name.
        zones: by name.
        routes: from which of the lines and zones to which objects go, by name.
        masks: areas, by name, in which objects do not exist for all that is counted here.
        ground: where the ground lies in the picture: speeds in km/h, areas and distances in metres.
        maps: heat maps and flow maps, for each interval of the clock.
        trajectories: keep where every object went, to count the past later; nothing is kept when left out.
        vanished_s: an object unseen for so long has left the picture; if it was last seen beyond a line's
            band, its crossing counts although `hold_s` has not passed.
        forget_s: an object unseen for longer is forgotten; set it to at least the time for which the
            tracker may give a lost object its id back.
        handover_s: a new track that begins within so long where a lost one must be by then is the same object
            and goes on under its id: what was counted stays counted. 0 for never.
        explain: write into the run's folder why each object that came near a line was or was not counted;
            `sightline explain RUN` shows it.
        evidence: what is kept as proof of each count, where results are written at all.
    """

    lines: dict[Name, LineOptions] = Field(default_factory=dict)
    zones: dict[Name, ZoneOptions] = Field(default_factory=dict)
    routes: dict[Name, RouteOptions] = Field(default_factory=dict)
    masks: dict[Name, MaskOptions] = Field(default_factory=dict)
    ground: GroundOptions | None = None
    maps: MapsOptions | None = None
    trajectories: TrajectoryOptions | None = None
    vanished_s: Seconds = 1.0
    forget_s: Seconds = 10.0
    handover_s: Annotated[float, Field(ge=0, le=5)] = 1.0
    explain: bool = False
    evidence: EvidenceOptions = EvidenceOptions()

    def places(self) -> dict[str, dict[str, Any]]:
        """Return what makes each line and zone what it is, by name; hysteresis plays no part."""
        lines = {
            name: line.model_dump(exclude={"band", "hold_s"}, exclude_defaults=True)
            for name, line in self.lines.items()
        }
        return lines | {name: zone.place() for name, zone in self.zones.items()}

    @model_validator(mode="after")
    def _something_to_count(self) -> Self:
        if not (self.lines or self.zones or self.ground or self.trajectories or self.maps):
            raise ValueError("there is nothing to count; give it lines, zones, ground, trajectories or maps")
        return self

    @model_validator(mode="after")
    def _routes_have_gates(self) -> Self:
        lines = {
            name: (line.directions.to_right, line.directions.to_left) for name, line in self.lines.items()
        }
        for name, routes in self.routes.items():
            routes.check(name, lines, self.zones)
        return self

    @model_validator(mode="after")
    def _metres_need_ground(self) -> Self:
        if self.ground is not None:
            return self
        for name, zone in self.zones.items():
            if zone.crowd is not None and zone.crowd.per_m2 is not None:
                raise ValueError(
                    f"zones.{name}: crowd.per_m2 needs the stage's ground, to know square metres; "
                    "calibrate it (sightline calibrate) or use per_percent"
                )
            if zone.tailgating is not None and zone.tailgating.under_m is not None:
                raise ValueError(
                    f"zones.{name}: tailgating.under_m needs the stage's ground, to know metres; "
                    "calibrate it (sightline calibrate) or give only under_s"
                )
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.forget_s < self.vanished_s:
            raise ValueError(
                f"forget_s ({self.forget_s:g}) must not be less than vanished_s ({self.vanished_s:g})"
            )
        return self

    def plain(self) -> dict[str, Any]:
        """Return all settings as plain JSON values, which make the same options again."""
        settings: dict[str, Any] = _plain(self.model_dump())
        return settings


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case set() | frozenset():  # their order changes from process to process
            return sorted(_plain(each) for each in value)
        case list() | tuple():
            return [_plain(each) for each in value]
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)
