"""A part of a picture in HSV, sampled no finer than needed: large pictures cost hardly more than small."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]
F64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A sampled part of a picture.

    Attributes:
        hsv: (h, w, 3) uint8 in OpenCV's units: hue 0..179 (degrees halved), saturation and value 0..255.
        left: px of the picture where the first column lies.
        top: px of the picture where the first row lies.
        stride: px of the picture from one sample to the next.
    """

    hsv: U8Array
    left: int
    top: int
    stride: int

    def to_view(self, xyxy: F64Array) -> F64Array:
        """Return picture px (..., 4) in samples of this view."""
        return np.asarray((xyxy - self._origin()) / self.stride)

    def to_picture(self, xyxy: F64Array) -> F64Array:
        """Return samples (..., 4) of this view in picture px."""
        return np.asarray(xyxy * self.stride + self._origin())

    def _origin(self) -> F64Array:
        return np.array([self.left, self.top, self.left, self.top], np.float64)


def look(bgr: U8Array, region: F64Array, stride: int = 1) -> View:
    """Return the view of a region of a picture.

    Args:
        bgr: (H, W, 3) uint8.
        region: (4,) xyxy px; what lies outside the picture is left out, but one pixel always remains.
        stride: px from one sample to the next, both ways; the sample is the pixel in the middle.
    """
    height, width = bgr.shape[:2]
    left = min(max(int(np.floor(region[0])), 0), width - 1)
    top = min(max(int(np.floor(region[1])), 0), height - 1)
    right = min(max(int(np.ceil(region[2])), left + 1), width)
    bottom = min(max(int(np.ceil(region[3])), top + 1), height)
    stride = max(1, min(stride, right - left, bottom - top))
    part = bgr[top + stride // 2 : bottom : stride, left + stride // 2 : right : stride]
    hsv = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_BGR2HSV)
    return View(np.asarray(hsv, np.uint8), left, top, stride)


def size_of(xyxy: F64Array) -> F64Array:
    """Return (width, height), (2,) px, of a box (4,) xyxy px."""
    return np.asarray(xyxy[2:] - xyxy[:2])


def centre_of(xyxy: F64Array) -> F64Array:
    """Return the centre (x, y), (2,) px, of a box (4,) xyxy px."""
    return np.asarray((xyxy[:2] + xyxy[2:]) / 2)


def box_at(centre: F64Array, size: F64Array) -> F64Array:
    """Return the box (4,) xyxy px of this centre (2,) and (width, height) (2,), px."""
    return np.concatenate([centre - size / 2, centre + size / 2])


def clipped(xyxy: F64Array, width: float, height: float) -> F64Array:
    """Return the part of a box (4,) xyxy px that lies in the picture; empty at its edge if none does."""
    return np.clip(xyxy, 0.0, np.array([width, height, width, height], np.float64))


def pixels(hsv: U8Array, xyxy: F64Array) -> U8Array:
    """Return the samples (h, w, 3) under a box (4,) given in samples; may be empty."""
    height, width = hsv.shape[:2]
    left, top, right, bottom = np.rint(clipped(xyxy, width, height)).astype(np.int64).tolist()
    return hsv[top:bottom, left:right]
