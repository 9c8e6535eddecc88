"""Luma, reduced: motion needs neither colour nor the full size."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]


def reduced_luma(luma: U8Array, width: int) -> U8Array:
    """Return the picture averaged down to `width` px, its aspect ratio kept.

    Args:
        luma: (H, W) uint8.
        width: px, at least 1.

    Returns:
        (round(H * width / W), width) uint8; `luma` itself when it is no wider.
    """
    rows, columns = luma.shape
    if columns <= width:
        return luma
    height = max(round(rows * width / columns), 1)
    if columns >= 4 * width:
        # Averaging 2 x 2 is several times faster than averaging areas; it leaves the latter a quarter.
        luma = np.asarray(cv2.resize(luma, (columns // 2, rows // 2)), dtype=np.uint8)
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
