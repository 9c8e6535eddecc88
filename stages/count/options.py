"""The options of the stage `count`: what is common to all its parts, and one field for each part."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pipeline.plugin import Options
from stages.count.fields import Name, Seconds
from stages.count.ground.options import GroundOptions
from stages.count.history.options import TrajectoryOptions
from stages.count.lines.options import LineOptions
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
        trajectories: keep where every object went, to count the past later; nothing is kept when left out.
        vanished_s: an object unseen for so long has left the picture; if it was last seen beyond a line's
            band, its crossing counts although `hold_s` has not passed.
        forget_s: an object unseen for longer is forgotten; set it to at least the time for which the
            tracker may give a lost object its id back.
    """

    lines: dict[Name, LineOptions] = Field(default_factory=dict)
    zones: dict[Name, ZoneOptions] = Field(default_factory=dict)
    routes: dict[Name, RouteOptions] = Field(default_factory=dict)
    masks: dict[Name, MaskOptions] = Field(default_factory=dict)
    ground: GroundOptions | None = None
    trajectories: TrajectoryOptions | None = None
    vanished_s: Seconds = 1.0
    forget_s: Seconds = 10.0

    @model_validator(mode="after")
    def _something_to_count(self) -> Self:
        if not self.lines and not self.zones and self.ground is None and self.trajectories is None:
            raise ValueError("there is nothing to count; give it lines, zones, ground or trajectories")
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
    def _ordered(self) -> Self:
        if self.forget_s < self.vanished_s:
            raise ValueError(
                f"forget_s ({self.forget_s:g}) must not be less than vanished_s ({self.vanished_s:g})"
            )
        return self
