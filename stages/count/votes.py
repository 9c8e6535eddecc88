"""What the detections of one object say of it in the long run: its classes and its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MOST_VALUES = 16
"""Different values that are remembered of one object, and of each attribute; later ones are left out."""

MOST_ATTRIBUTES = 8
"""Attributes that are remembered of one object."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Votes:
    """Counts, for one object, how often each class and each value of an attribute was given.

    One detection is one vote: a car that looks grey for a moment, in a shadow, stays a red car.
    """

    __slots__ = ("_attributes", "_labels", "_leading")

    def __init__(self) -> None:
        self._labels: dict[str, int] = {}
        self._attributes: dict[str, dict[str, int]] = {}
        self._leading: Mapping[str, str] = _NOTHING

    def add(self, label: str, attributes: Mapping[str, str]) -> None:
        """Take one detection's class and attributes."""
        _add(self._labels, label)
        if not attributes:
            return
        changed = False
        for name, value in attributes.items():
            values = self._attributes.get(name)
            if values is None:
                if len(self._attributes) >= MOST_ATTRIBUTES:
                    continue
                values = self._attributes[name] = {}
            _add(values, value)
            leader = self._leading.get(name)
            changed |= leader is None or values.get(value, 0) > values[leader]
        if changed:
            self._leading = MappingProxyType(
                {name: max(values, key=values.__getitem__) for name, values in self._attributes.items()}
            )

    @property
    def labels(self) -> dict[str, int]:
        """How often each class was given, the most frequent first."""
        return dict(sorted(self._labels.items(), key=lambda vote: -vote[1]))

    @property
    def attributes(self) -> Mapping[str, str]:
        """Of each attribute the most frequent value."""
        return self._leading


def _add(counts: dict[str, int], value: str) -> None:
    if value in counts:
        counts[value] += 1
    elif len(counts) < MOST_VALUES:
        counts[value] = 1
