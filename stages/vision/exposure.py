"""How much brighter the whole picture is than a reference: robust against objects that fill half of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]

GRID = (32, 18)
"""Cells (across, down) that pictures are averaged into: enough for a vote, cheap at every frame."""

# A cell fits if it is this near to what is expected: noise, vignetting and small objects in it.
_TOLERANCE = 0.04
_TOLERANCE_LEVELS = 3.0
_OFFSET_SIGMA_LEVELS = 16.0
_MAX_GAIN = 10.0
_FEWEST_CELLS = 8

_ITERATIONS = 4
_SETTLED = 5e-4
_SETTLED_LEVELS = 0.05

# When the last estimate explains less than this, the vote on ratios is asked, and taken if clearly better.
_TRUSTED_SUPPORT = 0.6
_CLEARLY_MORE = 1.5
_RATIO_BIN = 0.05
_MAX_LOG_RATIO = 2.0


@dataclass(frozen=True, slots=True)
class Exposure:
    """Maps a reference's luma to the picture's: `picture = gain * reference + offset`.

    Attributes:
        gain: factor, > 0.
        offset: luma levels.
        support: share of the picture's cells that the map explains, 0..1.
    """

    gain: float = 1.0
    offset: float = 0.0
    support: float = 1.0

    def undo(self, luma: U8Array, share: float = 1.0) -> U8Array:
        """Return `luma` as it would look under the reference's exposure.

        Args:
            luma: (H, W) uint8.
            share: 1 undoes the whole change, 0 nothing (geometric in the gain).
        """
        levels = np.arange(256, dtype=np.float64)
        table = (levels - share * self.offset) / self.gain**share
        return np.asarray(cv2.LUT(luma, np.clip(np.rint(table), 0, 255).astype(np.uint8)), dtype=np.uint8)


def coarse(luma: U8Array) -> F32Array:
    """Average an (H, W) uint8 picture into `GRID` cells, flat float32."""
    return np.asarray(cv2.resize(luma, GRID, interpolation=cv2.INTER_AREA), dtype=np.float32).ravel()


def fit_exposure(cells: F32Array, reference: F32Array, last: Exposure) -> Exposure:
    """Estimate gain and offset between two pictures from their coarse cells.

    Starts from `last`, or from the most frequent ratio where that explains clearly more, and refines by
    least squares over the cells that fit (trimmed until stable). The offset is held near 0 unless the scene
    has the contrast to tell it from the gain.

    Args:
        cells: (N,) float32 luma of the picture, see `coarse`.
        reference: (N,) float32 luma of the reference.
        last: the estimate of the picture before.
    """
    gain, offset = last.gain, last.offset
    inlier = _fits(cells, reference, gain, offset)
    if inlier.mean() < _TRUSTED_SUPPORT:
        ratio = _most_frequent_ratio(cells, reference)
        by_ratio = _fits(cells, reference, ratio, 0.0)
        if by_ratio.sum() > _CLEARLY_MORE * inlier.sum():
            gain, offset, inlier = ratio, 0.0, by_ratio
    for _ in range(_ITERATIONS):
        x, y = reference[inlier], cells[inlier]
        if len(x) < _FEWEST_CELLS:
            break
        before = gain, offset
        gain, offset = _least_squares(x, y)
        inlier = _fits(cells, reference, gain, offset)
        if abs(gain - before[0]) < _SETTLED and abs(offset - before[1]) < _SETTLED_LEVELS:
            break
    return Exposure(gain, offset, float(inlier.mean()))


def _least_squares(x: F32Array, y: F32Array) -> tuple[float, float]:
    """Solve y = gain * x + offset, with a prior that holds the offset near 0."""
    prior = 1.0 + (_TOLERANCE_LEVELS / _OFFSET_SIGMA_LEVELS) ** 2
    mean_x, mean_y, mean_xx, mean_xy = (float(v.mean()) for v in (x, y, x * x, x * y))
    # Positive for any x that is not all zero, as the prior is above 1.
    determinant = max(mean_xx * prior - mean_x * mean_x, 1e-6)
    gain = min(max((prior * mean_xy - mean_x * mean_y) / determinant, 1 / _MAX_GAIN), _MAX_GAIN)
    return gain, (mean_y - gain * mean_x) / prior


def _fits(cells: F32Array, reference: F32Array, gain: float, offset: float) -> npt.NDArray[np.bool_]:
    expected = gain * reference + offset
    return np.asarray(np.abs(cells - expected) < _TOLERANCE_LEVELS + _TOLERANCE * expected)


def _most_frequent_ratio(cells: F32Array, reference: F32Array) -> float:
    ratio = np.log((cells + 1.0) / (reference + 1.0))
    ratio = ratio[np.abs(ratio) < _MAX_LOG_RATIO]
    if len(ratio) == 0:
        return 1.0
    bins = np.bincount(np.floor((ratio + _MAX_LOG_RATIO) / _RATIO_BIN).astype(np.int64))
    votes = np.convolve(bins, [1, 1, 1], mode="same")
    centre = (int(votes.argmax()) + 0.5) * _RATIO_BIN - _MAX_LOG_RATIO
    near = ratio[np.abs(ratio - centre) <= 1.5 * _RATIO_BIN]
    return float(np.exp(np.median(near)))
