"""How one object is found in a picture: near where it was, or in a region where it may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from stages.follow.histogram import learn
from stages.follow.shift import cam_shift, fullest, mean_shift
from stages.follow.view import F64Array, U8Array, View, box_at, centre_of, clipped, look, pixels, size_of
from stages.vision.colour import ColourRange, largest_blob

ShiftMethod = Literal["meanshift", "camshift"]

# Samples across the shorter side of an object: more would cost and not tell more.
_FINE, _COARSE = 32, 12
_SMALLEST_BLOB = 6
# What is looked at around an object, as a share of its longer side, and at least so many pixels.
_MARGIN, _LEAST_MARGIN_PX = 0.75, 12.0
_LOOKS = 3
# The size that an object had lately is remembered with this time constant. CamShift shrinks to the part of
# an object that is not covered yet; measured over the remembered size the cover shows.
_SIZE_MEMORY_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """Where an object was found.

    Attributes:
        window: (4,) float64 xyxy px, where its colour is; the next look begins there.
        box: (4,) float64 xyxy px, the object's box within the picture.
        similarity: how alike the place is to the object, 0..1.
    """

    window: F64Array
    box: F64Array
    similarity: float


class Finder(Protocol):
    """Finds one object by its colour."""

    def follow(self, bgr: U8Array, window: F64Array, elapsed_s: float) -> Sighting | None:
        """Look near a window.

        Args:
            bgr: (H, W, 3) uint8 picture.
            window: (4,) xyxy px, where the object should be.
            elapsed_s: media time since it was seen.
        """
        ...

    def search(self, bgr: U8Array, region: F64Array, taken: Sequence[F64Array]) -> Sighting | None:
        """Look everywhere in a region (4,) xyxy px, but not where other objects are (boxes, xyxy px)."""
        ...


class ShiftFinder:
    """Finds what has the colours that a box had in one picture, by mean shift or CamShift.

    The box that is reported keeps its place and size relative to the colour it held at first: a box around
    a person with a red jacket stays around the person.

    Args:
        bgr: (H, W, 3) uint8 picture with the object.
        box: (4,) xyxy px within the picture.
        method: `meanshift` keeps the size, `camshift` lets it change.
        min_similarity: what is less alike is not the object.

    Raises:
        ValueError: if the box is empty or has no colour.
    """

    def __init__(self, bgr: U8Array, box: F64Array, method: ShiftMethod, min_similarity: float) -> None:
        self._shift = mean_shift if method == "meanshift" else cam_shift
        self._min_similarity = min_similarity
        view = self._look(bgr, box)
        self._model = learn(view.hsv, view.to_view(box))
        found = self._shift(self._model.weights(view.hsv), view.to_view(box))
        if found is None:
            raise ValueError("its surroundings have the same colours")
        window = view.to_picture(found.xyxy)
        self._size = size_of(window)
        self._model = self._model.filling(pixels(view.hsv, view.to_view(window)))
        self._scale = size_of(box) / self._size
        self._offset = (centre_of(box) - centre_of(window)) / self._size
        self.first = Sighting(window, box, self._similarity(view, window, self._size))

    def follow(self, bgr: U8Array, window: F64Array, elapsed_s: float) -> Sighting | None:
        """Let the window climb from where it is."""
        found = self._climb(bgr, window, self._min_similarity)
        if found is not None:
            self._size += (size_of(found.window) - self._size) * -np.expm1(-elapsed_s / _SIZE_MEMORY_S)
        return found

    def search(self, bgr: U8Array, region: F64Array, taken: Sequence[F64Array]) -> Sighting | None:
        """Climb from the fullest places; a find must be surer than what merely continues."""
        view = look(bgr, region, max(1, int(self._size.min() / _COARSE)))
        weights = self._model.weights(view.hsv)
        _cover(weights, view, taken)
        surer = (1 + self._min_similarity) / 2
        # The similarity is at most the root of what is there of the object's colour; half of that for the
        # coarse look, from which the window may still climb.
        least = 255 * self._model.share * surer**2 / 2
        for place in fullest(weights, self._size / view.stride, least):
            found = self._climb(bgr, view.to_picture(place), surer)
            if found is not None and not any(_inside(centre_of(found.box), other) for other in taken):
                return found
        return None

    def _climb(self, bgr: U8Array, window: F64Array, min_similarity: float) -> Sighting | None:
        """Shift from a window; look again where the find is cut by the edge of what was looked at."""
        height, width = bgr.shape[:2]
        for _ in range(_LOOKS):
            view = self._look(bgr, window)
            found = self._shift(self._model.weights(view.hsv), view.to_view(window))
            if found is None:
                return None
            window = view.to_picture(found.xyxy)
            if not _cut(window, view, width, height):
                break
        similarity = self._similarity(view, window, np.maximum(self._size, size_of(window)))
        if similarity < min_similarity:
            return None
        size = size_of(window)
        box = box_at(centre_of(window) + self._offset * size, self._scale * size)
        box = clipped(box, width, height)
        if size_of(box).min() < 1:
            return None
        return Sighting(window, box, similarity)

    def _look(self, bgr: U8Array, window: F64Array) -> View:
        size = size_of(window)
        return look(bgr, _grown(window, _margin(size)), max(1, int(size.min() / _FINE)))

    def _similarity(self, view: View, window: F64Array, size: F64Array) -> float:
        return self._model.similarity(pixels(view.hsv, view.to_view(box_at(centre_of(window), size))))


class ColourFinder:
    """Finds the largest patch of a colour.

    The similarity of a find is the share of its box that has the colour.

    Args:
        colour: the range of HSV values.
        min_area_px: a smaller patch is none.
    """

    def __init__(self, colour: ColourRange, min_area_px: float) -> None:
        self._colour = colour
        self._min_area_px = min_area_px

    def follow(self, bgr: U8Array, window: F64Array, elapsed_s: float) -> Sighting | None:  # noqa: ARG002
        """Look around the window, and further where the patch goes on."""
        height, width = bgr.shape[:2]
        size = size_of(window)
        stride = max(1, int(min(size.min() / _FINE, np.sqrt(self._min_area_px) / 2)))
        margin = _margin(size)
        for _ in range(_LOOKS):
            view = look(bgr, _grown(window, margin), stride)
            found = self._largest(view, bgr, ())
            if found is None or not _cut(found.window, view, width, height):
                break
            margin *= 3
        return found

    def search(self, bgr: U8Array, region: F64Array, taken: Sequence[F64Array]) -> Sighting | None:
        """Look for the largest patch; where it reaches beyond the region, all of it is taken."""
        view = look(bgr, region, max(1, int(np.sqrt(self._min_area_px) / _SMALLEST_BLOB)))
        found = self._largest(view, bgr, taken)
        if found is None:
            return None
        return self.follow(bgr, found.window, 0.0) or found

    def _largest(self, view: View, bgr: U8Array, taken: Sequence[F64Array]) -> Sighting | None:
        mask = self._colour.mask(view.hsv)
        _cover(mask, view, taken)
        blob = largest_blob(mask, self._min_area_px / view.stride**2)
        if blob is None:
            return None
        box, area = blob
        window = clipped(view.to_picture(box), bgr.shape[1], bgr.shape[0])
        return Sighting(window, window, float(min(1.0, area / size_of(box).prod())))


def _margin(size: F64Array) -> float:
    return max(_MARGIN * float(size.max()), _LEAST_MARGIN_PX)


def _grown(xyxy: F64Array, by_px: float) -> F64Array:
    return np.asarray(xyxy + np.array([-by_px, -by_px, by_px, by_px]))


def _cut(window: F64Array, view: View, width: int, height: int) -> bool:
    """Return whether a window meets an edge of the view that is not the picture's."""
    rows, columns = view.hsv.shape[:2]
    low = np.array([view.left, view.top])
    high = low + view.stride * np.array([columns, rows])
    inner_low, inner_high = low > 0, high < np.array([width, height]) - view.stride
    touches_low = window[:2] < low + view.stride
    touches_high = window[2:] > high - view.stride
    return bool((inner_low & touches_low).any() or (inner_high & touches_high).any())


def _cover(mask: U8Array, view: View, boxes: Sequence[F64Array]) -> None:
    """Make the samples under these boxes 0, in place."""
    for box in boxes:
        pixels(mask, view.to_view(box))[:] = 0


def _inside(point: F64Array, box: F64Array) -> bool:
    return bool((point >= box[:2]).all() and (point <= box[2:]).all())
