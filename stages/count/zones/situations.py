"""What can be said of each kind of situation."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.plugin import Options
from stages.count.fields import Position, Seconds

Positive = Annotated[float, Field(gt=0)]


class SituationOptions(Options):
    """What all kinds have in common.

    Attributes:
        update_s: media seconds between two updates while it goes on.
    """

    update_s: Annotated[float, Field(ge=1)] = 60.0


class OccupancyOptions(SituationOptions):
    """`zone.occupancy`: more than so many objects are inside.

    Attributes:
        over: it begins when there are more than so many; with 0 when anybody is there.
        steady_s: it begins and ends after so long without a break.
        update_s: media seconds between two updates while it goes on.
    """

    over: Annotated[int, Field(ge=0)] = 0
    steady_s: Seconds = 1.0


class DwellOptions(SituationOptions):
    """`zone.dwell`: an object stays long in one visit.

    Attributes:
        after_s: seconds inside after which it begins.
        update_s: media seconds between two updates while it goes on.
    """

    after_s: Positive = 30.0


class QueueOptions(SituationOptions):
    """`zone.queue`: objects wait.

    Attributes:
        length: it is a queue from so many on.
        joined_s: who has stood still for so long has joined, and waits until it leaves the zone.
        steady_s: it begins and ends after so long without a break.
        update_s: media seconds between two updates while it goes on.
    """

    length: Annotated[int, Field(ge=1)] = 2
    joined_s: Positive = 2.0
    steady_s: Seconds = 1.0
    update_s: Annotated[float, Field(ge=1)] = 10.0


class LoiteringOptions(SituationOptions):
    """`zone.loitering`: an object hangs about; its visits are added up.

    Attributes:
        after_s: seconds inside, all visits together, after which it begins.
        return_s: who is away for longer has gone; that ends it.
        update_s: media seconds between two updates while it goes on.
    """

    after_s: Positive = 60.0
    return_s: Annotated[float, Field(ge=0, le=3600)] = 20.0


class WrongWayOptions(SituationOptions):
    """`zone.wrong_way`: an object goes against the direction.

    Attributes:
        way: two or more points of a line that leads in the right direction, in the zone's units.
        distance: how far it must go back, in diagonals of its box.
        update_s: media seconds between two updates while it goes on.
    """

    way: Annotated[tuple[Position, ...], Field(min_length=2, max_length=50)]
    distance: Annotated[float, Field(gt=0, le=20)] = 0.5

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        for i in range(1, len(self.way)):
            if self.way[i] == self.way[i - 1]:
                raise ValueError(
                    "way has the same point twice in a row; it needs at least two different points"
                )
        return self


class StoppedOptions(SituationOptions):
    """`zone.stopped`: an object stands still.

    Attributes:
        after_s: seconds of standing after which it begins.
        update_s: media seconds between two updates while it goes on.
    """

    after_s: Positive = 10.0


class TailgatingOptions(SituationOptions):
    """`zone.tailgating`: an object follows another too closely.

    Attributes:
        under_s: smaller gaps are too small: seconds since the one in front was at the same place.
        under_m: the same in metres between the same points of both; needs `ground`.
        for_s: a gap must be too small for so long.
        update_s: media seconds between two updates while it goes on.
    """

    under_s: Annotated[float, Field(gt=0, le=30)] = 1.0
    under_m: Positive | None = None
    for_s: Seconds = 0.5


class CrowdOptions(SituationOptions):
    """`zone.crowd`: there are too many for the room.

    Attributes:
        per_m2: objects per square metre of the zone; needs `ground`.
        per_percent: objects per hundredth of the picture's area, where the ground is not known.
        steady_s: it begins and ends after so long without a break.
        update_s: media seconds between two updates while it goes on.
    """

    per_m2: Positive | None = None
    per_percent: Positive | None = None
    steady_s: Seconds = 2.0
    update_s: Annotated[float, Field(ge=1)] = 10.0

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.per_m2 is None) == (self.per_percent is None):
            raise ValueError("say the density either as per_m2 (needs ground) or as per_percent, not both")
        return self
