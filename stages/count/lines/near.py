"""Which objects are near which lines: one look at all pairs, so that the others cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array, Point, Polyline

_MARGIN_PX = 1e-3  # far above rounding


class Near:
    """Tells for straight steps of objects which of M lines they may touch.

    Each straight part of a line with its band lies in a turned rectangle; a step that is beyond one of the
    rectangle's sides as a whole cannot touch it (separating axes).

    Args:
        lines: px.
        bands_px: of each line.
    """

    def __init__(self, lines: Sequence[Polyline], bands_px: Sequence[float]) -> None:
        along: list[Point] = []
        aside: list[Point] = []
        origins: list[Point] = []
        lengths: list[float] = []
        bands: list[float] = []
        self._firsts: list[int] = []
        for line, band_px in zip(lines, bands_px, strict=True):
            self._firsts.append(len(lengths))
            for (ax, ay), (bx, by) in line.parts:
                length = hypot(bx - ax, by - ay)
                dx, dy = (bx - ax) / length, (by - ay) / length
                along.append((dx, dy))
                aside.append((-dy, dx))
                origins.append((ax, ay))
                lengths.append(length)
                bands.append(band_px + _MARGIN_PX)
        self._parts = len(lengths)
        self._straight = self._parts == len(lines)
        axes, starts = np.array(along + aside).reshape(-1, 2), np.array(origins * 2).reshape(-1, 2)
        self._axes: F64Array = np.ascontiguousarray(axes.T)
        offset, band = (axes * starts).sum(axis=1), np.array(bands * 2)
        self._low: F64Array = offset - band
        self._high: F64Array = offset + band + np.array(lengths + [0.0] * self._parts)

    def pairs(self, origins: F64Array, targets: F64Array) -> npt.NDArray[np.bool_]:
        """Return (N, M) bool: which of N steps, from (N, 2) to (N, 2) px, may touch which line."""
        first, second = origins @ self._axes, targets @ self._axes
        fits = (np.minimum(first, second) <= self._high) & (np.maximum(first, second) >= self._low)
        near: npt.NDArray[np.bool_] = fits[:, : self._parts] & fits[:, self._parts :]
        if not self._straight:
            near = np.logical_or.reduceat(near, self._firsts, axis=1)
        return near
