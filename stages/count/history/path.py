"""Where an object was, from its first sighting to its last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64Array = npt.NDArray[np.float64]
I64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Path:
    """The box of one object over time: straight and even between its K points.

    Attributes:
        times_s: (K,) float64 media time, strictly increasing.
        xyxy: (K, 4) float64 px.
        vanished: (K,) bool, True where the object had been unseen for so long before this point that it
            counted as vanished: a crossing that was pending became final then.
    """

    times_s: F64Array
    xyxy: F64Array
    vanished: BoolArray

    def __len__(self) -> int:
        return len(self.times_s)

    def bounds(self) -> tuple[float, float, float, float]:
        """Return the smallest upright box around all boxes, xyxy px."""
        left, top = self.xyxy[:, :2].min(axis=0).tolist()
        right, bottom = self.xyxy[:, 2:].max(axis=0).tolist()
        return left, top, right, bottom

    def at(self, times_s: F64Array) -> F64Array:
        """Return the boxes at these times, (M, 4) px, interpolated; before and after: the end points'."""
        return np.stack([np.interp(times_s, self.times_s, side) for side in self.xyxy.T], axis=1)
