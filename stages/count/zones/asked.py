"""Makes the questions that the options ask of a zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.errors import ConfigError
from pipeline.plugin import StreamInfo
from stages.count.ground.plane import Plane
from stages.count.zones.crowding import Crowd, Occupancy
from stages.count.zones.lingering import Dwell, Loitering, Stopped
from stages.count.zones.options import ZoneOptions
from stages.count.zones.queue import Queue
from stages.count.zones.region import Region
from stages.count.zones.scene import Question
from stages.count.zones.tailgating import Tailgating
from stages.count.zones.wrong_way import Lane, WrongWay
from stages.vision.polygon import area

_CORNER_ERROR_PX = 1.0
_CORNER_ERROR_M = 2.0
"""A corner of a zone whose place on the ground is less sure than this says nothing of its area."""


@dataclass(frozen=True, slots=True)
class Place:
    """A zone laid into the picture, and what is known of the ground there.

    Attributes:
        where: what to call it in errors, "zone 'till'".
        options: of the zone.
        region: px.
        plane: the ground, None where it is not calibrated.
        info: of the stream.
    """

    where: str
    options: ZoneOptions
    region: Region
    plane: Plane | None
    info: StreamInfo


def questions(place: Place) -> list[Question]:
    """Return what is asked of a zone.

    Raises:
        ConfigError: if a question needs the ground, and that is not known there.
    """
    asked: list[Question] = []
    options = place.options
    if (occupancy := options.occupancy) is not None:
        asked.append(Occupancy(occupancy.over, occupancy.steady_s, occupancy.update_s))
    if (dwell := options.dwell) is not None:
        asked.append(Dwell(dwell.after_s, dwell.update_s))
    if (queue := options.queue) is not None:
        asked.append(Queue(queue.length, queue.joined_s, queue.steady_s, queue.update_s))
    if (loitering := options.loitering) is not None:
        asked.append(Loitering(loitering.after_s, loitering.return_s, loitering.update_s))
    if (wrong_way := options.wrong_way) is not None:
        lane = Lane(options.way(place.where, place.info))
        asked.append(WrongWay(lane, wrong_way.distance, wrong_way.update_s))
    if (stopped := options.stopped) is not None:
        asked.append(Stopped(stopped.after_s, stopped.update_s))
    if options.tailgating is not None:
        asked.append(_tailgating(place))
    if options.crowd is not None:
        asked.append(_crowd(place))
    return asked


def _tailgating(place: Place) -> Tailgating:
    options, plane = place.options.tailgating, place.plane
    assert options is not None  # noqa: S101 - for mypy
    if options.under_m is not None and plane is None:
        raise ConfigError(
            f"{place.where}: tailgating.under_m needs the stage's ground, to know metres; "
            "calibrate it (sightline calibrate) or give only under_s"
        )
    to_metres = None if plane is None else lambda points: plane.read(points).metres
    return Tailgating(options.under_s, options.under_m, options.for_s, to_metres, options.update_s)


def _crowd(place: Place) -> Crowd:
    options = place.options.crowd
    assert options is not None  # noqa: S101 - for mypy
    if options.per_percent is not None:
        share = place.region.area_px2 / (place.info.width * place.info.height)
        return Crowd(options.per_percent, 100 * share, "percent", options.steady_s, options.update_s)
    assert options.per_m2 is not None  # noqa: S101 - for mypy
    if place.plane is None:
        raise ConfigError(
            f"{place.where}: crowd.per_m2 needs the stage's ground, to know square metres; "
            "calibrate it (sightline calibrate) or use per_percent"
        )
    return Crowd(options.per_m2, area_m2(place), "m2", options.steady_s, options.update_s)


def area_m2(place: Place) -> float:
    """Return the zone's area on the ground.

    Raises:
        ConfigError: if a corner is beyond the horizon, or its place is too uncertain.
    """
    assert place.plane is not None  # noqa: S101 - for mypy
    areas = []
    for ring in (place.region.outer, *place.region.holes):
        corners = np.array(ring, np.float64)
        known = place.plane.is_measurable(corners, _CORNER_ERROR_PX, _CORNER_ERROR_M)
        if not known.all():
            x, y = corners[~known][0].tolist()
            raise ConfigError(
                f"{place.where}: crowd.per_m2 needs all corners on the ground, and ({x:g}, {y:g}) px is "
                f"beyond the horizon or not known to {_CORNER_ERROR_M:g} m; draw the zone nearer, "
                "or use per_percent"
            )
        areas.append(area([(x, y) for x, y in place.plane.read(corners).metres.tolist()]))
    return areas[0] - sum(areas[1:])
