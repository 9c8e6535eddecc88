"""One zone of the configuration: who is in it, what is asked of it, and its totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import hypot
from typing import Any, Self

from stages.count.geometry import Point
from stages.count.seen import Seen
from stages.count.zones.asked import Place, questions
from stages.count.zones.level import Course
from stages.count.zones.presence import Change, Way
from stages.count.zones.queue import Queue
from stages.count.zones.region import Ring
from stages.count.zones.scene import Departure, Question, Report, Scene, Visitor
from stages.count.zones.standing import Standing


@dataclass(slots=True)
class VisitTotals:
    """What was counted since the start; kept when the picture's size changes.

    Attributes:
        entered: who came, by class.
        left: who left.
        lost: who was lost inside.
        dwell_s: how long those who left were inside, together.
        longest_s: the longest of it.
    """

    entered: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    dwell_s: float = 0.0
    longest_s: float = 0.0

    def snapshot(self) -> dict[str, dict[str, int]]:
        """Return them as whole numbers, to be kept over a restart and given to `restored`."""
        dwell_ms = {"sum": round(1000 * self.dwell_s), "longest": round(1000 * self.longest_s)}
        told = {"entered": self.entered, "left": self.left, "lost": self.lost, "dwell_ms": dwell_ms}
        return {name: dict(values) for name, values in told.items()}

    @classmethod
    def restored(cls, kept: Mapping[str, Mapping[str, int]]) -> Self:
        """Return what a snapshot says."""
        counts = {name: dict(kept.get(name, {})) for name in ("entered", "left", "lost")}
        dwell_ms = kept.get("dwell_ms", {})
        return cls(
            **counts, dwell_s=dwell_ms.get("sum", 0) / 1000, longest_s=dwell_ms.get("longest", 0) / 1000
        )


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
        totals: since the start.
        course: how many there were, since the first frame.
        present: how many there are: seen now, or a moment ago.
        note: what to write beside the zone.
    """

    def __init__(self, name: str, place: Place, vanished_s: float) -> None:
        self.name, self.options = name, place.options
        self.questions: list[Question] = questions(place)
        self.outline: Ring = keyhole(place.region.outer, place.region.holes)
        self.visitors: dict[int, Visitor] = {}
        self.changed: list[tuple[Visitor, Change]] = []
        self.totals = VisitTotals()
        self.course: Course | None = None
        self.present = 0
        self.note = self._note(0.0)
        self._vanished_s = vanished_s
        self._is_open = False
        self._waiting: dict[int, Change] = {}  # inside, but not of the wanted kind so far

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

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to look at: nobody is there, and no question waits for time to pass."""
        return not (
            self.visitors or self.present or self.changed or self._is_open or self._waiting or not self.course
        )

    def look(self, seen: Seen, row_of: Mapping[int, int]) -> list[tuple[str, list[Report]]]:
        """Return what there is to tell at this frame, by kind."""
        if self._waiting:
            for object_id, change in list(self._waiting.items()):
                if object_id in row_of:
                    self._admit(change, seen, row_of[object_id])
        if self.questions:
            scene = self._scene(seen, row_of)
            self._note_present(scene.present, seen.time_s)
            reports = [(question.kind, question.look(scene)) for question in self.questions]
            self.note = self._note(seen.time_s)
            self._is_open = any(question.is_open for question in self.questions)
            return reports
        if self.visitors or self.present or self.course is None:
            self._note_present(self._present(seen, row_of), seen.time_s)
        return []

    def _scene(self, seen: Seen, row_of: Mapping[int, int]) -> Scene:
        """Return the zone at this frame, with all that questions need."""
        scene = Scene(seen.time_s)
        for visitor, change in self.changed:
            if change.way in (Way.ENTERED, Way.APPEARED):
                scene.entered.append(visitor)
            elif any(visitor is other for other in scene.entered):  # there and gone between two frames
                scene.entered = [other for other in scene.entered if other is not visitor]
            else:
                scene.gone.append(Departure(visitor, change.time_s, change.way is Way.LOST))
        self._observe(scene, seen, row_of)
        return scene

    def _present(self, seen: Seen, row_of: Mapping[int, int]) -> int:
        """Return how many are there, and note what they are."""
        labels, present = seen.labels, 0
        oldest_s = seen.time_s - self._vanished_s
        for object_id, visitor in self.visitors.items():
            row = row_of.get(object_id)
            if row is not None:
                visitor.seen_s, visitor.label = seen.time_s, labels[row]
                present += 1
            elif visitor.seen_s >= oldest_s:
                present += 1
        return present

    def _note_present(self, present: int, time_s: float) -> None:
        if self.course is None:
            self.course = Course(time_s, present)
        if present != self.present:
            self.course.add(time_s, present)
            self.present = present
            self.note = self._note(time_s)

    def empty(self, time_s: float) -> None:
        """Forget who is inside."""
        self.visitors.clear()
        self._waiting.clear()
        self._note_present(0, time_s)

    def _note(self, time_s: float) -> str:
        told = [text for question in self.questions if (text := question.note(time_s))]
        return ", ".join(told) or f"{self.present} inside"

    def waited_s(self, object_id: int) -> float | None:
        """Return how long one who is gone at this frame had waited in the queue, None if it had not."""
        for question in self.questions:
            if isinstance(question, Queue):
                return question.waits_s.get(object_id)
        return None

    def figures(self, time_s: float) -> Mapping[str, Any]:
        """Return the totals up to now as plain values."""
        totals, course = self.totals, self.course
        visits = sum(totals.left.values())
        return {
            "entered": dict(totals.entered),
            "left": dict(totals.left),
            "lost": dict(totals.lost),
            "now": self.present,
            "peak": 0 if course is None else int(course.peak),
            "mean": 0.0 if course is None else round(course.mean(time_s), 3),
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
