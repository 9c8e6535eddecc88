"""How many went from where to where: the matrix of origins and destinations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stages.count.routes.follow import Route

MAX_LABELS = 200
"""Classes beyond so many are added up as "other"."""

ByLabel = dict[str, int]


class Matrix:
    """Totals of routes: whole ones by origin and destination, and apart from them those seen in part."""

    def __init__(self) -> None:
        self._completed: dict[tuple[str, str], ByLabel] = {}
        self._travel_s: dict[tuple[str, str], float] = {}
        self._entered: dict[str, ByLabel] = {}
        self._left: dict[str, ByLabel] = {}
        self._labels: set[str] = set()

    def add(self, route: Route) -> None:
        """Count a route."""
        label, origin, destination = self._known(route.label), route.origin, route.destination
        if origin is not None and destination is not None:
            pair = (origin.gate, destination.gate)
            _count(self._completed.setdefault(pair, {}), label)
            self._travel_s[pair] = self._travel_s.get(pair, 0.0) + destination.time_s - origin.time_s
        elif origin is not None:
            _count(self._entered.setdefault(origin.gate, {}), label)
        elif destination is not None:
            _count(self._left.setdefault(destination.gate, {}), label)

    def figures(self) -> dict[str, Any]:
        """Return the totals as plain values.

        Returns:
            `completed`: origin -> destination -> label -> routes; `mean_travel_s`: origin -> destination ->
            seconds; `entered_lost`: origin -> label -> those of whom the end was not seen; `appeared_left`:
            destination -> label -> those of whom the beginning was not seen.
        """
        completed: dict[str, dict[str, ByLabel]] = {}
        travel_s: dict[str, dict[str, float]] = {}
        for (origin, destination), by_label in sorted(self._completed.items()):
            completed.setdefault(origin, {})[destination] = dict(by_label)
            mean_s = self._travel_s[origin, destination] / sum(by_label.values())
            travel_s.setdefault(origin, {})[destination] = round(mean_s, 3)
        return {
            "completed": completed,
            "mean_travel_s": travel_s,
            "entered_lost": {gate: dict(by_label) for gate, by_label in sorted(self._entered.items())},
            "appeared_left": {gate: dict(by_label) for gate, by_label in sorted(self._left.items())},
        }

    def snapshot(self) -> dict[str, ByLabel]:
        """Return the totals as plain numbers, to be kept over a restart and given to `restore`."""
        kept = {_name(*pair): dict(by_label) for pair, by_label in self._completed.items()}
        kept |= {_name(*pair, "ms"): {"sum": round(1000 * s)} for pair, s in self._travel_s.items()}
        kept |= {_name(gate, None): dict(by_label) for gate, by_label in self._entered.items()}
        kept |= {_name(None, gate): dict(by_label) for gate, by_label in self._left.items()}
        return kept

    def restore(self, kept: Mapping[str, Mapping[str, int]]) -> None:
        """Go on from a snapshot.

        Raises:
            ValueError: if it is none.
        """
        for name, totals in kept.items():
            origin, destination, *what = json.loads(name)
            if what:
                self._travel_s[origin, destination] = totals["sum"] / 1000
                continue
            self._labels.update(totals)
            if origin is None:
                self._left[destination] = dict(totals)
            elif destination is None:
                self._entered[origin] = dict(totals)
            else:
                self._completed[origin, destination] = dict(totals)

    def _known(self, label: str) -> str:
        if label not in self._labels and len(self._labels) >= MAX_LABELS:
            return "other"
        self._labels.add(label)
        return label


def _name(*what: str | None) -> str:
    return json.dumps(what, ensure_ascii=False)


def _count(by_label: ByLabel, label: str) -> None:
    by_label[label] = by_label.get(label, 0) + 1
