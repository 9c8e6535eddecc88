"""Whether anything has changed since the detector looked: a few hundredths of a millisecond a picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stages.vision.exposure import Exposure, coarse, fit_exposure

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

GATE_PX = 240
"""Largest side of the pictures that are compared: noise averages out, and what a detector finds remains."""

# A pixel has changed when it lies so many levels outside of what the reference shows within one pixel around:
# sensor noise and the coder leave 2 to 4 of them, the sway of a pole moves edges by less than a pixel.
_TOLERANCE = np.uint8(8)
_AROUND = np.ones((3, 3), np.uint8)
# So many changed pixels in all are motion, specks left out.
_FEWEST_PX = 5
# A change of exposure must explain so much of the picture, or it is none.
_MIN_SUPPORT = 0.5


class MotionGate:
    """Compares pictures with the one that was looked at last.

    Slow motion adds up until it shows. A change of the camera's exposure is estimated and undone; it costs
    something only at pictures that seem to have changed.
    """

    def __init__(self) -> None:
        self._low: U8Array | None = None
        self._high: U8Array | None = None
        self._cells: F32Array | None = None
        self._exposure = Exposure()

    def learn(self, luma: U8Array, where: BoolArray | None = None) -> None:
        """Take a picture that is looked at for the reference.

        Args:
            luma: (H, W) uint8, see `GATE_PX`.
            where: (H, W) which part of it was looked at; all when None, or when there is no reference yet.
        """
        low, high = self._low, self._high
        part = where is not None and low is not None and low.shape == luma.shape
        if part:
            luma = self._adjusted(luma)
        darkest = np.maximum(np.asarray(cv2.erode(luma, _AROUND), np.uint8), _TOLERANCE) - _TOLERANCE
        lightest = (
            np.minimum(np.asarray(cv2.dilate(luma, _AROUND), np.uint8), np.uint8(255) - _TOLERANCE)
            + _TOLERANCE
        )
        if part and where is not None and low is not None and high is not None:
            np.copyto(low, darkest, where=where)
            np.copyto(high, lightest, where=where)
            return
        self._low, self._high = darkest, lightest
        self._cells = coarse(luma)
        self._exposure = Exposure()

    def changes(self, luma: U8Array, *, relit: bool = True) -> U8Array | None:
        """Return what has changed since the reference.

        Args:
            luma: (H, W) uint8.
            relit: whether what seems to have changed may be due to the exposure.

        Returns:
            (H, W) uint8, 255 where it has, None when nothing has. All of it when there is no reference of
            this size.
        """
        low, high, cells = self._low, self._high, self._cells
        if low is None or high is None or cells is None or low.shape != luma.shape:
            return np.full(luma.shape, 255, np.uint8)
        changed = _outside(self._adjusted(luma), low, high)
        if changed is None or not relit:
            return changed
        exposure = fit_exposure(coarse(luma), cells, self._exposure)
        if exposure.support < _MIN_SUPPORT:
            return changed
        before, self._exposure = self._exposure, exposure
        left = _outside(self._adjusted(luma), low, high)
        if left is not None and cv2.countNonZero(left) >= cv2.countNonZero(changed):
            self._exposure = before
            return changed
        return left

    def _adjusted(self, luma: U8Array) -> U8Array:
        exposure = self._exposure
        if exposure.gain == 1.0 and exposure.offset == 0.0:
            return luma
        return exposure.undo(luma)


def _outside(luma: U8Array, low: U8Array, high: U8Array) -> U8Array | None:
    same = cv2.inRange(luma, low, high)
    if luma.size - cv2.countNonZero(same) < _FEWEST_PX:
        return None
    changed = cv2.medianBlur(cv2.bitwise_not(same), 3)
    return np.asarray(changed, np.uint8) if cv2.countNonZero(changed) >= _FEWEST_PX else None
