"""How many wait in a zone, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from stages.count.zones.level import Threshold
from stages.count.zones.scene import Report, Scene


class Queue:
    """The line of those who wait: who has come to a stand in the zone, until they are gone from it.

    Who has joined stays in the queue while it moves up. Waiting begins where they first stood.

    Args:
        length: it is a queue from so many on.
        joined_s: who has stood for so long waits.
        steady_s: length must have been reached, or missed, for so long.
        update_s: seconds between updates.
    """

    kind: ClassVar[str] = "zone.queue"

    def __init__(self, length: int, joined_s: float, steady_s: float, update_s: float) -> None:
        self._joined_s = joined_s
        self._level = Threshold(length, length, steady_s, update_s)
        self._waiting: dict[int, float] = {}  # object -> since when
        self._longest_s = 0.0
        self._served = 0
        self._waited_s = 0.0
        self._most_s = 0.0
        self._now_s = 0.0
        self.waits_s: dict[int, float] = {}
        """How long those waited who are gone at this frame."""

    def look(self, scene: Scene) -> list[Report]:
        """Return what there is to tell at this frame."""
        self._now_s = scene.time_s
        self.waits_s = {}
        for departure in scene.gone:
            since_s = self._waiting.pop(departure.visitor.object_id, None)
            if since_s is not None:
                waited_s = departure.time_s - since_s
                self.waits_s[departure.visitor.object_id] = waited_s
                self._served += 1
                self._waited_s += waited_s
                self._most_s = max(self._most_s, waited_s)
        for visitor in scene.observed:
            if visitor.object_id not in self._waiting:
                since_s = max(visitor.standing.since_s, visitor.entered_s)
                if scene.time_s - since_s >= self._joined_s:
                    self._waiting[visitor.object_id] = since_s
        ongoing = self._level.reached
        reports = self._level.look(scene.time_s, len(self._waiting), self._data)
        if not self._level.reached and self._level.course is None and (ongoing or self._served):
            self._begin_anew()
        return reports

    def end(self, time_s: float, reason: str) -> list[Report]:
        """Return the end of what is going on; nobody waits any more."""
        self._now_s = time_s
        reports = self._level.end(time_s, reason, self._data)
        self._waiting.clear()
        self._begin_anew()
        return reports

    @property
    def is_open(self) -> bool:
        """Whether it is going on, or about to begin."""
        return self._level.is_open

    def note(self, time_s: float) -> str:
        """Return how many wait, and for how long the first of them has."""
        if not self._waiting:
            return ""
        return f"{len(self._waiting)} waiting, {time_s - min(self._waiting.values()):.0f} s"

    def _begin_anew(self) -> None:
        self._served, self._waited_s, self._most_s = 0, 0.0, 0.0

    def _data(self) -> Mapping[str, Any]:
        course = self._level.course
        assert course is not None  # noqa: S101 - for mypy
        longest_s = self._now_s - min(self._waiting.values(), default=self._now_s)
        return {
            "length": len(self._waiting),
            "peak": int(course.peak),
            "mean": round(course.mean(self._now_s), 3),
            "longest_wait_s": round(longest_s, 3),
            "served": self._served,
            "mean_wait_s": round(self._waited_s / self._served, 3) if self._served else None,
            "max_wait_s": round(self._most_s, 3) if self._served else None,
        }
