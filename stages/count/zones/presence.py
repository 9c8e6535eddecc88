"""Who is in which region: all objects and all regions at once, in a few operations on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array, Point
from stages.count.zones.region import BoolArray, Region, Stretch, distances, edge_table
from stages.count.zones.stay import Stay, walk

I64Array = npt.NDArray[np.int64]

_FIRST_SLOTS = 64


class Way(StrEnum):
    """How an object's relation to a region changed."""

    ENTERED = "entered"
    APPEARED = "appeared"
    """It was first seen inside."""
    LEFT = "left"
    LOST = "lost"
    """It was last seen inside."""


@dataclass(frozen=True, slots=True)
class Change:
    """An object came into a region or is gone from it, for certain.

    Attributes:
        zone: number of the region.
        object_id: who.
        way: how.
        time_s: media time at which its path came in, left, or was last seen inside.
        position: (x, y) px of its latest observation, which made it certain.
    """

    zone: int
    object_id: int
    way: Way
    time_s: float
    position: Point


@dataclass(frozen=True, slots=True)
class Zone:
    """A region and its hysteresis.

    Attributes:
        region: px.
        band_px: an object is gone only if it is further away than this.
        hold_s: and only after so long; it is in only after so long in the region.
        anchor: number of the column of points that it is asked about.
    """

    region: Region
    band_px: float
    hold_s: float
    anchor: int = 0


class _Pairs(NamedTuple):
    """Paths that come near a region: rows (P,), zones (P,), and both ends (P, 2) px."""

    rows: I64Array
    zones: I64Array
    starts: F64Array
    ends: F64Array


class Presence:
    """Knows who is in which of many regions; the answers are those of `stay.stays`, for each pair by itself.

    Give it *observed* positions only. Where nothing can have changed, which is nearly always and nearly
    everywhere, that is found out for all pairs together; only paths that come near an edge are cut exactly.

    Args:
        zones: the regions.
        forget_s: an object unobserved for longer is lost, and forgotten; should its id return, it is new.
    """

    def __init__(self, zones: Sequence[Zone], forget_s: float) -> None:
        self._zones = tuple(zones)
        self._forget_s = forget_s
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._ids = np.full(_FIRST_SLOTS, -1, np.int64)
        self._first_s = np.zeros(_FIRST_SLOTS)
        self._last_s = np.full(_FIRST_SLOTS, np.inf)
        columns = 1 + max((zone.anchor for zone in zones), default=0)
        self._last = np.zeros((_FIRST_SLOTS, columns, 2))
        # How far each object was last from each region's edge, and from its band's rim; 0 is unknown.
        self._edge_px = np.zeros((_FIRST_SLOTS, len(zones)))
        self._rim_px = np.zeros((_FIRST_SLOTS, len(zones)))
        self._oldest_s = -np.inf  # nobody was seen last before that, as far as was looked
        self._stays: dict[int, dict[int, Stay]] = {}
        self._leaving: set[tuple[int, int]] = set()  # (object, zone): outside of it, not yet for certain
        bands = np.array([zone.band_px for zone in zones])
        bounds = np.array([zone.region.bounds for zone in zones]).reshape(-1, 4)
        self._low, self._high = bounds[:, :2] - bands[:, None], bounds[:, 2:] + bands[:, None]
        self._anchor = np.array([zone.anchor for zone in zones], np.int64)
        self._band_px = bands
        self._edges = edge_table([zone.region.edges for zone in zones])

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._slots)

    def update(self, time_s: float, ids: Sequence[int], points: F64Array) -> list[Change]:
        """Take the positions observed at `time_s`; call it for every frame, also without any.

        Args:
            time_s: media time, never less than before.
            ids: (N,) objects, each once.
            points: (N, A, 2) float64 px, the points of each box that the zones' `anchor` chooses from.

        Returns:
            What became certain: first of those that were lost, then in the order of `ids`.
        """
        changes = self._retire(time_s)
        if not ids or not self._zones:
            return changes
        slots, new = self._slots_of(ids, time_s)
        before, before_s = self._last[slots], self._last_s[slots]
        if new:
            before[new], before_s[new] = points[new], time_s
        rows, zones = self._near(ids, before, points)
        if len(rows):
            columns = self._anchor[zones]
            pairs = _Pairs(rows, zones, before[rows, columns], points[rows, columns])
            changes += self._follow(time_s, ids, slots, pairs, before_s)
        else:
            self._edge_px[slots] = self._rim_px[slots] = 0.0
        self._last[slots], self._last_s[slots] = points, time_s
        return changes

    def finish(self) -> list[Change]:
        """Return who is gone because nothing more will be seen; forget all."""
        changes = [change for object_id in list(self._slots) for change in self._gone(object_id)]
        self.forget()
        return changes

    def forget(self) -> None:
        """Forget all objects."""
        self._slots.clear()
        self._free.clear()
        self._stays.clear()
        self._leaving.clear()
        self._last_s[:] = np.inf
        self._oldest_s = -np.inf

    def _near(self, ids: Sequence[int], before: F64Array, points: F64Array) -> tuple[I64Array, I64Array]:
        """Return rows and zones of the pairs whose path comes near the zone's bounding box."""
        low, high = np.minimum(before, points), np.maximum(before, points)
        if low.shape[1] > 1:
            low, high = low[:, self._anchor], high[:, self._anchor]
        near: BoolArray = (low[..., 0] <= self._high[:, 0]) & (high[..., 0] >= self._low[:, 0])
        near &= (low[..., 1] <= self._high[:, 1]) & (high[..., 1] >= self._low[:, 1])
        if self._leaving:
            row_of = {object_id: row for row, object_id in enumerate(ids)}
            for object_id, zone in self._leaving:
                if object_id in row_of:
                    near[row_of[object_id], zone] = True
        rows, zones = near.nonzero()
        return rows, zones

    def _look(self, slots: I64Array, pairs: _Pairs) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
        """Look at the paths all at once.

        Around a point that is d px from the nearest edge lies a disc of that radius without an edge. If the
        discs of both ends cover the path, it meets no edge. The same holds for the band's rim.

        Returns:
            (P,) whether each path ends inside; ends beyond the band; can have met no edge; nor the rim.
        """
        zones = pairs.zones
        inside, edge_px = distances(pairs.ends, self._edges[:, :, zones])
        outside_px = edge_px - self._band_px[zones]
        rim_px = np.abs(outside_px)
        step = pairs.ends - pairs.starts
        step_px = np.hypot(step[:, 0], step[:, 1])
        stands = step_px == 0
        where = (slots[pairs.rows], zones)
        no_edge = stands | (self._edge_px[where] + edge_px > step_px)
        no_rim = stands | (self._rim_px[where] + rim_px > step_px)
        self._edge_px[slots] = self._rim_px[slots] = 0.0  # nothing is known of those that are not near
        self._edge_px[where], self._rim_px[where] = edge_px, rim_px
        return inside, ~inside & (outside_px > 0), no_edge, no_rim

    def _follow(
        self, time_s: float, ids: Sequence[int], slots: I64Array, pairs: _Pairs, before_s: F64Array
    ) -> list[Change]:
        """Move the pairs on; return what became certain."""
        changes: list[Change] = []
        nobody: dict[int, Stay] = {}
        inside, beyond, no_edge, no_rim = self._look(slots, pairs)
        quiet = no_edge & (inside | no_rim)
        chosen = np.arange(len(quiet)) if self._leaving else np.flatnonzero(inside | ~quiet)
        columns = (
            chosen,
            *(column[chosen] for column in (pairs.rows, pairs.zones, inside, beyond, no_edge, quiet)),
        )
        times_s: list[float] = before_s.tolist()
        places = zip(*(column.tolist() for column in columns), strict=True)
        for pair, row, number, is_in, is_beyond, meets_no_edge, is_quiet in places:
            object_id = ids[row]
            stay = self._stays.get(object_id, nobody).get(number)
            if stay is None:
                if meets_no_edge and not is_in:
                    continue
                stay = Stay()
            elif is_quiet and is_in and stay.inside and stay.since_s is None:
                stay.within_s = time_s
                continue
            zone = self._zones[number]
            if is_quiet:
                parts = [(Stretch(0.0, 1.0, is_in, is_beyond), times_s[row], time_s)]
            else:
                start, end = pairs.starts[pair].tolist(), pairs.ends[pair].tolist()
                parts = walk(
                    zone.region, (start[0], start[1]), (end[0], end[1]), times_s[row], time_s, zone.band_px
                )
            for stretch, from_s, to_s in parts:
                if stay.advance(from_s, to_s, stretch, zone.hold_s):
                    x, y = pairs.ends[pair].tolist()
                    changes.append(self._changed(object_id, number, stay, (x, y)))
            self._keep(object_id, number, stay)
        return changes

    def _changed(self, object_id: int, zone: int, stay: Stay, position: Point) -> Change:
        if not stay.inside:
            return Change(zone, object_id, Way.LEFT, stay.within_s, position)
        appeared = stay.entered_s == self._first_s[self._slots[object_id]]
        return Change(zone, object_id, Way.APPEARED if appeared else Way.ENTERED, stay.entered_s, position)

    def _keep(self, object_id: int, zone: int, stay: Stay) -> None:
        """Remember a stay as long as it is one, or may become one."""
        if stay.inside or stay.since_s is not None:
            self._stays.setdefault(object_id, {})[zone] = stay
        elif object_id in self._stays:
            self._stays[object_id].pop(zone, None)
            if not self._stays[object_id]:
                del self._stays[object_id]
        if stay.inside and stay.since_s is not None:
            self._leaving.add((object_id, zone))
        else:
            self._leaving.discard((object_id, zone))

    def _retire(self, time_s: float) -> list[Change]:
        """Forget those unobserved for long."""
        if time_s - self._oldest_s <= self._forget_s:
            return []
        slots = np.flatnonzero(time_s - self._last_s > self._forget_s)
        changes = []
        for object_id in self._ids[slots].tolist():
            changes += self._gone(object_id)
            self._last_s[self._slots[object_id]] = np.inf
            self._free.append(self._slots.pop(object_id))
        self._oldest_s = min(float(self._last_s.min()), time_s)
        return changes

    def _gone(self, object_id: int) -> list[Change]:
        """Return that an object is gone from all regions."""
        slot = self._slots[object_id]
        last_s = float(self._last_s[slot])
        changes = []
        for zone, stay in self._stays.pop(object_id, {}).items():
            self._leaving.discard((object_id, zone))
            if stay.inside:
                way = Way.LOST if stay.within_s == last_s else Way.LEFT
                x, y = self._last[slot, self._anchor[zone]].tolist()
                changes.append(Change(zone, object_id, way, stay.within_s, (x, y)))
        return changes

    def _slots_of(self, ids: Sequence[int], time_s: float) -> tuple[I64Array, list[int]]:
        """Return each object's slot, and the rows of those that are new."""
        slots, new = [], []
        for row, object_id in enumerate(ids):
            slot = self._slots.get(object_id)
            if slot is None:
                slot = self._free.pop() if self._free else len(self._slots)
                self._slots[object_id] = slot
                new.append(row)
            slots.append(slot)
        if max(slots) >= len(self._ids):
            self._grow(max(slots) + 1)
        for row in new:
            self._ids[slots[row]], self._first_s[slots[row]] = ids[row], time_s
            self._edge_px[slots[row]] = self._rim_px[slots[row]] = 0.0
        return np.array(slots, np.int64), new

    def _grow(self, count: int) -> None:
        more = max(count, 2 * len(self._ids)) - len(self._ids)
        self._ids = np.pad(self._ids, (0, more))
        self._first_s = np.pad(self._first_s, (0, more))
        self._last_s = np.pad(self._last_s, (0, more), constant_values=np.inf)
        self._last = np.pad(self._last, ((0, more), (0, 0), (0, 0)))
        self._edge_px = np.pad(self._edge_px, ((0, more), (0, 0)))
        self._rim_px = np.pad(self._rim_px, ((0, more), (0, 0)))
