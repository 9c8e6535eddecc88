"""Options of the sink `clips`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, field_validator

from pipeline.event import Event
from pipeline.plugin import SinkOptions
from streams.sinks.clips.windows import Rule
from streams.sinks.sealed.keys import Sealing
from streams.sinks.textfile import FileName

OWN = "clip."
"""Events of this sink, of which it makes no clips."""
_MOST_OTHERS = 64


class ClipsOptions(SinkOptions, Sealing):
    """Options of the clips sink.

    Attributes:
        kinds: of which events a clip is kept, e.g. `line.crossing`, `zone.*`.
        where: only of events that have these values in `data`, or as `label`: `{label: [car]}`.
        pre_s: media time before the event, s. The clip begins with the key frame before that.
        post_s: media time after it, s.
        most_s: events whose clips would overlap share one, up to this length.
        lag_s: how late an event may be known and still have its whole pre-roll, s.
        ring_mb: most megabytes of packets that are held in memory for that, of each stream.
        film: which stream's packets show a stream's events, where it is another: `{gate: gate-large}`.
        folder: within the output folder.
        recordings: `folder` of the sink `record`, for events that are known too late.
        recordings_index: its `index`, if it has one.
        keep_days: clips that were stored longer ago go.
        keep_gb: so many gigabytes of clips stay, of all streams together; beyond that the oldest go.
        free_gb: so many gigabytes of the disk stay free; the oldest clips go for that.
        fsync: wait for the disk when a clip is finished, before it is announced.
    """

    kinds: tuple[str, ...] = Field(min_length=1)
    where: Mapping[str, tuple[str | int | float | bool, ...]] = Field(default={}, max_length=_MOST_OTHERS)
    pre_s: float = Field(default=5.0, ge=0, le=3600)
    post_s: float = Field(default=5.0, ge=0, le=3600)
    most_s: float = Field(default=120.0, gt=0, le=86_400)
    lag_s: float = Field(default=10.0, ge=0, le=600)
    ring_mb: float = Field(default=64.0, ge=1, le=16_000)
    film: Mapping[str, str] = Field(default={}, max_length=_MOST_OTHERS)
    folder: FileName = "clips"
    recordings: Path = Path("recordings")
    recordings_index: Path | None = None
    keep_days: float = Field(default=30.0, gt=0, le=36_500)
    keep_gb: float = Field(default=10.0, ge=0.001, le=10_000_000)
    free_gb: float = Field(default=1.0, ge=0, le=1_000_000)
    fsync: bool = True

    @field_validator("kinds", mode="after")
    @classmethod
    def _of_others(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        own = [kind for kind in kinds if kind.startswith(OWN)]
        if own:
            raise ValueError(f"'{own[0]}' is what this sink tells itself, of which it makes no clips")
        return kinds

    @property
    def rule(self) -> Rule:
        """How clips lie around events; one event's alone may be as long as it is."""
        return Rule(self.pre_s, self.post_s, max(self.most_s, self.pre_s + self.post_s))

    def wants(self, event: Event) -> bool:
        """Whether a clip of this event is kept."""
        if event.kind.startswith(OWN) or not any(fnmatchcase(event.kind, kind) for kind in self.kinds):
            return False
        return all(_value(event, name) in values for name, values in self.where.items())

    def named_streams(self) -> Mapping[str, Collection[str]]:
        """Return the streams that options name, by option."""
        return {**super().named_streams(), "film": {*self.film, *self.film.values()}}

    def shows(self, stream: str) -> str:
        """Return the stream whose packets show the events of a stream."""
        return self.film.get(stream, stream)


def _value(event: Event, name: str) -> object:
    return event.label if name == "label" else event.data.get(name)
