"""A line that is asked about a path: what it would have counted, had it been there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.plugin import StreamInfo
from stages.count.fields import band_px
from stages.count.geometry import anchor_points
from stages.count.history.follow import Follower, Found, Gate, found_of, path_crossings
from stages.count.history.path import Path
from stages.count.lines.options import LineOptions


class Kind(NamedTuple):
    """What an object is taken for, from some moment on.

    Attributes:
        since_s: media time.
        label: its class.
        attributes: what else is known of it.
    """

    since_s: float
    label: str
    attributes: Mapping[str, str]


def kind_at(kinds: Sequence[Kind], time_s: float) -> Kind:
    """Return what an object was taken for at a time; the first one also before it."""
    at = kinds[0]
    for kind in kinds:
        if kind.since_s > time_s:
            break
        at = kind
    return at


@dataclass(frozen=True, slots=True)
class Crossed:
    """One object that went over the line.

    Attributes:
        to_right: direction, see `Polyline`.
        kind: what it was taken for when that became final.
        time_s: media time at which its path met the line.
        position: where, (x, y) px.
    """

    to_right: bool
    kind: Kind
    time_s: float
    position: tuple[float, float]


@dataclass(frozen=True, slots=True)
class AskedLine:
    """A line in a picture of known size.

    Attributes:
        name: of the line.
        options: what was said of it.
        gates: where it lies.
        anchor: the point of the box that must cross, in fractions of its width and height.
    """

    name: str
    options: LineOptions
    gates: tuple[Gate, ...]
    anchor: tuple[float, float]

    @classmethod
    def of(cls, name: str, options: LineOptions, info: StreamInfo) -> AskedLine:
        """Lay a line into a picture.

        Raises:
            ConfigError: if it does not fit the picture.
        """
        band = band_px(options.band, options.units, info)
        gates = tuple(Gate.of(line, band) for line in options.laid(name, info))
        ((fx, fy),) = anchor_points(np.array([[0.0, 0.0, 1.0, 1.0]]), options.anchor).tolist()
        return cls(name, options, gates, (fx, fy))

    def direction(self, to_right: bool) -> str:
        """Return what a direction is called."""
        names = self.options.directions
        return names.to_right if to_right else names.to_left

    def may_be_crossed_within(self, bounds: tuple[float, float, float, float]) -> bool:
        """Whether a path of boxes within these bounds, xyxy px, can meet the line."""
        left, top, right, bottom = bounds
        return any(
            gate.points[:, 0].min() <= right
            and gate.points[:, 0].max() >= left
            and gate.points[:, 1].min() <= bottom
            and gate.points[:, 1].max() >= top
            for gate in self.gates
        )

    def crossings(self, path: Path, kinds: Sequence[Kind], finished: bool) -> list[Crossed]:
        """Return the crossings of an object that took this path, gate by gate.

        Args:
            path: of its box.
            kinds: what it was taken for, from the path's beginning on.
            finished: False where what was pending at its end was given up (the camera was not fit).
        """
        points = path.anchored(self.anchor)
        return [
            crossed
            for gate in self.gates
            for crossed in self.wanted(
                path_crossings(gate, self.options.hold_s, path.times_s, points, path.vanished, finished),
                kinds,
            )
        ]

    def wanted(self, found: Found, kinds: Sequence[Kind]) -> Iterator[Crossed]:
        """Yield those crossings of one path that are of a kind that counts."""
        for to_right, time_s, (x, y), known_s in zip(
            found.to_right.tolist(),
            found.times_s.tolist(),
            found.points.tolist(),
            found.known_s.tolist(),
            strict=True,
        ):
            kind = kind_at(kinds, known_s)
            if self.options.wants(kind.label, kind.attributes):
                yield Crossed(to_right, kind, time_s, (x, y))

    def follower(self) -> LineFollower:
        """Return what counts a path that comes in parts."""
        return LineFollower(self, tuple(Follower(gate, self.options.hold_s) for gate in self.gates))


@dataclass(frozen=True, slots=True)
class LineFollower:
    """Counts one object's crossings of one line, part by part of its path.

    Attributes:
        line: which.
        followers: of its gates.
    """

    line: AskedLine
    followers: tuple[Follower, ...]

    def follow(self, path: Path, kinds: Sequence[Kind], finished: bool) -> list[Crossed]:
        """Return what became final on the next part, see `AskedLine.crossings`.

        Args:
            path: of the part.
            kinds: see there.
            finished: nothing comes after this part, and what is pending is final.
        """
        points = path.anchored(self.line.anchor)
        found: list[Crossed] = []
        for follower in self.followers:
            crossings = follower.follow(path.times_s, points, path.vanished)
            crossings += follower.finish() if finished else []
            found += self.line.wanted(found_of([0] * len(crossings), crossings), kinds)
        return found
