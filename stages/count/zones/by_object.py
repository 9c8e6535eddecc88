"""The frame of all questions about one object at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from stages.count.zones.scene import Report, Scene, Visitor
from stages.count.zones.spells import Data, Spells


class ByObject(ABC):
    """Asks the same of every object in the zone; each answer that is yes is a situation of its own.

    Args:
        update_s: seconds between updates of one of them.

    Attributes:
        kind: of the events.
        over: the reason of an end when the answer became no while the object is still there.
        word: what to write beside the zone after the number of those concerned.
    """

    kind: ClassVar[str]
    over: ClassVar[str]
    word: ClassVar[str]

    def __init__(self, update_s: float) -> None:
        self._spells = Spells(update_s)

    @abstractmethod
    def _since_s(self, visitor: Visitor, time_s: float) -> float | None:
        """Return since when it is so of an object that is seen now; None when it is not."""

    @abstractmethod
    def _data(self, visitor: Visitor, time_s: float) -> Data:
        """Return the particulars."""

    def _forget(self, object_id: int) -> None:
        """Drop what is kept of an object that is gone."""

    def _prepare(self, scene: Scene) -> None:
        """Take what the answers need from all who are there."""

    def look(self, scene: Scene) -> list[Report]:
        """Return what there is to tell at this frame."""
        reports: list[Report] = []
        for gone in scene.gone:
            key, reason = gone.visitor.object_id, "lost" if gone.lost else "left"
            if key in self._spells:
                reports += self._spells.end(key, gone.time_s, reason, self._data(gone.visitor, gone.time_s))
            self._forget(key)
        self._prepare(scene)
        for visitor in scene.observed:
            key, since_s = visitor.object_id, self._since_s(visitor, scene.time_s)
            if key in self._spells:
                data = self._data(visitor, scene.time_s)
                if since_s is None:
                    reports += self._spells.end(key, scene.time_s, self.over, data)
                else:
                    reports += self._spells.update(key, scene.time_s, data)
            elif since_s is not None:
                data = self._data(visitor, scene.time_s)
                reports += self._spells.begin(key, since_s, scene.time_s, data, visitor)
        return reports

    def end(self, time_s: float, reason: str) -> list[Report]:
        """Return the ends of all that is going on, and forget it."""
        reports: list[Report] = []
        for key in self._spells.going_on():
            visitor = self._spells.visitor(key)
            assert visitor is not None  # noqa: S101 - for mypy
            # It may not have been seen for a while; nobody knows what it did since.
            last_s = min(time_s, visitor.seen_s)
            reports += self._spells.end(key, last_s, reason, self._data(visitor, last_s))
        self._forget_all()
        return reports

    def _forget_all(self) -> None:
        """Drop what is kept of all objects."""

    @property
    def is_open(self) -> bool:
        """Whether it is so of anybody."""
        return len(self._spells) > 0

    def note(self, time_s: float) -> str:  # noqa: ARG002
        """Return how many it is so of."""
        return f"{len(self._spells)} {self.word}" if self._spells else ""
