"""The stage `count`: a row of parts, each of which answers one kind of question about the same objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from pipeline.errors import ConfigError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.count.evidence.part import EvidencePart
from stages.count.gather import Gatherer
from stages.count.ground.part import Ground
from stages.count.history.recorder import recorder_of
from stages.count.kinds import EMITS, emitted
from stages.count.lines.part import Lines
from stages.count.maps.part import Maps
from stages.count.options import CountOptions
from stages.count.part import Part
from stages.count.routes.part import Routes
from stages.count.zones.masks import Masks
from stages.count.zones.part import Zones


class CountStage(Stage):
    """Shows each frame's objects to its parts and appends their events to the frame.

    Only observed positions count: rows of `frame.tracks` that are merely predicted are passed over.
    """

    Options: ClassVar[type[Options]] = CountOptions
    emits = EMITS
    needs = frozenset({"tracks"})
    gives = frozenset({"counts", "lines"})
    options: CountOptions

    @classmethod
    def emitted(cls, options: CountOptions) -> Collection[str]:
        """Return what lines, zones, routes and ground tell with these options."""
        return emitted(options)

    @classmethod
    def asked_labels(cls, options: CountOptions) -> Mapping[tuple[str, ...], frozenset[str]]:
        """Return the classes that lines and zones ask for, and those that are hidden in the evidence."""
        hidden = options.evidence.privacy or None
        asked: dict[tuple[str, ...], frozenset[str]] = {
            ("evidence", "privacy", part): named
            for part in ("labels", "heads")
            if hidden and (named := hidden.spelled_out.intersection(getattr(hidden, part)))
        }
        return asked | {
            (kind, name, "labels"): asked.labels
            for kind, drawn in (("lines", options.lines), ("zones", options.zones))
            for name, asked in drawn.items()
            if asked.labels is not None
        }

    def __init__(self, options: CountOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._masks = Masks(options.masks)
        self._gatherer = Gatherer(options.forget_s, self._masks, options.handover_s)
        self._parts = parts_of(options, context)
        evidence = self._parts.get("evidence")
        self._evidence = evidence if isinstance(evidence, EvidencePart) else None
        self._latest: Frame | None = None

    def open(self, info: StreamInfo) -> None:
        """Lay what the options draw into the picture. What was counted in another size stays counted.

        Raises:
            ConfigError: if something does not fit the picture.
        """
        self._latest = None
        self._gatherer.open(info.width, info.height)
        self._masks.open(info)
        for part in self._parts.values():
            part.open(info)

    def process(self, frame: Frame) -> None:
        """Show the frame's objects to all parts.

        Raises:
            ConfigError: if no stage before this one makes tracks.
        """
        if frame.tracks is None:
            raise ConfigError("stage 'count' needs tracks; put a stage 'track' before it")
        if self._latest is not None and not frame.follows(self._latest):
            frame.events.extend(self._settled(self._latest))  # ids and media time begin anew
        self._latest = frame
        seen = self._gatherer.seen(frame, frame.tracks)
        events = [event for part in self._parts.values() for event in part.update(seen)]
        frame.events.extend(self._dressed(events))

    def statistics(self) -> Mapping[str, Any]:
        """Return what the parts have to tell, by their names, and the settings by which they counted."""
        told = {name: part.statistics() for name, part in self._parts.items()}
        return {"settings": self.options.plain(), **{name: values for name, values in told.items() if values}}

    def finish(self) -> Sequence[Event]:
        """Return what is certain because nothing more will be seen."""
        frame, self._latest = self._latest, None
        return () if frame is None else self._settled(frame)

    def close(self) -> None:
        """Close all parts."""
        for part in self._parts.values():
            part.close()

    def _settled(self, frame: Frame) -> list[Event]:
        """Return what is certain because nothing more will be seen of these objects; forget them."""
        seen = self._gatherer.nobody(frame)
        events = [event for part in self._parts.values() for event in part.finish(seen)]
        self._gatherer.forget()
        return self._dressed(events)

    def _dressed(self, events: list[Event]) -> list[Event]:
        return events if self._evidence is None else self._evidence.dress(events)


def parts_of(options: CountOptions, context: StageContext) -> dict[str, Part]:
    """Return the parts that the options ask for, by name, in the order in which they see a frame.

    The order is: ground, lines, zones, routes, evidence, history, maps. Lines are always there, as other
    stages and sinks take counts for granted.
    """
    parts: dict[str, Part] = {}
    if options.ground is not None:
        parts["ground"] = Ground(options.ground, options.vanished_s, context)
    lines = parts["lines"] = Lines(
        options.lines, options.vanished_s, options.forget_s, context, explain=options.explain
    )
    if options.zones:
        parts["zones"] = Zones(options.zones, options.vanished_s, options.forget_s, options.ground, context)
    if options.routes:
        parts["routes"] = Routes(options.routes, options.places(), context)
    if options.lines:
        parts["evidence"] = EvidencePart(options.evidence, context, lines.places)
    if options.trajectories is not None:
        parts["trajectories"] = recorder_of(
            options.trajectories, options.lines, options.vanished_s, options.forget_s, context
        )
    if options.maps:
        parts["maps"] = Maps(options.maps, options.vanished_s, context)
    return parts
