"""What the streams tell each other, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

Who = tuple[str, str, int]
"""Stream, run and object id: one object of one camera."""


@dataclass(frozen=True, eq=False)
class Sight:
    """An object as one camera saw it at a gate.

    Attributes:
        who: the object.
        gate: name of the gate.
        label: its class.
        time_ns: when it passed the gate, UTC.
        event: id of the event that tells it.
        look: (D,) float32 of length 1, what it looks like; None where nobody described it.
        same: cosine between two halves of its looks, None where there are too few.
        others: cosines with objects seen at the same moment, at most 8.
    """

    who: Who
    gate: str
    label: str
    time_ns: int
    event: str
    look: Vector | None = None
    same: float | None = None
    others: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """An event that shall not be told twice of the same object.

    Attributes:
        who: the object.
        kind: of the event. Not its zone: each camera has zones of its own.
        time_ns: when.
        event: its id.
    """

    who: Who
    kind: str
    time_ns: int
    event: str


@dataclass(frozen=True, eq=False)
class Record:
    """Something to be decided on, in the order of `key`.

    Attributes:
        ready_ns: from when on it can be decided, UTC.
        number: counts those of one stream.
        content: `Sight` or `Alert`.
    """

    ready_ns: int
    number: int
    content: Sight | Alert

    @property
    def key(self) -> tuple[int, str, int]:
        """What the order follows: it is the same whichever thread came first."""
        return self.ready_ns, self.content.who[0], self.number


@dataclass(frozen=True, slots=True)
class Match:
    """Two objects that probably are one.

    Attributes:
        link: name of the link between the gates.
        left: the object as it left, in the first camera.
        came: the object as it came, in the second camera.
        score: probability that they are the same.
        identity: what both are called from now on.
        travel_s: how long the way took.
        cosine: how much they look alike, None without looks.
        candidates: how many objects it could have been.
    """

    link: str
    left: Sight
    came: Sight
    score: float
    identity: str
    travel_s: float
    cosine: float | None
    candidates: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """An alert of an object of which the same was told before.

    Attributes:
        alert: the one that repeats.
        first: id of the event that told it first.
        identity: of the object.
    """

    alert: Alert
    first: str
    identity: str


Outcome = Match | Repeat
