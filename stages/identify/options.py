"""Options of the stage `identify`: where objects leave and come, and which ways there are between."""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from pipeline.plugin import Options

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Share = Annotated[float, Field(gt=0, le=1)]


class GateOptions(Options):
    """A place where objects leave a camera or come into it.

    Attributes:
        stream: the camera.
        line: a line of its stage `count`.
        direction: only those who cross the line in this direction; both when left out.
        zone: instead of a line, a zone of its stage `count`: one leaves it, or comes into it.
    """

    stream: Name
    line: Name | None = None
    direction: Name | None = None
    zone: Name | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.line is None) == (self.zone is None):
            raise ValueError("a gate is either a 'line' or a 'zone' of its stream")
        if self.zone is not None and self.direction is not None:
            raise ValueError("a zone has no 'direction'; leave it out")
        return self


class LinkOptions(Options):
    """A way from one gate to another.

    Attributes:
        start: the gate by which objects leave.
        end: the gate by which they come.
        travel_s: how long the way usually takes; learned from there on. When left out it is learned from
            nothing, for which some dozens of objects with clear looks are needed.
        spread: two of three take between `travel_s` / `spread` and `travel_s` * `spread`.
        longest_s: who has not come after so long is forgotten.
        share: how many of those who leave by the start come to the end; learned from there on.
    """

    start: Name
    end: Name
    travel_s: Seconds | None = None
    spread: Annotated[float, Field(gt=1, le=10)] = 1.5
    longest_s: Annotated[float, Field(gt=1, le=86_400)] = 600.0
    share: Share = 0.5

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.start == self.end:
            raise ValueError(f"start and end must be two gates, got '{self.start}' twice")
        if self.travel_s is not None and self.travel_s >= self.longest_s:
            raise ValueError(f"travel_s ({self.travel_s:g}) must be below longest_s ({self.longest_s:g})")
        return self


class AlertOptions(Options):
    """Which alerts are told once of an object, whichever camera sees it.

    Attributes:
        kinds: of the events, e.g. `zone.loitering`, `zone.*`. Those with a state count when they begin; their
            update and end follow them.
        within_s: for so long after an alert the same one of the same object repeats it.
        drop: leave repeats out instead of marking them with `repeats`.
    """

    kinds: Annotated[tuple[Name, ...], Field(min_length=1)]
    within_s: Seconds = 300.0
    drop: bool = False

    @model_validator(mode="after")
    def _keeps_counts(self) -> Self:
        if self.drop and self.takes("line.crossing"):
            raise ValueError("crossings are counts: they can be marked as repeats, but not dropped")
        return self

    def takes(self, kind: str) -> bool:
        """Whether events of this kind are told once."""
        return any(fnmatchcase(kind, asked) for asked in self.kinds)


class IdentifyOptions(Options):
    """Options of the stage `identify`; streams whose objects it shall match need the same ones.

    Attributes:
        gates: by name.
        links: ways between them, by name.
        labels: only these classes; all when left out.
        min_score: a match is told from this probability on.
        look_s: for so long after it came an object is looked at before it is decided who it is.
        most: most objects remembered for one link.
        alerts: told once of an object; not at all when left out.
    """

    gates: Annotated[dict[Name, GateOptions], Field(min_length=1)]
    links: Annotated[dict[Name, LinkOptions], Field(min_length=1)]
    labels: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    min_score: Share = 0.5
    look_s: Annotated[float, Field(ge=0, le=60)] = 0.5
    most: Annotated[int, Field(ge=1, le=100_000)] = 2000
    alerts: AlertOptions | None = None

    @model_validator(mode="after")
    def _known_gates(self) -> Self:
        for name, link in self.links.items():
            for gate in (link.start, link.end):
                if gate not in self.gates:
                    near = get_close_matches(gate, self.gates, 1)
                    hint = f", did you mean '{near[0]}'?" if near else ""
                    raise ValueError(f"link '{name}': no gate '{gate}'{hint}; gates: {', '.join(self.gates)}")
        return self
