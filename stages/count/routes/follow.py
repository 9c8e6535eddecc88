"""Puts together where objects came in and where they went out: routes, and parts of routes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from stages.count.geometry import Point


class Side(StrEnum):
    """What passing a gate means."""

    IN = "in"
    OUT = "out"
    EITHER = "either"
    """It ends a route if one is going on, else it begins one."""
    REACHED = "reached"
    """It ends a route if one is going on: the object came to a place."""
    GONE = "gone"
    """It begins a route if none is going on: the object left a place."""


class Pass(NamedTuple):
    """An object went through a gate.

    Attributes:
        object_id: who.
        gate: name of the gate.
        side: into what lies between the gates, or out of it.
        time_s: media time.
        label: its class then.
        position: (x, y) px, None where it is not known.
    """

    object_id: int
    gate: str
    side: Side
    time_s: float
    label: str
    position: Point | None = None


class Cause(StrEnum):
    """Why a route is not whole."""

    APPEARED = "appeared"
    """It went out, and nobody saw it come in."""
    LOST = "lost"
    """It came in and was not seen to go out: it was lost."""
    AGAIN = "again"
    """It came in once more, and nobody saw it go out in between."""
    LATE = "late"
    """It came in and was there for too long."""
    SUSPENDED = "suspended"
    """It came in, and then the camera could not be trusted."""
    END = "end"
    """It came in, and the stream ended."""


class Known(NamedTuple):
    """What is known of one end of a route.

    Attributes:
        gate: its name.
        time_s: media time.
        position: (x, y) px, None where it is not known.
    """

    gate: str
    time_s: float
    position: Point | None


@dataclass(frozen=True, slots=True)
class Route:
    """A route, or what was seen of it.

    Attributes:
        object_id: whose.
        label: its class at the end.
        origin: where it came in, None when that was not seen.
        destination: where it went out, None when that was not seen.
        cause: why it is not whole, None when it is.
    """

    object_id: int
    label: str
    origin: Known | None
    destination: Known | None
    cause: Cause | None = None


class RouteFollower:
    """Follows many objects from gate to gate.

    Where gates tell in from out, every coming in begins a route and every going out ends one. Where they do
    not, an object has one route: from the first gate to the second. With `legs` it goes on from there.

    Args:
        legs: a destination is also the origin of what comes next.
        u_turns: coming back to the gate of the origin is a route too; else the route begins anew.
        within_s: a route that takes longer is given up; None for never.
    """

    def __init__(self, *, legs: bool = False, u_turns: bool = True, within_s: float | None = None) -> None:
        self._legs, self._u_turns, self._within_s = legs, u_turns, within_s
        self._open: dict[int, Pass] = {}  # in the order of coming in
        self._closed: set[int] = set()  # objects whose only route is over

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._open) + len(self._closed)

    def update(self, time_s: float, passes: Iterable[Pass]) -> list[Route]:
        """Take the passes that became known; they are put into the order of their times."""
        routes = []
        if self._within_s is not None:
            while self._open:
                oldest = next(iter(self._open.values()))
                if time_s - oldest.time_s <= self._within_s:
                    break
                del self._open[oldest.object_id]
                routes.append(_given_up(oldest, Cause.LATE))
        for one in sorted(passes, key=lambda one: one.time_s):
            routes += self._take(one)
        return routes

    def drop(self, ids: Iterable[int], cause: Cause) -> list[Route]:
        """Forget objects of which nothing more will be known; return what is left of their routes."""
        routes = []
        for object_id in ids:
            self._closed.discard(object_id)
            started = self._open.pop(object_id, None)
            if started is not None:
                routes.append(_given_up(started, cause))
        return routes

    def drop_all(self, cause: Cause) -> list[Route]:
        """Forget all objects; return what is left of their routes."""
        routes = self.drop(list(self._open), cause)
        self._closed.clear()
        return routes

    def _take(self, one: Pass) -> list[Route]:
        started = self._open.get(one.object_id)
        begins = one.side in (Side.IN, Side.GONE) or (one.side is Side.EITHER and started is None)
        return self._begin(one, started) if begins else self._end(one, started)

    def _begin(self, one: Pass, started: Pass | None) -> list[Route]:
        if one.side is Side.GONE and started is not None:
            return []
        if one.side is not Side.IN and one.object_id in self._closed:
            return []
        self._open.pop(one.object_id, None)
        self._open[one.object_id] = one
        return [] if started is None else [_given_up(started, Cause.AGAIN)]

    def _end(self, one: Pass, started: Pass | None) -> list[Route]:
        if started is None:
            if one.side is Side.OUT:
                return [Route(one.object_id, one.label, None, _known(one), Cause.APPEARED)]
            return []
        del self._open[one.object_id]
        back = one.gate == started.gate
        if back and not self._u_turns:
            if one.side is Side.EITHER:
                self._open[one.object_id] = one
            return []
        if self._legs and one.side is Side.EITHER:
            self._open[one.object_id] = one
        elif not self._legs and one.side is not Side.OUT:
            self._closed.add(one.object_id)
        return [Route(one.object_id, one.label, _known(started), _known(one))]


def _known(one: Pass) -> Known:
    return Known(one.gate, one.time_s, one.position)


def _given_up(started: Pass, cause: Cause) -> Route:
    return Route(started.object_id, started.label, _known(started), None, cause)
