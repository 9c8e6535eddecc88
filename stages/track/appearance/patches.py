"""Cuts boxes out of a picture as the small pictures that a network looks at, and makes numbers of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray, IntArray, touching_pairs
from stages.track.gallery import F32Array

U8Array = npt.NDArray[np.uint8]
Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Scaling:
    """What makes a network's input of a pixel: (value / 255 - mean) / std, channel by channel.

    Attributes:
        mean: of each channel in the network's order, on a scale of 0..1.
        std: likewise, above 0.
        rgb: True when the network wants red first, False for blue first.

    Raises:
        ValueError: if a number is not finite, or a standard deviation is not above 0.
    """

    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    rgb: bool = True

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError(f"mean and std need 3 numbers each, got {self.mean} and {self.std}")
        if not np.isfinite([*self.mean, *self.std]).all() or min(self.std) <= 0:
            raise ValueError(f"mean and std must be finite and std above 0, got {self.mean} and {self.std}")

    @classmethod
    def raw(cls) -> Self:
        """Return the scaling of networks that take 0..255 as they are, red first."""
        return cls((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))

    def planes(self, bgr: U8Array, out: F32Array) -> None:
        """Write (N, H, W, 3) uint8 BGR patches as (N, 3, H, W) float32 input into `out`."""
        n, height, width, _ = bgr.shape
        stacked = np.ascontiguousarray(bgr).reshape(n * height, width, 3)
        for channel in range(3):
            plane = cv2.extractChannel(stacked, 2 - channel if self.rgb else channel)
            gain = 1 / (255 * self.std[channel])
            np.multiply(plane.reshape(n, height, width), np.float32(gain), out=out[:n, channel])
            out[:n, channel] -= np.float32(self.mean[channel] / self.std[channel])


def corners_within(width: int, height: int, xyxy: npt.NDArray[np.floating]) -> tuple[IntArray, IntArray]:
    """Return which boxes have a pixel in a picture, (M,), and their whole corners there, (M, 4)."""
    finite = np.where(np.isfinite(xyxy), xyxy, 0)
    low = np.floor(np.clip(finite[:, :2], 0, [width, height])).astype(np.intp)
    high = np.ceil(np.clip(finite[:, 2:], 0, [width, height])).astype(np.intp)
    inside = np.flatnonzero((high > low).all(axis=1) & np.isfinite(xyxy).all(axis=1))
    return inside, np.concatenate([low, high], axis=1)[inside]


def cut(bgr: U8Array, corners: IntArray, out: U8Array) -> None:
    """Write the parts of a picture within whole corners, (M, 4), into `out`, (M, h, w, 3), each stretched."""
    height, width = out.shape[1:3]
    for patch, (x0, y0, x1, y1) in zip(out, _integers(corners), strict=True):
        shrinks = x1 - x0 >= width and y1 - y0 >= height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        cv2.resize(bgr[y0:y1, x0:x1], (width, height), dst=patch, interpolation=method)


def covered_share(xyxy: npt.NDArray[np.floating]) -> FloatArray:
    """Return for each box, (N, 4), the share of its area that the box covering most of it has; (N,), 0..1.

    Which of the two is in front is not known: a box that covers another is taken to be covered as well.
    """
    boxes = np.asarray(xyxy, np.float64)
    i, j = touching_pairs(boxes, boxes)
    i, j = i[i != j], j[i != j]
    a, b = boxes[i].T, boxes[j].T
    shared = np.maximum(np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]), 0.0)
    shared *= np.maximum(np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]), 0.0)
    area = (a[2] - a[0]) * (a[3] - a[1])
    share = np.zeros(len(boxes))
    np.maximum.at(share, i, np.divide(shared, area, out=np.zeros_like(shared), where=area > 0))
    return share


def _integers(corners: IntArray) -> Iterator[tuple[int, int, int, int]]:
    yield from map(tuple, corners.tolist())
