"""The speeds of many objects in the figures that traffic engineers use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.count.seen import Speed

_FASTEST_KMH = 400
_MOST_LABELS = 100
_OTHERS = "others"


class Survey:
    """Counts each object once, with the speed that was known best; bounded, whatever comes by.

    Objects that never surely moved are counted apart: parked cars are no slow traffic.
    """

    def __init__(self) -> None:
        self._best: dict[int, tuple[str, Speed] | None] = {}
        self._speeds: dict[str, npt.NDArray[np.int64]] = {}
        self._standing = 0
        self._unmeasured = 0

    def meet(self, ids: Iterable[int]) -> None:
        """Note that these objects are there."""
        for object_id in ids:
            self._best.setdefault(object_id)

    def note(self, object_id: int, label: str, speed: Speed) -> None:
        """Take a measurement of an object."""
        best = self._best.get(object_id)
        if best is None or speed.error_kmh < best[1].error_kmh:
            self._best[object_id] = (label, speed)

    def end(self, ids: Iterable[int]) -> None:
        """Count these objects, of which nothing more will be seen."""
        for object_id in ids:
            if object_id in self._best:
                self._count(self._best.pop(object_id))

    def end_all(self) -> None:
        """Count all objects that are left."""
        self.end(list(self._best))

    def figures(self) -> Mapping[str, Any]:
        """Return plain values: how many objects moved, stood or could not be measured, and speeds by class.

        `v85_kmh` is the speed that 85 of 100 do not exceed; it and the median are given to 1 km/h.
        """
        return {
            "standing": self._standing,
            "not_measurable": self._unmeasured,
            "moving": {label: _summary(counts) for label, counts in self._speeds.items()},
        }

    def _count(self, best: tuple[str, Speed] | None) -> None:
        if best is None:
            self._unmeasured += 1
            return
        label, speed = best
        if speed.kmh <= speed.error_kmh:
            self._standing += 1
            return
        if label not in self._speeds and len(self._speeds) >= _MOST_LABELS:
            label = _OTHERS
        if label not in self._speeds:
            # A new table: another thread may be reading the old one.
            self._speeds = {**self._speeds, label: np.zeros(_FASTEST_KMH + 1, np.int64)}
        self._speeds[label][min(round(speed.kmh), _FASTEST_KMH)] += 1


def _summary(counts: npt.NDArray[np.int64]) -> dict[str, float | int]:
    total, up_to = int(counts.sum()), counts.cumsum()
    return {
        "objects": total,
        "mean_kmh": round(float(counts @ np.arange(len(counts))) / max(total, 1), 1),
        "median_kmh": int(np.searchsorted(up_to, 0.5 * total)),
        "v85_kmh": int(np.searchsorted(up_to, 0.85 * total)),
    }
