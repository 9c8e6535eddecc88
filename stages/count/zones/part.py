"""The part of the stage `count` that tells who is in which zone, and what is worth telling of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.event import Event, Producer
from pipeline.frame import Area, Frame
from pipeline.plugin import StageContext, StreamInfo
from stages.count.fields import band_px
from stages.count.geometry import Anchor
from stages.count.ground.options import GroundOptions
from stages.count.kept import KeptTotals, Totals, place_key
from stages.count.seen import Seen, Visit
from stages.count.unmatched import Unmatched
from stages.count.zones.asked import Place
from stages.count.zones.options import ZoneOptions
from stages.count.zones.presence import Change, Presence, Way, Zone
from stages.count.zones.scene import Report, Visitor
from stages.count.zones.zone import Tracked, VisitTotals


@dataclass(slots=True)
class _Begun:
    """The event that began something, and how many updates there were since."""

    id: str
    updates: int = 0


class Zones:
    """Makes the events of all zones, fills `seen.visits`, and sets `frame.areas` and `frame.notes`.

    Only observed positions count. An object that is not seen any more is in its zones until it is forgotten;
    then it was lost there, at the moment when it was last seen.

    Args:
        zones: by name.
        vanished_s: see `CountOptions`.
        forget_s: see `CountOptions`.
        ground: where the ground lies, None where it is not calibrated.
        context: of the stage.
    """

    def __init__(
        self,
        zones: Mapping[str, ZoneOptions],
        vanished_s: float,
        forget_s: float,
        ground: GroundOptions | None,
        context: StageContext,
    ) -> None:
        self._options = zones
        self._vanished_s, self._forget_s = vanished_s, forget_s
        self._ground = ground
        self._context = context
        self._zones: list[Tracked] = []
        self._anchors: list[Anchor] = []
        self._presence = Presence([], forget_s)
        self._areas: Mapping[str, Area] = MappingProxyType({})
        self._begun: dict[tuple[str, str, int], _Begun] = {}  # by zone, kind and number
        self._numbers: dict[tuple[str, int], int] = {}  # of the visits that go on, by zone and object
        self._visits = 0
        self._latest: Frame | None = None
        self._now_s = 0.0
        self._kept: KeptTotals | None = None
        self._snapshot: Mapping[str, Totals] = {}
        self._late: list[Event] = []  # made while no frame was there to take them
        self._suspended = False
        self._unmatched = Unmatched("zone", context.stream, {})

    def open(self, info: StreamInfo) -> None:
        """Lay the zones into the picture. Totals of pictures of another size are kept, visits end.

        Raises:
            ConfigError: if a zone lies outside the picture, or asks for metres where they are not known.
        """
        if self._latest is not None:
            self._late += self._closed(Seen.of_nobody(self._latest), "picture")
        before = {zone.name: zone for zone in self._zones}
        self._anchors = list(dict.fromkeys(zone.anchor for zone in self._options.values()))
        plane = None if self._ground is None else self._ground.plane(info.width, info.height)
        kept: Mapping[str, Totals] = {}
        if self._kept is None:
            folder = self._context.folder if info.live else None
            self._kept = KeptTotals.of(folder, self._context.stream, "zones")
            keys = {name: place_key(**options.place()) for name, options in self._options.items()}
            kept = self._kept.restored(keys)
        zones: list[Tracked] = []
        laid: list[Zone] = []
        for name, options in self._options.items():
            where = f"zone '{name}'"
            region = options.laid(where, info)
            zone = Tracked(name, Place(where, options, region, plane, info), self._vanished_s)
            if name in before:
                zone.totals, zone.course = before[name].totals, before[name].course
            elif name in kept:
                zone.totals = VisitTotals.restored(kept[name])
            zones.append(zone)
            band = band_px(options.band, options.units, info)
            laid.append(Zone(region, band, options.hold_s, self._anchors.index(options.anchor)))
        self._zones, self._presence = zones, Presence(laid, self._forget_s)
        self._areas = MappingProxyType({zone.name: zone.outline for zone in zones})
        self._unmatched = Unmatched("zone", self._context.stream, self._options)

    def update(self, seen: Seen) -> list[Event]:
        """Find out who came, who is gone, and what there is to tell of the others."""
        self._latest, self._now_s = seen.frame, seen.time_s
        events, self._late = self._late, []
        self._unmatched.note(seen.labels, seen.attributes)
        if seen.suspended is None:
            events += self._told(seen)
        elif not self._suspended:
            events += self._closed(seen, "suspended")
        self._suspended = seen.suspended is not None
        self._show(seen)
        self._keep(seen.frame, changed=bool(seen.visits))
        return events

    def finish(self, seen: Seen) -> list[Event]:
        """Return the ends of all that goes on; forget all objects.

        Warns of each zone whose `labels` none of the objects had.
        """
        self._unmatched.warn()
        events, self._late = [*self._late, *self._closed(seen, "end")], []
        self._latest = None
        self._keep(seen.frame, changed=True)
        return events

    def statistics(self) -> Mapping[str, Any]:
        """Return the totals of each zone, of a live stream with since when they count."""
        since = {} if self._kept is None else self._kept.since
        return {
            zone.name: {
                **({"since": since[zone.name]} if zone.name in since else {}),
                **zone.figures(self._now_s),
            }
            for zone in self._zones
        }

    def close(self) -> None:
        """Forget all objects; write the totals that are kept."""
        self._presence.forget()
        if self._kept is not None:
            self._kept.save()

    def _keep(self, frame: Frame, *, changed: bool) -> None:
        if changed or not self._snapshot:
            self._snapshot = {zone.name: zone.totals.snapshot() for zone in self._zones}
        if self._kept is not None:
            self._kept.note(frame.moment, self._snapshot)

    def _told(self, seen: Seen) -> list[Event]:
        row_of = {object_id: row for row, object_id in enumerate(seen.ids)}
        if seen.ids:
            columns = [seen.anchors(anchor) for anchor in self._anchors]
            points = columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)
            changes = self._presence.update(seen.time_s, seen.ids, points)
        else:
            changes = self._presence.update(seen.time_s, [], np.empty((0, len(self._anchors), 2)))
        for change in changes:
            self._zones[change.zone].take(change, seen, row_of.get(change.object_id))
        events: list[Event] = []
        for zone in self._zones:
            if zone.is_idle:
                continue
            reports = zone.look(seen, row_of)
            if zone.changed:
                events += self._moved(zone, seen, {})
            for kind, told in reports:
                events += [self._event(zone, kind, report, seen.frame) for report in told]
        return events

    def _closed(self, seen: Seen, reason: str) -> list[Event]:
        """End all visits and situations; forget all objects."""
        events: list[Event] = []
        for change in self._presence.finish():
            self._zones[change.zone].take(change, seen, None)
        for zone in self._zones:
            reports = [(question.kind, question.end(seen.time_s, reason)) for question in zone.questions]
            events += self._moved(zone, seen, {Way.LOST: reason})
            for kind, told in reports:
                events += [self._event(zone, kind, report, seen.frame) for report in told]
            zone.empty(seen.time_s)
        return events

    def _moved(self, zone: Tracked, seen: Seen, reasons: Mapping[Way, str]) -> list[Event]:
        """Tell who came to a zone and who is gone from it."""
        events = []
        for visitor, change in zone.changed:
            entered = change.way in (Way.ENTERED, Way.APPEARED)
            lost = change.way is Way.LOST
            seen.visits.append(
                Visit(zone.name, visitor.object_id, visitor.label, change.time_s, entered, lost)
            )
            if zone.options.visits:
                reason = reasons.get(change.way, change.way.value)
                made = self._came(zone, visitor, change, seen.frame) if entered else None
                events.append(made or self._went(zone, visitor, change, seen.frame, reason))
        zone.changed.clear()
        return events

    def _came(self, zone: Tracked, visitor: Visitor, change: Change, frame: Frame) -> Event:
        self._visits += 1
        self._numbers[zone.name, visitor.object_id] = self._visits
        data = {"appeared": change.way is Way.APPEARED}
        event = self._visit(zone, "zone.entered", self._visits, visitor, change, frame, data)
        self._begun[zone.name, "zone.entered", self._visits] = _Begun(str(event.id))
        return event

    def _went(self, zone: Tracked, visitor: Visitor, change: Change, frame: Frame, reason: str) -> Event:
        number = self._numbers.pop((zone.name, visitor.object_id))
        data = {
            "began": self._begun.pop((zone.name, "zone.entered", number)).id,
            "dwell_s": round(change.time_s - visitor.entered_s, 3),
            "reason": reason,
        }
        waited_s = zone.waited_s(visitor.object_id)
        if waited_s is not None:
            data["waited_s"] = round(waited_s, 3)
        return self._visit(zone, "zone.left", number, visitor, change, frame, data)

    def _visit(
        self,
        zone: Tracked,
        kind: str,
        number: int,
        visitor: Visitor,
        change: Change,
        frame: Frame,
        data: Mapping[str, Any],
    ) -> Event:
        state = "begin" if kind == "zone.entered" else "end"
        return frame.event(
            kind,
            f"{zone.name}:{visitor.object_id}:{number}",
            self._producer(zone, frame),
            moment=frame.moment.shifted(change.time_s - frame.moment.pts_s),
            track_id=visitor.object_id,
            label=visitor.label,
            position=change.position,
            data={"zone": zone.name, "state": state, "label": visitor.label, **data},
        )

    def _event(self, zone: Tracked, kind: str, report: Report, frame: Frame) -> Event:
        where, visitor = (zone.name, kind, report.number), report.visitor
        key, began = f"{zone.name}:{report.number}:{report.state}", {}
        if report.state != "begin":
            begun = self._begun[where]
            began = {"began": begun.id}
            begun.updates += 1
            if report.state == "end":
                del self._begun[where]
            else:
                key = f"{key}:{begun.updates}"
        event = frame.event(
            kind,
            key,
            self._producer(zone, frame),
            moment=frame.moment.shifted(report.time_s - frame.moment.pts_s),
            track_id=None if visitor is None else visitor.object_id,
            label=None if visitor is None else visitor.label,
            position=None if visitor is None else visitor.xy,
            data={"zone": zone.name, "state": report.state, **began, **report.data},
        )
        if report.state == "begin":
            self._begun[where] = _Begun(str(event.id))
        return event

    def _producer(self, zone: Tracked, frame: Frame) -> Producer:
        return Producer("count", zone.name, self._context.config_hash, frame.model_hash)

    def _show(self, seen: Seen) -> None:
        """Put the zones, and what there is to say of them, onto the frame."""
        frame = seen.frame
        frame.areas = MappingProxyType({**frame.areas, **self._areas}) if frame.areas else self._areas
        if seen.suspended is not None:
            notes = {zone.name: seen.suspended for zone in self._zones}
        else:
            notes = {zone.name: zone.note for zone in self._zones}
        frame.notes = MappingProxyType({**frame.notes, **notes} if frame.notes else notes)
