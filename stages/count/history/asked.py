"""A line that is asked about a path: the same counter as live, put to a path instead of frames."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from pipeline.plugin import StreamInfo
from stages.count.fields import band_px
from stages.count.geometry import Anchor, Segment, anchor_points
from stages.count.history.path import Path
from stages.count.line_counter import Crossing, LineCounter
from stages.count.lines.options import LineOptions

Labels = Sequence[tuple[float, str]]
"""Classes one after the other, each with the media time from which on the object was that."""

_NOBODY = np.empty((0, 2))


@dataclass(frozen=True, slots=True)
class AskedLine:
    """A line in a picture of known size.

    Attributes:
        name: of the line.
        options: what was said of it.
        segment: where it lies, px.
        band_px: hysteresis in distance.
        vanished_s: see `LineCounter`.
    """

    name: str
    options: LineOptions
    segment: Segment
    band_px: float
    vanished_s: float

    @classmethod
    def of(cls, name: str, options: LineOptions, vanished_s: float, info: StreamInfo) -> AskedLine:
        """Lay a line into a picture.

        Raises:
            ConfigError: if it does not fit the picture.
        """
        band = band_px(options.band, options.units, info)
        return cls(name, options, options.laid(name, info), band, vanished_s)

    @property
    def anchor(self) -> Anchor:
        """The point of the box that must cross."""
        return self.options.anchor

    def direction(self, to_right: bool) -> str:
        """Return what a direction is called."""
        names = self.options.directions
        return names.to_right if to_right else names.to_left

    def reach(self) -> tuple[float, float, float, float]:
        """Return the box outside of which nothing can cross, xyxy px."""
        (ax, ay), (bx, by) = self.segment.start, self.segment.end
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)

    def may_be_crossed_by(self, bounds: tuple[float, float, float, float]) -> bool:
        """Whether a path of boxes within these bounds can meet the line."""
        left, top, right, bottom = self.reach()
        return bounds[0] <= right and left <= bounds[2] and bounds[1] <= bottom and top <= bounds[3]

    def counter(self) -> LineCounter:
        """Return the counter that live would count with; it never forgets, a path is of one object."""
        return LineCounter(
            self.segment,
            band_px=self.band_px,
            hold_s=self.options.hold_s,
            vanished_s=self.vanished_s,
            forget_s=float("inf"),
            labels=self.options.labels,
        )

    def crossings(self, path: Path, labels: Labels, finished: bool) -> list[Crossing]:
        """Return the crossings of an object that took this path; `Crossing.track_id` is 0.

        Args:
            path: of its box.
            labels: its classes, the first from the path's beginning on.
            finished: False where what was pending at its end was given up (the camera was not fit).
        """
        follower = Follower(self)
        found = follower.follow(path, labels)
        return found + (follower.finish() if finished else [])


class Follower:
    """Counts one object's crossings of one line, part by part of its path.

    Args:
        line: which.
    """

    def __init__(self, line: AskedLine) -> None:
        self._line = line
        self._counter = line.counter()
        self._last_s = float("-inf")

    def follow(self, path: Path, labels: Labels) -> list[Crossing]:
        """Return the crossings that became final on the next part; see `AskedLine.crossings`.

        A part begins with the position that the one before it ended with.
        """
        found: list[Crossing] = []
        at = 0
        points = anchor_points(path.xyxy, self._line.anchor)
        for time_s, point, vanished in zip(
            path.times_s.tolist(), points, path.vanished.tolist(), strict=True
        ):
            if time_s <= self._last_s:
                continue
            if vanished:
                found += self._counter.update(self._last_s + self._line.vanished_s, [], _NOBODY, [])
            while at + 1 < len(labels) and labels[at + 1][0] <= time_s:
                at += 1
            found += self._counter.update(time_s, [0], point[None], [labels[at][1]])
            self._last_s = time_s
        return found

    def finish(self) -> list[Crossing]:
        """Return the crossings that are final because nothing more was seen."""
        return self._counter.finish()

    def copy(self) -> Follower:
        """Return another one that has seen the same."""
        return deepcopy(self)
