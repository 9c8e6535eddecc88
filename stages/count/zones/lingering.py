"""Who stays for long, who comes back again and again, who stands still."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from stages.count.zones.by_object import ByObject
from stages.count.zones.scene import Report, Scene, Visitor
from stages.count.zones.spells import Data, Spells

MAX_REMEMBERED = 10_000
"""Most objects that have left and may come back."""


class Dwell(ByObject):
    """Who stays for long in one visit.

    Args:
        after_s: seconds in the zone after which it begins.
        update_s: seconds between updates.
    """

    kind = "zone.dwell"
    over = "over"
    word = "stay long"

    def __init__(self, after_s: float, update_s: float) -> None:
        super().__init__(update_s)
        self._after_s = after_s

    def _since_s(self, visitor: Visitor, time_s: float) -> float | None:
        since_s = visitor.entered_s + self._after_s
        return since_s if time_s >= since_s else None

    def _data(self, visitor: Visitor, time_s: float) -> Data:
        return {"dwell_s": round(time_s - visitor.entered_s, 3)}


class Stopped(ByObject):
    """Who stands still.

    Args:
        after_s: seconds of standing after which it begins; its moment is when the object came to a stand.
        update_s: seconds between updates.
    """

    kind = "zone.stopped"
    over = "moved"
    word = "stopped"

    def __init__(self, after_s: float, update_s: float) -> None:
        super().__init__(update_s)
        self._after_s = after_s
        self._stood_since_s: dict[int, float] = {}

    def _since_s(self, visitor: Visitor, time_s: float) -> float | None:
        since_s, key = visitor.standing.since_s, visitor.object_id
        if key in self._spells and self._stood_since_s[key] != since_s:
            return None
        if time_s - since_s < self._after_s:
            return None
        self._stood_since_s[key] = since_s
        return since_s

    def _data(self, visitor: Visitor, time_s: float) -> Data:
        since_s = self._stood_since_s[visitor.object_id]
        return {"stood_s": round(time_s - since_s, 3)}

    def _forget(self, object_id: int) -> None:
        self._stood_since_s.pop(object_id, None)

    def _forget_all(self) -> None:
        self._stood_since_s.clear()


@dataclass(slots=True)
class _Stayer:
    """An object and all its visits that lie close together.

    Attributes:
        visitor: it, in its latest visit.
        earlier_s: length of the visits before that.
        visits: how many there were.
        left_s: when the latest ended, None while it goes on.
        lost: it was lost then.
    """

    visitor: Visitor
    earlier_s: float = 0.0
    visits: int = 1
    left_s: float | None = None
    lost: bool = False

    def total_s(self, time_s: float) -> float:
        return self.earlier_s + (0.0 if self.left_s is not None else time_s - self.visitor.entered_s)


class Loitering:
    """Who hangs about: all visits together are long, with short absences between them.

    Args:
        after_s: seconds in the zone, all visits together, after which it begins.
        return_s: who is away for longer has left; it ends then.
        update_s: seconds between updates.
    """

    kind: ClassVar[str] = "zone.loitering"

    def __init__(self, after_s: float, return_s: float, update_s: float) -> None:
        self._after_s, self._return_s = after_s, return_s
        self._spells = Spells(update_s)
        self._here: dict[int, _Stayer] = {}
        self._away: dict[int, _Stayer] = {}  # in the order in which they left

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._here) + len(self._away)

    def look(self, scene: Scene) -> list[Report]:
        """Return what there is to tell at this frame."""
        for gone in scene.gone:
            stayer = self._here.pop(gone.visitor.object_id)
            stayer.earlier_s += gone.time_s - gone.visitor.entered_s
            stayer.left_s, stayer.lost = gone.time_s, gone.lost
            self._away[gone.visitor.object_id] = stayer
        reports = self._given_up(scene.time_s)
        for visitor in scene.entered:
            back = self._away.pop(visitor.object_id, None)
            if back is None:
                self._here[visitor.object_id] = _Stayer(visitor)
            else:
                back.visitor, back.left_s, back.lost = visitor, None, False
                back.visits += 1
                self._here[visitor.object_id] = back
        for visitor in scene.observed:
            key, stayer = visitor.object_id, self._here[visitor.object_id]
            if key in self._spells:
                reports += self._spells.update(key, scene.time_s, _stayed(stayer, scene.time_s))
            elif stayer.total_s(scene.time_s) >= self._after_s:
                began_s = visitor.entered_s + max(0.0, self._after_s - stayer.earlier_s)
                data = _stayed(stayer, scene.time_s)
                reports += self._spells.begin(key, began_s, scene.time_s, data, visitor)
        return reports

    def _given_up(self, time_s: float) -> list[Report]:
        """Return the ends of those who have been away for too long."""
        reports: list[Report] = []
        while self._away:
            key = next(iter(self._away))
            left_s = self._away[key].left_s or 0.0
            if time_s - left_s <= self._return_s and len(self._away) <= MAX_REMEMBERED:
                break
            stayer = self._away.pop(key)
            reason = "lost" if stayer.lost else "left"
            reports += self._spells.end(key, left_s, reason, _stayed(stayer, left_s))
        return reports

    def end(self, time_s: float, reason: str) -> list[Report]:
        """Return the ends of all that is going on, and forget it."""
        reports = self._given_up(inf)
        for key in self._spells.going_on():
            stayer = self._here[key]
            last_s = min(time_s, stayer.visitor.seen_s)
            reports += self._spells.end(key, last_s, reason, _stayed(stayer, last_s))
        self._here.clear()
        return reports

    @property
    def is_open(self) -> bool:
        """Whether somebody loiters, or may come back."""
        return len(self) > 0

    def note(self, time_s: float) -> str:  # noqa: ARG002
        """Return how many loiter."""
        return f"{len(self._spells)} loitering" if self._spells else ""


def _stayed(stayer: _Stayer, time_s: float) -> Data:
    return {"stayed_s": round(stayer.total_s(time_s), 3), "visits": stayer.visits}
