"""Something worth telling: what, when, where, and what says so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pipeline.moment import Clock, Moment, iso_utc


@dataclass(frozen=True, slots=True)
class Producer:
    """What produced an event, so that a number can be traced to the settings behind it.

    Attributes:
        stage: registered name of the stage, or "engine".
        name: the line, zone or rule within the stage.
        config_hash: hash of the stream's effective stage settings.
        model_hash: hash of the detector's weights, None for detectors without weights.
    """

    stage: str
    name: str = ""
    config_hash: str = ""
    model_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; immutable and the same bytes whenever the same input is processed again.

    Attributes:
        id: UUIDv7; a function of stream, run, kind and key, so that a receiver can drop doubles.
        kind: dotted name of what happened, e.g. "line.crossing", "stream.gap".
        stream: name of the stream.
        run: the stream's run, see `Frame.run`.
        sequence: the frame at which it was known (its number in the run).
        moment: when it happened; may lie between two frames.
        producer: what produced it.
        track_id: the track concerned, if any.
        label: its class, if any.
        position: (x, y) in pixels of the full picture, if it has a place.
        data: what is particular to the kind (line, direction, ...); plain JSON values.
        evidence: what proves it (trail, snapshot, clip); plain JSON values.
    """

    id: UUID
    kind: str
    stream: str
    run: str
    sequence: int
    moment: Moment
    producer: Producer
    track_id: int | None = None
    label: str | None = None
    position: tuple[float, float] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as written to JSON and to the wire (docs/protocol.md lists them).

        `time_ns` is exact; `time` repeats it for people and for languages whose numbers end at 2**53.
        """
        return {
            "id": str(self.id),
            "kind": self.kind,
            "stream": self.stream,
            "run": self.run,
            "sequence": self.sequence,
            "pts_s": round(self.moment.pts_s, 6),
            "time": iso_utc(self.moment.time_ns),
            "time_ns": self.moment.time_ns,
            "clock": str(self.moment.clock),
            "uncertainty_ns": self.moment.uncertainty_ns,
            "track_id": self.track_id,
            "label": self.label,
            "position": None if self.position is None else [round(float(v), 2) for v in self.position],
            "producer": {
                "stage": self.producer.stage,
                "name": self.producer.name,
                "config_hash": self.producer.config_hash,
                "model_hash": self.producer.model_hash,
            },
            "data": dict(self.data),
            "evidence": dict(self.evidence),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Event:
        """Rebuild an event from `to_dict`'s values; unknown keys are ignored, missing ones raise KeyError."""
        position = values["position"]
        return cls(
            id=UUID(values["id"]),
            kind=values["kind"],
            stream=values["stream"],
            run=values["run"],
            sequence=values["sequence"],
            moment=Moment(
                values["pts_s"], values["time_ns"], Clock(values["clock"]), values["uncertainty_ns"]
            ),
            producer=Producer(**{name: values["producer"][name] for name in Producer.__slots__}),
            track_id=values["track_id"],
            label=values["label"],
            position=None if position is None else (position[0], position[1]),
            data=values["data"],
            evidence=values["evidence"],
        )


def event_id(moment: Moment, stream: str, run: str, kind: str, key: str) -> UUID:
    """Make the UUIDv7 (RFC 9562, section 5.7) of an event.

    The 48 time bits are the moment's milliseconds, as the RFC says. The other 74 bits are a digest of the
    event's natural key instead of random bits: the same file processed twice yields the same ids, and a
    live stream stays unique because its run is.

    Args:
        moment: when it happened.
        stream: name of the stream.
        run: the stream's run.
        kind: kind of the event.
        key: what makes it unique within (stream, run, kind), e.g. "gate:17:1".
    """
    milliseconds = max(0, moment.time_ns // 1_000_000) & ((1 << 48) - 1)
    digest = hashlib.blake2b("\0".join((stream, run, kind, key)).encode(), digest_size=10).digest()
    bits = int.from_bytes(digest, "big")
    rand_a = bits & 0xFFF
    rand_b = (bits >> 12) & ((1 << 62) - 1)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b)
