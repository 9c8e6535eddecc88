"""Crops of objects that were seen at a line, until it is known whether they count."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.picture import Picture
from stages.count.geometry import F64Array

LONGEST_SIDE_PX = 320
MARGIN = 0.1
"""Of the box's size, on each side: what surrounds an object tells what it is."""

EVERY_S = 0.5
"""One that dithers on the line is not encoded again and again."""

PER_OBJECT = 3
MAX_BYTES = 8_000_000
_LEAST_PX = 2


class Crop(NamedTuple):
    """A JPEG file of an object, and when it was taken on the media clock."""

    time_s: float
    jpeg: bytes


def cut(picture: Picture, box: F64Array, quality: int) -> bytes | None:
    """Return a JPEG of what is in a box (4,) xyxy px and a little around it; None if nothing of it is seen.

    Only the part is converted to colours. It is reduced to `LONGEST_SIDE_PX`.
    """
    left, top, right, bottom = (float(side) for side in box)
    dx, dy = MARGIN * (right - left), MARGIN * (bottom - top)
    x0, y0 = (max(0, int(value)) // 2 * 2 for value in (left - dx, top - dy))
    x1 = min(picture.width, int(np.ceil(right + dx)))
    y1 = min(picture.height, int(np.ceil(bottom + dy)))
    if x1 - x0 < _LEAST_PX or y1 - y0 < _LEAST_PX:
        return None
    bgr = picture.part(x0, y0, x1, y1).bgr()
    scale = LONGEST_SIDE_PX / max(bgr.shape[:2])
    if scale < 1:
        size = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
        bgr = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()


class Crops:
    """Keeps the latest few crops by line and object, within a bound of bytes: the oldest go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._crops: dict[tuple[str, int], list[Crop]] = {}  # in the order of their first crop

    def __len__(self) -> int:
        """Return how many objects have crops; one at two lines counts twice."""
        return len(self._crops)

    def wants(self, line: str, object_id: int, time_s: float) -> bool:
        """Whether another crop of this object at this line is of use."""
        crops = self._crops.get((line, object_id))
        return not crops or time_s - crops[-1].time_s >= EVERY_S

    def add(self, line: str, object_id: int, crop: Crop) -> None:
        """Keep a crop."""
        crops = self._crops.setdefault((line, object_id), [])
        crops.append(crop)
        self._bytes += len(crop.jpeg)
        if len(crops) > PER_OBJECT:
            self._bytes -= len(crops.pop(0).jpeg)
        while self._bytes > self._max_bytes and len(self._crops) > 1:
            self._drop(next(iter(self._crops)))

    def take(self, line: str, object_id: int, time_s: float) -> Crop | None:
        """Return the crop taken nearest to this time, and forget those of the object at the line."""
        crops = self._crops.get((line, object_id))
        if not crops:
            return None
        best = min(crops, key=lambda crop: abs(crop.time_s - time_s))
        self._drop((line, object_id))
        return best

    def forget(self, object_ids: set[int]) -> None:
        """Forget these objects."""
        for key in [key for key in self._crops if key[1] in object_ids]:
            self._drop(key)

    def clear(self) -> None:
        """Forget all."""
        self._crops.clear()
        self._bytes = 0

    def _drop(self, key: tuple[str, int]) -> None:
        self._bytes -= sum(len(crop.jpeg) for crop in self._crops.pop(key))
