"""What was hidden a moment ago, and what should have been: boxes over media time.

A detector misses an object for some pictures, and finds it some pictures after it came. So a box stays for
a while after its object was seen last, and goes on the way it went; and where pictures are held back, it is
laid over those before its object was first seen, back along that way.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.privacy.boxes import GROWTH, F64Array, widened

MOST_OBJECTS = 1024
"""Beyond it everything is hidden: more is not remembered."""

_SAME_IOU = 0.1
_SAME_DISTANCE = 0.5
"""Of the longer side: so far a small, fast object may be from where it is expected, and still be the same."""
_MOST_RATIO = 4.0
"""Of the areas of two boxes of the same object."""
_BIRTH_S = 0.5
"""The way on which an object came is measured over so long."""
_FURTHEST = 2.0
"""Of the longer side: no box is led further on, or back, than this beside where it was seen."""


@dataclass(slots=True, eq=False)
class _Object:
    """One object: where it was first and last seen (xyxy px), and how its sides move (px/s)."""

    first: F64Array
    born_s: float
    box: F64Array
    seen_s: float
    speed: F64Array = field(default_factory=lambda: np.zeros(4))
    first_speed: F64Array = field(default_factory=lambda: np.zeros(4))
    is_missed: bool = False

    def at(self, time_s: float) -> F64Array:
        return _led(self.box, self.speed, time_s - self.seen_s)


@dataclass(frozen=True, slots=True, eq=False)
class _Bridge:
    """An object was missed between two times; what lies between the two boxes may show it."""

    from_s: float
    to_s: float
    box: F64Array


class Memory:
    """Remembers the objects of one stream; to be told of every frame, in order.

    Args:
        hold_s: how long an object that is not seen any more stays hidden.
        ahead_s: how long before `update` the frames may lie that `late` is asked about.
    """

    def __init__(self, hold_s: float, ahead_s: float = 0.0) -> None:
        self._hold_s = hold_s
        self._ahead_s = ahead_s
        self._objects: list[_Object] = []
        self._recent: list[_Object] = []
        self._bridges: list[_Bridge] = []
        self._latest_s: float | None = None

    @property
    def is_overwhelmed(self) -> bool:
        """Whether there is more to remember than there is room: everything must be hidden."""
        return max(len(self._objects), len(self._recent), len(self._bridges)) > MOST_OBJECTS

    def update(self, boxes: F64Array, time_s: float) -> F64Array:
        """Take the boxes (N, 4) xyxy px that are seen at a media time; return all that is to be hidden then.

        Where media time goes back, everything is forgotten: another recording begins.
        """
        if self._latest_s is not None and time_s < self._latest_s:
            self.forget()
        self._latest_s = time_s
        self._recent = [one for one in self._recent if one.born_s >= time_s - self._ahead_s]
        self._bridges = [one for one in self._bridges if one.to_s >= time_s - self._ahead_s]
        expected = np.array([one.at(time_s) for one in self._objects], np.float64).reshape(-1, 4)
        pairs = _matched(expected, boxes)
        for row, column in pairs.items():
            self._see(self._objects[row], boxes[column], time_s)
        known = [
            one
            for row, one in enumerate(self._objects)
            if row in pairs or time_s - one.seen_s <= self._hold_s
        ]
        held = []
        for row, one in enumerate(self._objects):
            if row not in pairs and time_s - one.seen_s <= self._hold_s:
                one.is_missed = True
                age_s = time_s - one.seen_s
                held.append(widened(_hull(one.box, expected[row])[None], GROWTH * age_s)[0])
        taken = set(pairs.values())
        born = [_Object(box, time_s, box, time_s) for column, box in enumerate(boxes) if column not in taken]
        self._objects = (known + born)[: MOST_OBJECTS + 1]
        if self._ahead_s:
            self._recent = (self._recent + born)[: MOST_OBJECTS + 1]
        return np.concatenate([boxes, np.array(held, np.float64).reshape(-1, 4)])

    def late(self, time_s: float) -> F64Array:
        """Return the boxes (N, 4) xyxy px that later frames have shown to be missing at an earlier time."""
        boxes = [one.box for one in self._bridges if one.from_s < time_s < one.to_s]
        for one in self._recent:
            before_s = one.born_s - time_s
            if 0 < before_s <= self._ahead_s:
                way = _hull(one.first, _led(one.first, one.first_speed, -before_s))
                boxes.append(widened(way[None], GROWTH * before_s)[0])
        return np.array(boxes, np.float64).reshape(-1, 4)

    def forget(self) -> None:
        """Forget everything."""
        self._objects, self._recent, self._bridges, self._latest_s = [], [], [], None

    def _see(self, one: _Object, box: F64Array, time_s: float) -> None:
        dt_s = time_s - one.seen_s
        if dt_s > 0:
            speed = (box - one.box) / dt_s
            is_second = one.seen_s == one.born_s
            one.speed = speed if is_second else (one.speed + speed) / 2
        if 0 < time_s - one.born_s <= _BIRTH_S or not one.first_speed.any():
            one.first_speed = (box - one.first) / max(time_s - one.born_s, 1e-6)
        if one.is_missed and self._ahead_s:
            gap = _Bridge(one.seen_s, time_s, _hull(one.box, box))
            self._bridges = [*self._bridges, gap][: MOST_OBJECTS + 1]
        one.box, one.seen_s, one.is_missed = box, time_s, False


def _led(box: F64Array, speed: F64Array, seconds: float) -> F64Array:
    """Return where a box is some seconds later, or earlier, at most twice its longer side away."""
    furthest = _FURTHEST * max(float((box[2:] - box[:2]).max()), 1.0)
    moved = box + np.clip(speed * seconds, -furthest, furthest)
    # Sides that move towards each other must not pass each other.
    return np.concatenate([np.minimum(moved[:2], moved[2:]), np.maximum(moved[:2], moved[2:])])


def _hull(one: F64Array, other: F64Array) -> F64Array:
    return np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])


def _matched(expected: F64Array, boxes: F64Array) -> dict[int, int]:
    """Return which box is which expected one's, best first; each is used once.

    One box never stands for two objects: of two people of whom the detector sees one, the other stays hidden.
    """
    if not len(expected) or not len(boxes):
        return {}
    low = np.maximum(expected[:, None, :2], boxes[None, :, :2])
    high = np.minimum(expected[:, None, 2:], boxes[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    one, other = (np.maximum((b[:, 2:] - b[:, :2]).prod(axis=1), 1.0) for b in (expected, boxes))
    iou = common / (one[:, None] + other[None] - common)
    centres = [(b[:, :2] + b[:, 2:]) / 2 for b in (expected, boxes)]
    distance = np.hypot(*np.moveaxis(centres[0][:, None] - centres[1][None], 2, 0))
    longer = np.maximum((expected[:, 2:] - expected[:, :2]).max(axis=1), 1.0)[:, None]
    near = distance / longer
    ratio = one[:, None] / other[None]
    may_be = (iou >= _SAME_IOU) | (near <= _SAME_DISTANCE)
    may_be &= (ratio <= _MOST_RATIO) & (ratio >= 1 / _MOST_RATIO)
    score = np.where(may_be, iou - near / 1000, -np.inf)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    rows, columns = np.nonzero(may_be)
    for place in np.argsort(-score[rows, columns], kind="stable").tolist():
        row, column = int(rows[place]), int(columns[place])
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return pairs
