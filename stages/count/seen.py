"""What the counting parts are told of one frame, and what they tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.frame import Frame
from stages.count.geometry import Anchor, F64Array, anchor_points
from stages.count.lines.crossing import Crossing
from stages.count.votes import Votes

VoteTable = Mapping[int, Votes]
"""What the detections of each object say of it, by object id."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast an object is on the ground.

    Attributes:
        kmh: km/h, >= 0.
        error_kmh: half width of its 95 % interval, km/h.
        heading_deg: direction of travel on the ground plane, degrees clockwise from the plane's y axis.
    """

    kmh: float
    error_kmh: float
    heading_deg: float


@dataclass(frozen=True, slots=True)
class LineCrossing:
    """A crossing that became final at this frame, and whose line it was."""

    line: str
    direction: str
    crossing: Crossing


@dataclass(frozen=True, slots=True)
class Passage:
    """A path that met a line at this frame; whether it counts is decided later.

    Attributes:
        line: its name.
        object_id: whose path.
        row: the object's row in `Seen`.
    """

    line: str
    object_id: int
    row: int


@dataclass(frozen=True, slots=True)
class Visit:
    """An object that entered or left a zone for certain, known at this frame.

    Attributes:
        zone: its name.
        object_id: who.
        label: its class.
        time_s: media time at which it entered or left, which may lie before the frame.
        entered: True when it entered, False when it left or was lost inside.
        lost: it vanished inside the zone.
    """

    zone: str
    object_id: int
    label: str
    time_s: float
    entered: bool
    lost: bool = False


@dataclass(slots=True)
class Seen:
    """The N objects observed at one frame, never merely predicted ones, and what parts found out so far.

    The parts of the stage `count` run in a fixed order: ground, lines, zones, routes, then those that keep
    and show. Each may read what those before it have put here.

    Attributes:
        frame: the frame.
        time_s: its media time.
        ids: (N,) ids of the objects: a track that continues another one has that one's id.
        tracks: (N,) ids of the tracks, as the tracker gave them.
        rows: (N,) row of each in `frame.tracks`.
        xyxy: (N, 4) float64 px.
        labels: (N,) classes.
        attributes: (N,) what else is known of each, such as its colour, by the votes of all its detections so
            far; None where nobody tells any.
        votes: how often the detections of each object gave each class, by object id.
        ended: objects that were forgotten at this frame, as nothing was seen of them for `forget_s`: whoever
            keeps something by object drops it now.
        continued: object id -> ids of its tracks, oldest first, where it has several (see `Handover`).
        speeds: of those whose speed can be told, by object id.
        crossings: final at this frame, by the lines.
        passages: paths that met a line at this frame.
        visits: of zones.
    """

    frame: Frame
    time_s: float
    ids: list[int]
    tracks: list[int]
    rows: list[int]
    xyxy: F64Array
    labels: list[str]
    attributes: list[Mapping[str, str]] | None = None
    votes: VoteTable = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    continued: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    speeds: Mapping[int, Speed] = field(default_factory=dict)
    crossings: list[LineCrossing] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    _anchors: dict[Anchor, F64Array] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of_nobody(cls, frame: Frame, **known: Any) -> Seen:
        """Return what parts are told when nothing more will be seen after this frame.

        Args:
            frame: the last one.
            **known: further fields: what is known of the objects that were there.
        """
        return cls(frame, frame.moment.pts_s, [], [], [], np.empty((0, 4)), [], **known)

    @property
    def suspended(self) -> str | None:
        """Why lines and zones cannot be trusted at this frame, None when they can."""
        return self.frame.suspended

    def anchors(self, anchor: Anchor) -> F64Array:
        """Return the named point of each object's box, (N, 2) float64 px; computed once."""
        if not self.ids:
            return self.xyxy[:, :2]
        points = self._anchors.get(anchor)
        if points is None:
            boxes: npt.NDArray[np.floating[Any]] = self.xyxy
            points = self._anchors[anchor] = anchor_points(boxes, anchor)
        return points
