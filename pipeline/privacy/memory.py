"""What was hidden a moment ago, and what should have been: boxes over media time.

A detector misses an object for some pictures, and finds it some pictures after it came. So a box stays for
a while after its object was seen last, and goes on the way it went; and where pictures are held back, it is
laid over those before its object was first seen, back along that way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.privacy.boxes import GROWTH, F64Array, widened

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

MOST_OBJECTS = 1024
"""Beyond it everything is hidden: more is not remembered."""

_SAME_IOU = 0.1
_SAME_DISTANCE = 0.5
"""Of the longer side: so far a small, fast object may be from where it is expected, and still be the same."""
_MOST_RATIO = 4.0
"""Of the areas of two boxes of the same object."""
_BIRTH_S = 0.5
"""The way on which an object came is measured over so long."""
_SMOOTH_S = 0.2
_LEAST_S = 1e-3
_FURTHEST = 2.0
"""Of the longer side: no box is led further on, or back, than this beside where it was seen."""


@dataclass(slots=True, eq=False)
class _Objects:
    """N objects: where they were first and last seen, and how they moved.

    Attributes:
        first: (N, 4) xyxy px.
        born_s: (N,) media time.
        box: (N, 4) xyxy px.
        seen_s: (N,) media time.
        speed: (N, 2) px/s of the centre, lately. A detector's boxes tremble: it begins at 0 and follows what
            is seen within some tenths of a second.
        first_speed: (N, 2) px/s, on the way on which it came.
        is_missed: (N,) bool, not seen in the latest picture.
    """

    first: F64Array
    born_s: F64Array
    box: F64Array
    seen_s: F64Array
    speed: F64Array
    first_speed: F64Array
    is_missed: BoolArray

    @classmethod
    def born(cls, boxes: F64Array, time_s: float) -> _Objects:
        """Return those that are seen for the first time."""
        n = len(boxes)
        times, still = np.full(n, time_s), np.zeros((n, 2))
        return cls(boxes, times, boxes.copy(), times.copy(), still, still.copy(), np.zeros(n, np.bool_))

    def __len__(self) -> int:
        return len(self.born_s)

    def __getitem__(self, rows: BoolArray | slice) -> _Objects:
        return _Objects(*(getattr(self, name)[rows] for name in self.__slots__))

    def with_others(self, others: _Objects) -> _Objects:
        """Return these and the others, as many as are remembered."""
        if not len(others):
            return self
        both = [(getattr(self, name), getattr(others, name)) for name in self.__slots__]
        return _Objects(*(np.concatenate(pair)[: MOST_OBJECTS + 1] for pair in both))

    def see(self, rows: IntArray, boxes: F64Array, time_s: float) -> None:
        """Note that these are seen again; within no time nothing is learned of their speed."""
        dt_s = np.maximum(time_s - self.seen_s[rows], _LEAST_S)[:, None]
        life_s = np.maximum(time_s - self.born_s[rows], _LEAST_S)[:, None]
        speed = (_centres(boxes) - _centres(self.box[rows])) / dt_s
        weight = np.where(dt_s > _LEAST_S, 1 - np.exp(-dt_s / _SMOOTH_S), 0.0)
        self.speed[rows] += weight * (speed - self.speed[rows])
        came = (_centres(boxes) - _centres(self.first[rows])) / np.maximum(life_s, _SMOOTH_S / 2)
        is_young = (life_s <= _BIRTH_S) | ~self.first_speed[rows].any(axis=1, keepdims=True)
        self.first_speed[rows] = np.where(is_young, came, self.first_speed[rows])
        self.box[rows], self.seen_s[rows], self.is_missed[rows] = boxes, time_s, False


@dataclass(frozen=True, slots=True, eq=False)
class _Bridges:
    """Objects that were missed between two times; what lies between the two boxes may show them.

    Attributes:
        from_s: (N,) media time.
        to_s: (N,) media time.
        box: (N, 4) xyxy px, around both boxes.
    """

    from_s: F64Array
    to_s: F64Array
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
        nobody = np.empty((0, 4))
        self._objects = _Objects.born(nobody, 0.0)
        self._gone = _Objects.born(nobody, 0.0)
        self._bridges = _Bridges(np.empty(0), np.empty(0), nobody)

    @property
    def is_overwhelmed(self) -> bool:
        """Whether there is more to remember than there is room: everything must be hidden."""
        return max(len(self._objects), len(self._gone), len(self._bridges.from_s)) > MOST_OBJECTS

    def update(self, boxes: F64Array, time_s: float) -> F64Array:
        """Take the boxes (N, 4) xyxy px that are seen at a media time; return all that is to be hidden then.

        Media time must not go back.
        """
        known = self._objects
        age_s = time_s - known.seen_s
        expected = _led(known.box, known.speed, age_s)
        rows, columns = _matched(expected, boxes)
        is_lost = np.ones(len(known), np.bool_)
        is_lost[rows] = False
        is_held = is_lost & (age_s <= self._hold_s)
        held = widened(_hull(known.box, expected)[is_held], GROWTH * age_s[is_held])
        if self._ahead_s:
            self._look_back(time_s, rows, boxes[columns], is_lost & ~is_held)
        known.see(rows, boxes[columns], time_s)
        known.is_missed[is_held] = True
        is_new = np.ones(len(boxes), np.bool_)
        is_new[columns] = False
        stays = known[~is_lost | is_held]
        self._objects = stays.with_others(_Objects.born(boxes[is_new], time_s))
        return np.concatenate([boxes, held])

    def late(self, time_s: float) -> F64Array:
        """Return the boxes (N, 4) xyxy px that later frames have shown to be missing at an earlier time."""
        bridges = self._bridges
        found = [bridges.box[(bridges.from_s < time_s) & (time_s < bridges.to_s)]]
        for objects in (self._objects, self._gone):
            before_s = objects.born_s - time_s
            is_late = (before_s > 0) & (before_s <= self._ahead_s)
            late, before_s = objects[is_late], before_s[is_late]
            way = _hull(late.first, _led(late.first, late.first_speed, -before_s))
            found.append(widened(way, GROWTH * before_s))
        return np.concatenate(found)

    def _look_back(self, time_s: float, rows: IntArray, boxes: F64Array, is_gone: BoolArray) -> None:
        """Keep what the frames that wait must be told: who is gone, and who was missed and is back."""
        known, since_s = self._objects, time_s - self._ahead_s
        self._gone = self._gone[self._gone.born_s >= since_s]
        self._gone = self._gone.with_others(known[is_gone & (known.born_s >= since_s)])
        is_back = known.is_missed[rows]
        back, old = rows[is_back], self._bridges
        young = old.to_s >= since_s
        new = (known.seen_s[back], np.full(len(back), time_s), _hull(known.box[back], boxes[is_back]))
        kept = (old.from_s[young], old.to_s[young], old.box[young])
        self._bridges = _Bridges(
            *(np.concatenate(pair)[: MOST_OBJECTS + 1] for pair in zip(kept, new, strict=True))
        )


def _led(boxes: F64Array, speed: F64Array, seconds: F64Array) -> F64Array:
    """Return where boxes are some seconds later, or earlier, at most twice their longer side away."""
    furthest = _FURTHEST * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    return boxes + np.tile(np.clip(speed * seconds[:, None], -furthest, furthest), 2)


def _centres(boxes: F64Array) -> F64Array:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _hull(one: F64Array, other: F64Array) -> F64Array:
    low, high = np.minimum(one[:, :2], other[:, :2]), np.maximum(one[:, 2:], other[:, 2:])
    return np.concatenate([low, high], axis=1)


def _matched(expected: F64Array, boxes: F64Array) -> tuple[IntArray, IntArray]:
    """Return rows of those expected and rows of their boxes, best first; each is used once.

    One box never stands for two objects: of two people of whom the detector sees one, the other stays hidden.
    """
    if not len(expected) or not len(boxes):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    low = np.maximum(expected[:, None, :2], boxes[None, :, :2])
    high = np.minimum(expected[:, None, 2:], boxes[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    one, other = (np.maximum((b[:, 2:] - b[:, :2]).prod(axis=1), 1.0) for b in (expected, boxes))
    iou = common / (one[:, None] + other[None] - common)
    distance = np.hypot(*np.moveaxis(_centres(expected)[:, None] - _centres(boxes)[None], 2, 0))
    longer = np.maximum((expected[:, 2:] - expected[:, :2]).max(axis=1), 1.0)[:, None]
    near = distance / longer
    ratio = one[:, None] / other[None]
    may_be = (iou >= _SAME_IOU) | (near <= _SAME_DISTANCE)
    may_be &= (ratio <= _MOST_RATIO) & (ratio >= 1 / _MOST_RATIO)
    score = np.where(may_be, iou - near / 1000, -np.inf)
    rows, columns = np.nonzero(may_be)
    order = np.argsort(-score[rows, columns], kind="stable")
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return np.array(list(pairs), np.intp), np.array(list(pairs.values()), np.intp)
