"""The part of the stage `count` that tells which objects crossed which line, and keeps the totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from pipeline.event import Event, Producer
from pipeline.frame import Counts, Frame, Line
from pipeline.plugin import StageContext, StreamInfo
from stages.count.fields import band_px
from stages.count.geometry import Anchor, Polyline
from stages.count.kept import KeptTotals, place_key
from stages.count.lines.counters import Counted, LineCounters
from stages.count.lines.crossing import Crossing
from stages.count.lines.explain import Explainer, WatchedLine
from stages.count.lines.options import LineOptions
from stages.count.lines.stories import LineFacts, StoryFile
from stages.count.lines.watch import LineWatch
from stages.count.place import LinePlace
from stages.count.seen import LineCrossing, Passage, Seen
from stages.count.unmatched import Unmatched


@dataclass(frozen=True, slots=True)
class _CountedLine:
    """A line of the configuration with its totals: direction -> class -> objects."""

    name: str
    options: LineOptions
    gates: tuple[Polyline, ...]
    totals: dict[str, dict[str, int]]

    def direction(self, to_right: bool) -> str:
        """Return the name of a direction."""
        names = self.options.directions
        return names.to_right if to_right else names.to_left


@dataclass(frozen=True, slots=True)
class _Group:
    """The gates whose lines have the same anchor: their counters share the objects' paths."""

    anchor: Anchor
    lines: tuple[_CountedLine, ...]
    counters: LineCounters


class Lines:
    """Makes a `line.crossing` event for each crossing and sets `frame.counts` and `frame.lines`.

    Only observed positions count, so an object that is lost at the line counts if and when it is seen again
    beyond it (see `LineCounter`). The event's moment and position are those of the crossing itself,
    interpolated between two frames.

    Args:
        lines: by name.
        vanished_s: see `CountOptions`.
        forget_s: see `CountOptions`.
        context: of the stage.
        explain: write into the run's folder why each object near a line was or was not counted.
    """

    def __init__(
        self,
        lines: Mapping[str, LineOptions],
        vanished_s: float,
        forget_s: float,
        context: StageContext,
        *,
        explain: bool = False,
    ) -> None:
        self._options = lines
        self._vanished_s = vanished_s
        self._forget_s = forget_s
        self._context = context
        self._explain = explain
        self._stories: StoryFile | None = None
        self._explainer: Explainer | None = None
        self._lines: list[_CountedLine] = []
        self._groups: list[_Group] = []
        self._shown: MappingProxyType[str, Line] = MappingProxyType({})
        self._counts: Counts = MappingProxyType({})
        self._kept: KeptTotals | None = None
        self._suspended = False
        self._unmatched = Unmatched("line", context.stream, {})

    def open(self, info: StreamInfo) -> None:
        """Lay the lines into the picture. What was counted in pictures of another size stays counted.

        So does, of a live stream, what was counted before a restart, unless the line was edited.

        Raises:
            ConfigError: if a line lies outside the picture or is too short.
        """
        totals = {line.name: line.totals for line in self._lines}
        if self._kept is None:
            folder = self._context.folder if info.live else None
            self._kept = KeptTotals.of(folder, self._context.stream, "lines")
            totals = self._kept.restored({name: _key(line) for name, line in self._options.items()})
        self._lines = [self._laid(name, line, info) for name, line in self._options.items()]
        for line in self._lines:
            line.totals.update(totals.get(line.name, {}))
        self._explainer = self._explained(info)
        anchors = dict.fromkeys(line.options.anchor for line in self._lines)
        self._groups = [self._group(anchor, info) for anchor in anchors]
        self._shown = MappingProxyType(
            {
                line.name if not number else f"{line.name} ({number + 1})": gate.points
                for line in self._lines
                for number, gate in enumerate(line.gates)
            }
        )
        self._counts = self._snapshot()
        self._unmatched = Unmatched("line", self._context.stream, self._options)

    def update(self, seen: Seen) -> list[Event]:
        """Count the frame's objects."""
        self._unmatched.note(seen.labels, seen.attributes)
        events: list[Event] = []
        if seen.suspended is None:
            for group in self._groups:
                points = seen.anchors(group.anchor)
                counters = group.counters
                counted = counters.update(seen.time_s, seen.ids, points, seen.labels, seen.attributes)
                seen.passages += [
                    Passage(group.lines[number].name, seen.ids[row], row) for number, row in counters.met
                ]
                events += self._counted(group, counted, seen)
        elif not self._suspended:
            for group in self._groups:
                group.counters.suspend()
        self._suspended = seen.suspended is not None
        if self._explainer is not None:
            self._explainer.update(seen)
        self._show(seen.frame, bool(events))
        return events

    def finish(self, seen: Seen) -> list[Event]:
        """Return the crossings of objects that were last seen beyond a line's band.

        Warns of each line whose `labels` or attributes none of the objects had.
        """
        self._unmatched.warn()
        events = [
            event for group in self._groups for event in self._counted(group, group.counters.finish(), seen)
        ]
        if self._explainer is not None:
            self._explainer.finish()
        if events:
            self._counts = self._snapshot()
        if self._kept is not None:
            self._kept.note(seen.frame.moment, self._counts)
        return events

    def places(self) -> Mapping[str, LinePlace]:
        """Return where the lines lie, by name; after `open`."""
        return {
            line.name: LinePlace(
                tuple(gate.points for gate in line.gates), (line.direction(True), line.direction(False))
            )
            for line in self._lines
        }

    def statistics(self) -> Mapping[str, Any]:
        """Return since when the totals of a live stream count; themselves they are on the frames.

        `unexplained` are explanations that were asked for and that the disk did not take.
        """
        said: dict[str, Any] = {}
        if self._kept is not None and self._kept.since:
            said["since"] = dict(self._kept.since)
        if self._stories is not None and self._stories.lost:
            said["unexplained"] = self._stories.lost
        return said

    def close(self) -> None:
        """Write the totals that are kept."""
        if self._kept is not None:
            self._kept.save()

    def _show(self, frame: Frame, changed: bool) -> None:
        if changed:
            self._counts = self._snapshot()
        frame.counts = self._counts
        frame.lines = self._shown
        if self._kept is not None:
            self._kept.note(frame.moment, self._counts)

    def _laid(self, name: str, line: LineOptions, info: StreamInfo) -> _CountedLine:
        names = line.directions
        return _CountedLine(name, line, line.laid(name, info), {names.to_right: {}, names.to_left: {}})

    def _explained(self, info: StreamInfo) -> Explainer | None:
        """Return who says why, if somebody asked and there is a folder to write it to."""
        folder = self._context.folder
        if not self._explain or folder is None:
            return None
        if self._stories is None:
            self._stories = StoryFile(folder, self._context.stream, endures=info.live)
        watched = []
        for line in self._lines:
            options, names = line.options, line.options.directions
            band = band_px(options.band, options.units, info)
            facts = LineFacts(
                line.name, (names.to_right, names.to_left), band, options.hold_s, options.in_words()
            )
            watched += [WatchedLine(facts, gate, options.anchor) for gate in line.gates]
        return Explainer(watched, self._stories, self._vanished_s, self._forget_s)

    def _group(self, anchor: Anchor, info: StreamInfo) -> _Group:
        """Make the counters of all gates with this anchor."""
        lines, watches, gate_number = [], [], -1
        for line in self._lines:
            band, numbers = band_px(line.options.band, line.options.units, info), dict[int, int]()
            for gate in line.gates:
                gate_number += 1
                if line.options.anchor != anchor:
                    continue
                hold_s, wants = line.options.hold_s, line.options.wants
                tell = None if self._explainer is None else partial(self._explainer.tell, gate_number)
                watches.append(LineWatch(gate, band, hold_s, self._vanished_s, wants, numbers, tell))
                lines.append(line)
        return _Group(anchor, tuple(lines), LineCounters(watches, self._forget_s))

    def _counted(self, group: _Group, counted: Iterable[Counted], seen: Seen) -> list[Event]:
        """Add the crossings to their lines' totals and make their events, known at `seen`."""
        events, frame = [], seen.frame
        for number, crossing in counted:
            line = group.lines[number]
            direction = line.direction(crossing.to_right)
            totals = line.totals[direction]
            totals[crossing.label] = totals.get(crossing.label, 0) + 1
            seen.crossings.append(LineCrossing(line.name, direction, crossing))
            events.append(
                frame.event(
                    "line.crossing",
                    f"{line.name}:{crossing.track_id}:{crossing.number}",
                    Producer("count", line.name, self._context.config_hash, frame.model_hash),
                    moment=frame.moment.shifted(crossing.time_s - frame.moment.pts_s),
                    track_id=crossing.track_id,
                    label=crossing.label,
                    position=crossing.position,
                    data={"line": line.name, "direction": direction, "label": crossing.label}
                    | _known(crossing, seen),
                    evidence=_evidence(crossing, seen),
                )
            )
        return events

    def _snapshot(self) -> Counts:
        """Return the totals as they are now, in mappings that nobody can change."""
        return MappingProxyType({line.name: _frozen(line.totals) for line in self._lines})


def _key(line: LineOptions) -> str:
    """Return what makes a line's total mean what it means; hysteresis does not."""
    return place_key(**line.model_dump(exclude={"band", "hold_s"}, exclude_defaults=True))


def _known(crossing: Crossing, seen: Seen) -> dict[str, Any]:
    """Return what else is known of the object that crossed."""
    known: dict[str, Any] = {}
    if crossing.attributes:
        known["attributes"] = dict(crossing.attributes)
    speed = seen.speeds.get(crossing.track_id)
    if speed is not None:
        known["speed_kmh"] = round(speed.kmh, 1)
        known["speed_error_kmh"] = round(speed.error_kmh, 1)
    return known


def _evidence(crossing: Crossing, seen: Seen) -> dict[str, Any]:
    """Return what proves a crossing: the positions around it, what its detections said, whom it continues."""
    proof: dict[str, Any] = {"trail": [[round(t, 6), round(x, 2), round(y, 2)] for t, x, y in crossing.trail]}
    votes = seen.votes.get(crossing.track_id)
    if votes is not None:
        proof["votes"] = votes.labels
    continued = seen.continued.get(crossing.track_id)
    if continued:
        proof["continued"] = list(continued)
    return proof


def _frozen(totals: dict[str, dict[str, int]]) -> Mapping[str, Mapping[str, int]]:
    return MappingProxyType({name: MappingProxyType(dict(by_label)) for name, by_label in totals.items()})
