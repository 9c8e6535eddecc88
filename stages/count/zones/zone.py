"""One zone of the configuration: who is in it, what is asked of it, and its totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import hypot
from typing import Any

from stages.count.geometry import Point
from stages.count.seen import Seen
from stages.count.zones.asked import Place, questions
from stages.count.zones.level import Course
from stages.count.zones.presence import Change, Way
from stages.count.zones.queue import Queue
from stages.count.zones.region import Ring
from stages.count.zones.scene import Departure, Question, Scene, Visitor
from stages.count.zones.standing import Standing


@dataclass(slots=True)
class _Totals:
    """What was counted since the start; kept when the picture's size changes."""

    entered: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    dwell_s: float = 0.0
    longest_s: float = 0.0


class Tracked:
    """A zone, laid into the picture.

    Args:
        name: of the zone.
        place: its options and where it lies.
        vanished_s: who was not seen for so long may be gone.

    Attributes:
        questions: what is asked of it.
        visitors: who is in it.
        changed: who came and who is gone at this frame, in order; the stage's part takes them.
    """

    def __init__(self, name: str, place: Place, vanished_s: float) -> None:
        self.name, self.options = name, place.options
        self.questions: list[Question] = questions(place)
        self.outline: Ring = keyhole(place.region.outer, place.region.holes)
        self.visitors: dict[int, Visitor] = {}
        self.changed: list[tuple[Visitor, Change]] = []
        self.totals = _Totals()
        self.course: Course | None = None
        self._vanished_s = vanished_s
        self._waiting: dict[int, Change] = {}  # inside, but not of the wanted kind so far
        self._scene = Scene(0.0)

    def take(self, change: Change, seen: Seen, row: int | None) -> None:
        """Take what became certain of an object; `row` is None if it is not seen at this frame."""
        if change.way in (Way.ENTERED, Way.APPEARED):
            self._waiting[change.object_id] = change
            if row is not None:
                self._admit(change, seen, row)
            return
        self._waiting.pop(change.object_id, None)
        visitor = self.visitors.pop(change.object_id, None)
        if visitor is None:
            return
        self.changed.append((visitor, change))
        lost = change.way is Way.LOST
        _count(self.totals.lost if lost else self.totals.left, visitor.label)
        if not lost:
            dwell_s = change.time_s - visitor.entered_s
            self.totals.dwell_s += dwell_s
            self.totals.longest_s = max(self.totals.longest_s, dwell_s)

    def look(self, seen: Seen, row_of: Mapping[int, int]) -> Scene:
        """Return the zone at this frame."""
        for object_id, change in list(self._waiting.items()):
            if object_id in row_of:
                self._admit(change, seen, row_of[object_id])
        scene = Scene(seen.time_s, self.visitors)
        for visitor, change in self.changed:
            if change.way in (Way.ENTERED, Way.APPEARED):
                scene.entered.append(visitor)
            elif any(visitor is other for other in scene.entered):  # there and gone between two frames
                scene.entered = [other for other in scene.entered if other is not visitor]
            else:
                scene.gone.append(Departure(visitor, change.time_s, change.way is Way.LOST))
        if self.visitors:
            self._observe(scene, seen, row_of)
        if self.course is None:
            self.course = Course(seen.time_s, scene.present)
        else:
            self.course.add(seen.time_s, scene.present)
        return scene

    def empty(self) -> None:
        """Forget who is inside."""
        self.visitors.clear()
        self._waiting.clear()

    def note(self, time_s: float) -> str:
        """Return what to write beside the zone."""
        told = [text for question in self.questions if (text := question.note(time_s))]
        if not told and self.course is not None:
            told = [f"{self.course.value:g} inside"]
        return ", ".join(told)

    def waited_s(self, object_id: int) -> float | None:
        """Return how long one who is gone at this frame had waited in the queue, None if it had not."""
        for question in self.questions:
            if isinstance(question, Queue):
                return question.waits_s.get(object_id)
        return None

    def figures(self) -> Mapping[str, Any]:
        """Return the totals as plain values."""
        totals, course = self.totals, self.course
        visits = sum(totals.left.values())
        return {
            "entered": dict(totals.entered),
            "left": dict(totals.left),
            "lost": dict(totals.lost),
            "now": 0 if course is None else int(course.value),
            "peak": 0 if course is None else int(course.peak),
            "mean": 0.0 if course is None else round(course.mean, 3),
            "mean_dwell_s": round(totals.dwell_s / visits, 3) if visits else None,
            "longest_dwell_s": round(totals.longest_s, 3) if visits else None,
        }

    def _admit(self, change: Change, seen: Seen, row: int) -> None:
        """Let an object in if it is of the wanted kind."""
        attributes = {} if seen.attributes is None else seen.attributes[row]
        if not self.options.wants(seen.labels[row], attributes):
            return
        del self._waiting[change.object_id]
        x, y = seen.anchors(self.options.anchor)[row].tolist()
        visitor = Visitor(
            change.object_id,
            seen.labels[row],
            entered_s=change.time_s,
            seen_s=seen.time_s,
            xy=(x, y),
            size_px=0.0,
            standing=Standing((x, y), seen.time_s),
        )
        self.visitors[change.object_id] = visitor
        self.changed.append((visitor, change))
        _count(self.totals.entered, visitor.label)

    def _observe(self, scene: Scene, seen: Seen, row_of: Mapping[int, int]) -> None:
        """Move on those who are seen, and count those who are there."""
        points = seen.anchors(self.options.anchor)
        oldest_s, still = seen.time_s - self._vanished_s, self.options.still
        for object_id, visitor in self.visitors.items():
            row = row_of.get(object_id)
            if row is None:
                scene.present += visitor.seen_s >= oldest_s
                continue
            scene.present += 1
            visitor.seen_s, visitor.label = seen.time_s, seen.labels[row]
            if not self.questions:
                continue
            x, y = points[row].tolist()
            left, top, right, bottom = seen.xyxy[row].tolist()
            visitor.xy, visitor.size_px = (x, y), hypot(right - left, bottom - top)
            visitor.standing.update(seen.time_s, visitor.xy, still * visitor.size_px)
            speed = seen.speeds.get(object_id)
            visitor.speed_kmh = None if speed is None else speed.kmh
            scene.observed.append(visitor)


def keyhole(outer: Ring, holes: Iterable[Ring]) -> Ring:
    """Return one closed line around a polygon and its holes, joined where they are nearest, to be drawn."""
    ring = list(outer)
    for hole in holes:
        i, j = min(
            ((i, j) for i in range(len(ring)) for j in range(len(hole))),
            key=lambda pair: _apart(ring[pair[0]], hole[pair[1]]),
        )
        ring[i + 1 : i + 1] = [*hole[j:], *hole[: j + 1], ring[i]]
    return tuple(ring)


def _apart(a: Point, b: Point) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])


def _count(totals: dict[str, int], label: str) -> None:
    totals[label] = totals.get(label, 0) + 1
