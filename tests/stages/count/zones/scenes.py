"""Ways to put objects through zones."""

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from pipeline.event import Event
from pipeline.plugin import StageContext, StreamInfo
from stages.count.ground.options import GroundOptions
from stages.count.zones.options import ZoneOptions
from stages.count.zones.part import Zones
from tests.stages.count.seen import HEIGHT, WIDTH, frame_at, seen_at

INFO = StreamInfo("cam", "file:cam", "run", WIDTH, HEIGHT)
SQUARE = [[200, 100], [400, 100], [400, 300], [200, 300]]

Place = tuple[float, float] | None


def zones(
    *, ground: Mapping[str, Any] | None = None, info: StreamInfo = INFO, **options: Mapping[str, Any]
) -> Zones:
    """Return the part with zones whose corners are in px; a square in the middle when none are given."""
    checked = {
        name: ZoneOptions.model_validate({"polygon": SQUARE, "units": "px", **given})
        for name, given in options.items()
    }
    known = None if ground is None else GroundOptions.model_validate(ground)
    part = Zones(checked, 1.0, 10.0, known, StageContext("cam", config_hash="c0ffee"))
    part.open(info)
    return part


def drive(
    part: Zones,
    paths: Mapping[int, Callable[[float], Place]],
    until_s: float,
    *,
    rate_hz: float = 10.0,
    start_s: float = 0.0,
    label: str = "person",
    finish: bool = False,
    **fields: Any,
) -> list[Event]:
    """Return what is told while objects follow paths, each a function of time; None where one is not seen."""
    events: list[Event] = []
    count = round((until_s - start_s) * rate_hz)
    for number in range(count + 1):
        time_s = start_s + number / rate_hz
        places = {object_id: path(time_s) for object_id, path in paths.items()}
        rows = [(object_id, *place, label) for object_id, place in places.items() if place is not None]
        events += part.update(seen_at(frame_at(time_s, **fields), *rows))
    if finish:
        events += part.finish(seen_at(frame_at(until_s)))
    return events


def of(events: Iterable[Event], kind: str) -> list[Event]:
    """Return the events of a kind."""
    return [event for event in events if event.kind == kind]


def told(events: Iterable[Event], kind: str) -> list[tuple[str, float]]:
    """Return state and media time of the events of a kind."""
    return [(event.data["state"], round(event.moment.pts_s, 2)) for event in of(events, kind)]


def along(*stops: tuple[float, float, float]) -> Callable[[float], Place]:
    """Return a path through (time, x, y), straight between them; seen from the first to the last."""

    def place(time_s: float) -> Place:
        if not stops[0][0] <= time_s <= stops[-1][0]:
            return None
        for (a, ax, ay), (b, bx, by) in pairwise(stops):
            if a <= time_s <= b:
                share = 0.0 if a == b else (time_s - a) / (b - a)
                return ax + share * (bx - ax), ay + share * (by - ay)
        return stops[0][1:]

    return place
