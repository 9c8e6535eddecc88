"""The stage `identify`: tells which objects of two cameras are probably the same one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, ClassVar

import numpy as np

from pipeline.errors import ConfigError
from pipeline.event import Event, Producer
from pipeline.frame import Counts, Frame
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.identify.exchange import Exchange
from stages.identify.looks import Looks
from stages.identify.options import GateOptions, IdentifyOptions
from stages.identify.records import Alert, Match, Outcome, Record, Repeat, Sight

_FORGET_S = 10.0


class IdentifyStage(Stage):
    """Appends `identity.match` events, and marks alerts that repeat one of the same object.

    It stands after `count`, whose crossings and visits tell who leaves and comes where. Looks are the
    embeddings that the stage `track` (or a detector) has put onto the frame's detections; without any it goes
    by travel time alone.

    What is remembered of a person (a pseudonym, a description of a few hundred numbers, two times) lies in
    memory only and is gone with the run.
    """

    Options: ClassVar[type[Options]] = IdentifyOptions
    emits: ClassVar[Mapping[str, str]] = {
        "identity.match": "an object that came is probably one that left another camera"
    }
    needs = frozenset({"tracks", "detections"})
    options: IdentifyOptions

    @classmethod
    def asked_kinds(cls, options: IdentifyOptions) -> Mapping[tuple[str, ...], Sequence[str]]:
        """Return the kinds of the alerts that are told once."""
        return {} if options.alerts is None else {("alerts", "kinds"): options.alerts.kinds}

    def __init__(self, options: IdentifyOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._gates = {name: gate for name, gate in options.gates.items() if gate.stream == context.stream}
        self._lease = context.shared.lease((Exchange, options.model_dump_json()), lambda: Exchange(options))
        self._exchange = self._lease.value
        self._exchange.join(context.stream)
        self._looks = Looks(_FORGET_S, options.most)
        self._coming: list[tuple[float, Sight, Event, list[int]]] = []  # those still looked at
        self._number = 0
        self._latest: Frame | None = None
        self._arrivals: dict[str, Event] = {}  # by event id, until it is decided who it is
        self._repeats: OrderedDict[str, Repeat] = OrderedDict()  # by event id; what began may go on
        self._closed = False

    def open(self, info: StreamInfo) -> None:
        """Say that the stream begins.

        Raises:
            ConfigError: if a gate's stream has no stage `identify` with these options.
        """
        known = self._exchange.streams()
        for name, gate in self.options.gates.items():
            if gate.stream not in known:
                near = get_close_matches(gate.stream, known, 1)
                hint = f", did you mean '{near[0]}'?" if near else ""
                raise ConfigError(
                    f"stage 'identify': gate '{name}' is in stream '{gate.stream}', which does not run with "
                    f"the same stage 'identify'{hint}; those that do: {', '.join(known)}"
                )
        self._exchange.begin(self.context.stream, live=info.live)
        self._forget()

    def process(self, frame: Frame) -> None:
        """Look at the frame's objects, hand in who left and came, tell who is who.

        Raises:
            ConfigError: if no stage before this one makes tracks, or the count has no such line.
        """
        if frame.tracks is None or frame.detections is None:
            raise ConfigError("stage 'identify' needs tracks; put the stages 'track' and 'count' before it")
        if self._latest is None and frame.counts is not None:
            self._check_lines(frame.counts)
        if self._latest is not None and not frame.follows(self._latest):
            self._forget()
        self._latest = frame
        self._see(frame)
        records = self._alerts(frame) + self._passed(frame) + self._ready(frame)
        outcomes = self._exchange.advance(self.context.stream, frame.moment.time_ns, records)
        frame.events[:] = self._marked(frame.events, outcomes)
        frame.events += self._told(outcomes, frame)

    def _check_lines(self, counts: Counts) -> None:
        for name, gate in self._gates.items():
            if gate.line is None:
                continue
            wanted, known, what = gate.line, list(counts), "line"
            if gate.line in counts and gate.direction is not None:
                wanted, known, what = gate.direction, list(counts[gate.line]), "direction"
            if wanted not in known:
                near = get_close_matches(wanted, known, 1)
                hint = f", did you mean '{near[0]}'?" if near else ""
                raise ConfigError(
                    f"stage 'identify': gate '{name}' is at the {what} '{wanted}', which stream "
                    f"'{gate.stream}' does not count{hint}; there are: {', '.join(known)}"
                )

    def finish(self) -> Sequence[Event]:
        """Return who they were that came last."""
        frame, self._latest = self._latest, None
        if frame is None:
            return ()
        records = self._ready(frame, all_of_them=True)
        outcomes = self._exchange.finish(self.context.stream, records)
        told = self._told(outcomes, frame)
        self._forget()
        return told

    def statistics(self) -> dict[str, Any]:
        """Return what was matched and learned, the same for all streams."""
        return self._exchange.statistics()

    def close(self) -> None:
        """Leave; nobody waits for this stream any more."""
        if not self._closed:
            self._closed = True
            self._exchange.leave(self.context.stream)
            self._lease.close()
            self._forget()

    def _forget(self) -> None:
        self._looks.forget()
        self._coming.clear()
        self._arrivals.clear()
        self._repeats.clear()

    def _see(self, frame: Frame) -> None:
        """Take in what the objects of the frame look like."""
        tracks, detections = frame.tracks, frame.detections
        if tracks is None or detections is None or detections.embedding is None or not len(tracks):
            return
        rows = np.flatnonzero(tracks.detection >= 0)
        if len(rows):
            seen = tracks[rows]
            embedding = detections.embedding[seen.detection]
            self._looks.see(frame.moment.pts_s, seen.id.tolist(), seen.xyxy, embedding)

    def _passed(self, frame: Frame) -> list[Record]:
        """Return those who left; keep those who came for a while, to look at them."""
        records = []
        for event in frame.events:
            for name, gate in self._gates.items():
                for leaves in (True, False):
                    if self._is_at(event, gate, leaves) and self._is_linked(name, leaves):
                        sight = self._sight(event, name, frame)
                        if leaves:
                            records.append(self._record(frame, sight))
                        else:
                            until_s = frame.moment.pts_s + self.options.look_s
                            self._coming.append((until_s, sight, event, _tracks_of(event)))
        return records

    def _is_at(self, event: Event, gate: GateOptions, leaves: bool) -> bool:
        if event.track_id is None or (self.options.labels and event.label not in self.options.labels):
            return False
        if gate.zone is not None:
            return (
                event.kind == ("zone.left" if leaves else "zone.entered")
                and event.data.get("zone") == gate.zone
            )
        return (
            event.kind == "line.crossing"
            and event.data.get("line") == gate.line
            and gate.direction in (None, event.data.get("direction"))
        )

    def _is_linked(self, gate: str, leaves: bool) -> bool:
        return any((link.start if leaves else link.end) == gate for link in self.options.links.values())

    def _ready(self, frame: Frame, *, all_of_them: bool = False) -> list[Record]:
        """Return those who came and have been looked at for long enough."""
        now_s = frame.moment.pts_s
        due = [each for each in self._coming if all_of_them or each[0] <= now_s]
        self._coming = [each for each in self._coming if not (all_of_them or each[0] <= now_s)]
        records = []
        for _, sight, event, tracks in due:
            records.append(self._record(frame, self._described(sight, tracks, frame)))
            self._arrivals[sight.event] = event
        return records

    def _sight(self, event: Event, gate: str, frame: Frame) -> Sight:
        who = (event.stream, event.run, event.track_id or 0)
        sight = Sight(who, gate, event.label or "", event.moment.time_ns, str(event.id))
        return self._described(sight, _tracks_of(event), frame)

    def _described(self, sight: Sight, tracks: Sequence[int], frame: Frame) -> Sight:
        look, same = self._looks.of(tracks)
        if look is None:
            return sight
        others = self._looks.others(look, tracks, frame.moment.pts_s)
        return replace(sight, look=look, same=same, others=others)

    def _alerts(self, frame: Frame) -> list[Record]:
        alerts = self.options.alerts
        if alerts is None:
            return []
        return [
            self._record(
                frame,
                Alert(
                    (event.stream, event.run, event.track_id),
                    event.kind,
                    event.moment.time_ns,
                    str(event.id),
                ),
            )
            for event in frame.events
            if event.track_id is not None and alerts.takes(event.kind)
            if event.data.get("state", "begin") == "begin"
        ]

    def _record(self, frame: Frame, content: Sight | Alert) -> Record:
        self._number += 1
        return Record(frame.moment.time_ns, self._number, content)

    def _marked(self, events: Sequence[Event], outcomes: Sequence[Outcome]) -> list[Event]:
        """Return the events with repeats marked or left out, and with them what they began."""
        for outcome in outcomes:
            if isinstance(outcome, Repeat):
                self._repeats[outcome.alert.event] = outcome
        while len(self._repeats) > self.options.most:
            self._repeats.popitem(last=False)
        if not self._repeats:
            return list(events)
        drop = self.options.alerts is not None and self.options.alerts.drop
        marked = []
        for event in events:
            repeat = self._repeats.get(str(event.id)) or self._repeats.get(str(event.data.get("began")))
            if repeat is None:
                marked.append(event)
            elif not drop:
                data = {**event.data, "repeats": repeat.first, "identity": repeat.identity}
                marked.append(replace(event, data=data))
        return marked

    def _told(self, outcomes: Sequence[Outcome], frame: Frame) -> list[Event]:
        """Return the events of matches, at the moments when the objects came."""
        events = [
            self._event(match, self._arrivals[match.came.event], frame)
            for match in outcomes
            if isinstance(match, Match) and match.came.event in self._arrivals
        ]
        self._arrivals.clear()  # what was ready has been decided, also on those who match nobody
        return events

    def _event(self, match: Match, arrival: Event, frame: Frame) -> Event:
        left, came = match.left, match.came
        return frame.event(
            "identity.match",
            f"{match.link}:{came.event}",
            Producer("identify", match.link, self.context.config_hash, frame.model_hash),
            moment=arrival.moment,
            track_id=arrival.track_id,
            label=arrival.label,
            position=arrival.position,
            data={
                "identity": match.identity,
                "score": round(match.score, 4),
                "link": match.link,
                "from": {
                    "stream": left.who[0],
                    "run": left.who[1],
                    "track_id": left.who[2],
                    "gate": left.gate,
                    "time_ns": left.time_ns,
                },
                "gate": came.gate,
                "travel_s": round(match.travel_s, 3),
                "cosine": None if match.cosine is None else round(match.cosine, 4),
                "candidates": match.candidates,
            },
            evidence={"left": left.event, "came": came.event},
        )


def _tracks_of(event: Event) -> list[int]:
    """Return the ids of all tracks that the object had, see `Seen.continued`."""
    earlier = event.evidence.get("continued") or ()
    return [*(int(each) for each in earlier), *([] if event.track_id is None else [event.track_id])]
