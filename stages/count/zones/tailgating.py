"""Who follows too closely: how long ago the one in front was where an object is now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import hypot

import numpy as np

from stages.count.geometry import F64Array, Point
from stages.count.zones.by_object import ByObject
from stages.count.zones.scene import Scene, Visitor
from stages.count.zones.spells import Data

ToMetres = Callable[[F64Array], F64Array]
"""Takes points (N, 2) px to metres on the ground, (N, 2), NaN where that cannot be told."""

TRAIL_POINTS = 40
MOST_FOLLOWED = 200
"""Most objects of a zone that are compared with each other."""

_SAME_PATH = 0.35
"""How far a place may lie beside another's path to be on it, in diagonals of the box: half a car's width."""
_TRAIL_GOES_ON_S = 1.0
"""Who was not seen for longer leads nobody."""
_STEPS = 4
"""Points of a trail over which its direction is taken, as single steps tremble."""
_APART_AGAIN = 1.2
"""A gap must become so many times the limit to be wide again."""


@dataclass(slots=True)
class _Follower:
    """What is known of one object.

    Attributes:
        trail: (media time, x, y) of where it was, oldest first.
        close_s: since when it follows too closely, None while it does not.
        leader: whom it followed too closely last.
        gap_s: the time gap to them then.
        gap_m: the distance, None where it cannot be told.
        least_s: smallest gap since `close_s`.
    """

    trail: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=TRAIL_POINTS))
    close_s: float | None = None
    leader: int | None = None
    gap_s: float = 0.0
    gap_m: float | None = None
    least_s: float = 0.0


class Tailgating(ByObject):
    """Who follows another by less than a number of seconds, or metres.

    The gap in time is how long ago the one in front was at the place where the follower is now (headway:
    measured between the same points of both). It needs no ground plane and no speed. Those who come the
    other way, or go side by side, do not follow.

    Args:
        under_s: smallest gap that is allowed, seconds.
        under_m: the same in metres; None does not look at them.
        for_s: a gap must be too small for so long.
        to_metres: the ground plane, if there is one.
        update_s: seconds between updates.
    """

    kind = "zone.tailgating"
    over = "apart"
    word = "tailgating"

    def __init__(
        self,
        under_s: float,
        under_m: float | None,
        for_s: float,
        to_metres: ToMetres | None,
        update_s: float,
    ) -> None:
        super().__init__(update_s)
        self._under_s, self._under_m, self._for_s = under_s, under_m, for_s
        self._to_metres = to_metres
        self._step_s = _APART_AGAIN * under_s / (TRAIL_POINTS - 4)
        self._looked_s = -np.inf
        self._followers: dict[int, _Follower] = {}

    def _prepare(self, scene: Scene) -> None:
        if scene.time_s - self._looked_s < self._step_s:
            return
        self._looked_s = scene.time_s
        for visitor in scene.observed[:MOST_FOLLOWED]:
            follower = self._followers.setdefault(visitor.object_id, _Follower())
            follower.trail.append((scene.time_s, *visitor.xy))
        trails = _Trails(self._followers, scene.time_s - _TRAIL_GOES_ON_S)
        for visitor in scene.observed[:MOST_FOLLOWED]:
            self._judge(visitor, trails, scene)

    def _judge(self, visitor: Visitor, trails: _Trails, scene: Scene) -> None:
        follower = self._followers[visitor.object_id]
        stands = scene.time_s - visitor.standing.since_s > 1.0
        found = None if stands else trails.leader_of(visitor, scene.time_s)
        if found is None:
            follower.close_s = None
            return
        leader, gap_s = found
        gap_m = self._metres(visitor.xy, trails.place(leader))
        slack = 1.0 if follower.close_s is None else _APART_AGAIN
        too_close = gap_s < slack * self._under_s
        if self._under_m is not None and gap_m is not None:
            too_close = too_close or gap_m < slack * self._under_m
        if not too_close:
            follower.close_s = None
            return
        if follower.close_s is None:
            follower.close_s, follower.least_s = scene.time_s, gap_s
        follower.leader, follower.gap_s, follower.gap_m = leader, gap_s, gap_m
        follower.least_s = min(follower.least_s, gap_s)

    def _metres(self, place: Point, other: Point) -> float | None:
        if self._to_metres is None:
            return None
        here, there = self._to_metres(np.array([place, other])).tolist()
        metres = hypot(here[0] - there[0], here[1] - there[1])
        return metres if np.isfinite(metres) else None

    def _since_s(self, visitor: Visitor, time_s: float) -> float | None:
        follower = self._followers.get(visitor.object_id)
        if follower is None or follower.close_s is None:
            return None
        return follower.close_s if time_s - follower.close_s >= self._for_s else None

    def _data(self, visitor: Visitor, time_s: float) -> Data:  # noqa: ARG002
        follower = self._followers[visitor.object_id]
        gap_m = None if follower.gap_m is None else round(follower.gap_m, 2)
        return {
            "leader": follower.leader,
            "gap_s": round(follower.gap_s, 3),
            "least_gap_s": round(follower.least_s, 3),
            "gap_m": gap_m,
            "speed_kmh": None if visitor.speed_kmh is None else round(visitor.speed_kmh, 1),
        }

    def _forget(self, object_id: int) -> None:
        self._followers.pop(object_id, None)

    def _forget_all(self) -> None:
        self._followers.clear()


class _Trails:
    """Where all objects of a zone that were seen since a moment were lately, as one table."""

    def __init__(self, followers: dict[int, _Follower], since_s: float) -> None:
        self._ids = [
            object_id
            for object_id, follower in followers.items()
            if len(follower.trail) >= 2 and follower.trail[-1][0] >= since_s
        ]
        counts = [len(followers[object_id].trail) for object_id in self._ids]
        self._begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = [row for object_id in self._ids for row in followers[object_id].trail]
        self._table = np.array(rows, np.float64).reshape(-1, 3)
        self._row = {object_id: number for number, object_id in enumerate(self._ids)}

    def place(self, object_id: int) -> Point:
        """Return where an object was last."""
        _, x, y = self._table[self._begins[self._row[object_id] + 1] - 1].tolist()
        return x, y

    def leader_of(self, visitor: Visitor, time_s: float) -> tuple[int, float] | None:
        """Return who was last where the visitor is now, and how many seconds ago; None if nobody was."""
        number = self._row.get(visitor.object_id)
        if number is None:
            return None
        own_first, own_last = int(self._begins[number]), int(self._begins[number + 1]) - 1
        heading = self._step(max(own_first, own_last - _STEPS), own_last)
        apart = np.hypot(self._table[:, 1] - visitor.xy[0], self._table[:, 2] - visitor.xy[1])
        found: tuple[int, float] | None = None
        for other, object_id in enumerate(self._ids):
            if other == number:
                continue
            first, end = int(self._begins[other]), int(self._begins[other + 1])
            nearest = first + int(apart[first:end].argmin())
            # Whoever is nearest now has not gone on from here; whoever was so at first came from there.
            if nearest in (first, end - 1) or apart[nearest] > _SAME_PATH * visitor.size_px:
                continue
            step = self._step(max(first, nearest - _STEPS), min(end - 1, nearest + _STEPS))
            if float(step @ heading) <= 0:
                continue
            ago_s = time_s - self._passed_s(nearest, np.array(visitor.xy))
            if found is None or ago_s < found[1]:
                found = (object_id, ago_s)
        return found

    def _step(self, row: int, to_row: int) -> F64Array:
        """Return the displacement between two rows of the table."""
        step: F64Array = self._table[to_row, 1:] - self._table[row, 1:]
        return step

    def _passed_s(self, row: int, xy: F64Array) -> float:
        """Return when the path through the row and its neighbours was nearest to a place."""
        before, here, after = self._table[row - 1], self._table[row], self._table[row + 1]
        step = after - before
        length2 = float(step[1:] @ step[1:])
        if length2 == 0:
            return float(here[0])
        share = float((xy - before[1:]) @ step[1:]) / length2
        return float(before[0] + min(max(share, 0.0), 1.0) * step[0])
