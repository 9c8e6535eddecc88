"""Bookkeeping of what begins, is told of now and then, and ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stages.count.zones.scene import Report, Visitor

Data = Mapping[str, Any]


@dataclass(slots=True)
class _Spell:
    number: int
    began_s: float
    told_s: float
    visitor: Visitor | None


class Spells:
    """Situations that are going on, each under a key; nothing is kept of those that are over.

    Args:
        update_s: seconds between two updates of one of them.
    """

    def __init__(self, update_s: float) -> None:
        self._update_s = update_s
        self._open: dict[int, _Spell] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, key: int) -> bool:
        return key in self._open

    def going_on(self) -> list[int]:
        """Return the keys of what is going on, in the order in which it began."""
        return list(self._open)

    def visitor(self, key: int) -> Visitor | None:
        """Return whom it is about."""
        return self._open[key].visitor

    def begin(
        self, key: int, began_s: float, time_s: float, data: Data, visitor: Visitor | None = None
    ) -> list[Report]:
        """Open a situation that began at `began_s` and is known at `time_s`."""
        self._made += 1
        self._open[key] = _Spell(self._made, began_s, time_s, visitor)
        return [Report(self._made, "begin", began_s, data, visitor)]

    def update(self, key: int, time_s: float, data: Data) -> list[Report]:
        """Return an update of an open situation, if it is time for one."""
        spell = self._open[key]
        if time_s - spell.told_s < self._update_s - 1e-6:  # time stamps are rounded
            return []
        spell.told_s = time_s
        return [Report(spell.number, "update", time_s, _with_duration(data, spell, time_s), spell.visitor)]

    def end(self, key: int, time_s: float, reason: str, data: Data) -> list[Report]:
        """Close a situation; nothing if it is not open."""
        spell = self._open.pop(key, None)
        if spell is None:
            return []
        told = {**_with_duration(data, spell, time_s), "reason": reason}
        return [Report(spell.number, "end", time_s, told, spell.visitor)]


def _with_duration(data: Data, spell: _Spell, time_s: float) -> dict[str, Any]:
    return {**data, "duration_s": round(max(0.0, time_s - spell.began_s), 3)}
