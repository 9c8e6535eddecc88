"""Who goes against the direction of a zone."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

from stages.count.geometry import Point
from stages.count.zones.by_object import ByObject
from stages.count.zones.scene import Scene, Visitor
from stages.count.zones.spells import Data

_LENGTHWAYS = 0.5
"""Smallest share of a displacement that must lie along the way: within 60 degrees of it."""


class Lane:
    """A directed line along which to go, with bends.

    Args:
        points: (x, y) px of its start, its bends and its end.
    """

    def __init__(self, points: tuple[Point, ...]) -> None:
        self._parts: list[tuple[Point, Point, float, float]] = []  # both ends, length, length before
        before = 0.0
        for i in range(1, len(points)):
            (ax, ay), (bx, by) = points[i - 1], points[i]
            length = hypot(bx - ax, by - ay)
            if length > 0:
                self._parts.append((points[i - 1], points[i], length, before))
                before += length

    def progress_px(self, point: Point) -> float:
        """Return how far along the line its nearest place is, px; beyond its ends it goes on straight."""
        best, nearest_px = 0.0, -1.0
        for number, ((ax, ay), (bx, by), length, before) in enumerate(self._parts):
            dx, dy = (bx - ax) / length, (by - ay) / length
            x, y = point[0] - ax, point[1] - ay
            along = x * dx + y * dy
            low = -float("inf") if number == 0 else 0.0
            high = float("inf") if number == len(self._parts) - 1 else length
            along = min(max(along, low), high)
            apart = hypot(x - along * dx, y - along * dy)
            if nearest_px < 0 or apart < nearest_px:
                best, nearest_px = before + along, apart
        return best


@dataclass(slots=True)
class _Way:
    """How far one object has come.

    Attributes:
        turn_s: media time of the turning point: the furthest place, or the least far one while it goes wrong.
        turn_px: progress there.
        turn: (x, y) px.
        wrong_s: since when it goes against the direction, None while it does not.
        back_px: how far back it has come.
    """

    turn_s: float
    turn_px: float
    turn: Point
    wrong_s: float | None = None
    back_px: float = 0.0


class WrongWay(ByObject):
    """Who goes back along the lane by more than a share of its own size.

    Judged by how far an object has come back from the furthest place that it had reached, so that neither
    trembling boxes nor slow ones matter, nor how often they are seen. Its moment is that of turning.

    Args:
        lane: the allowed direction.
        distance: how far back, in diagonals of the object's box.
        update_s: seconds between updates.
    """

    kind = "zone.wrong_way"
    over = "turned"
    word = "the wrong way"

    def __init__(self, lane: Lane, distance: float, update_s: float) -> None:
        super().__init__(update_s)
        self._lane, self._distance = lane, distance
        self._ways: dict[int, _Way] = {}

    def _prepare(self, scene: Scene) -> None:
        for visitor in scene.observed:
            progress_px, time_s = self._lane.progress_px(visitor.xy), scene.time_s
            way = self._ways.get(visitor.object_id)
            if way is None:
                self._ways[visitor.object_id] = _Way(time_s, progress_px, visitor.xy)
            else:
                self._move(way, visitor, progress_px, time_s)

    def _move(self, way: _Way, visitor: Visitor, progress_px: float, time_s: float) -> None:
        ahead_px = progress_px - way.turn_px if way.wrong_s is None else way.turn_px - progress_px
        if ahead_px >= 0:
            if way.wrong_s is not None:
                way.back_px += ahead_px
            way.turn_s, way.turn_px, way.turn = time_s, progress_px, visitor.xy
            return
        moved_px = hypot(visitor.xy[0] - way.turn[0], visitor.xy[1] - way.turn[1])
        if -ahead_px < self._distance * visitor.size_px or -ahead_px < _LENGTHWAYS * moved_px:
            return
        if way.wrong_s is None:
            way.wrong_s, way.back_px = way.turn_s, -ahead_px
        else:
            way.wrong_s = None
        way.turn_s, way.turn_px, way.turn = time_s, progress_px, visitor.xy

    def _since_s(self, visitor: Visitor, time_s: float) -> float | None:  # noqa: ARG002
        return self._ways[visitor.object_id].wrong_s

    def _data(self, visitor: Visitor, time_s: float) -> Data:  # noqa: ARG002
        return {"distance_px": round(self._ways[visitor.object_id].back_px, 1)}

    def _forget(self, object_id: int) -> None:
        self._ways.pop(object_id, None)

    def _forget_all(self) -> None:
        self._ways.clear()
