"""Which colours an object has, how well they tell it from its surroundings, and how alike a place is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from stages.follow.view import F64Array, U8Array, pixels

F32Array = npt.NDArray[np.float32]

HUE_BINS, SATURATION_BINS = 32, 8
LEAST_COLOURED = 0.05
"""Share of an object's pixels that must have a colour."""

# Below these the hue is mostly noise (Bradski 1998, section "Colour probability").
_LEAST_SATURATION, _LEAST_VALUE = 45, 30
_RANGES = [0.0, 180.0, 0.0, 256.0]
# A colour that is seen on less than this share of the object is taken for noise.
_NOISE_SHARE = 0.002


@dataclass(frozen=True, slots=True, eq=False)
class ColourModel:
    """The colours of one object as a histogram of hue and saturation, weighted against the background.

    The value (brightness) is left out, so light and shade change little. Both the object's histogram and a
    candidate's are multiplied by `weight`: colours that the surroundings have too decide nothing
    (Comaniciu, Ramesh & Meer 2003, "Kernel-based object tracking", section 6.1).

    Attributes:
        colours: (HUE_BINS, SATURATION_BINS) float32, sum 1: the object's weighted histogram.
        weight: the same shape, 0..1: how likely a pixel of the colour is the object's and not its
            surroundings' (the ratio histogram of Swain & Ballard 1991).
        share: weighted colour that a pixel of the object has on average, 0..1.
    """

    colours: F32Array
    weight: F32Array
    share: float

    def weights(self, hsv: U8Array) -> U8Array:
        """Return the back-projection (h, w) uint8: 255 where a pixel's colour is only the object's."""
        if not hsv.size:
            return np.zeros(hsv.shape[:2], np.uint8)
        projected = cv2.calcBackProject([hsv], [0, 1], self.weight, _RANGES, 255.0)
        return np.asarray(cv2.bitwise_and(projected, coloured(hsv)), np.uint8)

    def similarity(self, hsv: U8Array) -> float:
        """Return how alike the pixels (h, w, 3) are to the object, 0..1; 0 for no pixels.

        The Bhattacharyya coefficient of the two weighted histograms (Comaniciu et al. 2003, equation 17). A
        place with less of the object's colours than the object has is not scaled up, so one that is
        covered to three quarters has at most 0.5, the root of what is left.
        """
        if not hsv.size:
            return 0.0
        seen = self._weighted(hsv)
        total = max(float(seen.sum()), self.share * hsv.shape[0] * hsv.shape[1])
        return min(1.0, float(np.sqrt(seen / total * self.colours).sum()))

    def filling(self, hsv: U8Array) -> ColourModel:
        """Return the model with the share that these pixels (h, w, 3) have: their similarity is no less."""
        area = hsv.shape[0] * hsv.shape[1]
        return replace(self, share=float(self._weighted(hsv).sum()) / max(area, 1))

    def _weighted(self, hsv: U8Array) -> F32Array:
        return np.asarray(_smoothed(_counts(hsv)) * self.weight, np.float32)


def coloured(hsv: U8Array) -> U8Array:
    """Return the mask (h, w) uint8 0/255 of pixels whose hue means something."""
    low = np.array([0, _LEAST_SATURATION, _LEAST_VALUE], np.uint8)
    return np.asarray(cv2.inRange(hsv, low, np.array([255, 255, 255], np.uint8)), np.uint8)


def learn(hsv: U8Array, box: F64Array) -> ColourModel:
    """Return the colours of the object in a box, against those around it.

    The object is taken to fill the ellipse within the box (Comaniciu et al. 2003, section 3): what is in the
    corners is neither the object nor its surroundings.

    Args:
        hsv: (h, w, 3) uint8, the object with its surroundings; see `View.hsv`.
        box: (4,) xyxy in samples of `hsv`.

    Raises:
        ValueError: if the box is empty or (nearly) without colour.
    """
    inside = pixels(hsv, box)
    area = inside.shape[0] * inside.shape[1]
    if not area:
        raise ValueError("the box is empty")
    ellipse = np.zeros(inside.shape[:2], np.uint8)
    centre = ((inside.shape[1] - 1) / 2, (inside.shape[0] - 1) / 2)
    cv2.ellipse(ellipse, (centre, (inside.shape[1], inside.shape[0]), 0.0), 255, -1)
    own = _counts(inside, ellipse)
    filled = max(int(np.count_nonzero(ellipse)), 1)
    share = float(own.sum()) / filled
    if share < LEAST_COLOURED:
        raise ValueError(
            f"only {100 * share:.0f} % of the box has a colour; grey, black and white cannot be followed"
        )
    rest = hsv.shape[0] * hsv.shape[1] - area
    around = _smoothed(_counts(hsv) - _counts(inside)) * (filled / rest if rest else 0.0)
    smooth = _smoothed(own)
    weight = smooth / (smooth + around + _NOISE_SHARE * filled)
    weighted = smooth * weight
    total = float(weighted.sum())
    return ColourModel(
        np.asarray(weighted / total, np.float32), np.asarray(weight, np.float32), total / filled
    )


def _counts(hsv: U8Array, within: U8Array | None = None) -> F32Array:
    """Return the pixels per colour, (HUE_BINS, SATURATION_BINS) float32, of those that have a hue."""
    pixel = np.ascontiguousarray(hsv)
    mask = coloured(pixel)
    if within is not None:
        mask &= within
    return np.asarray(cv2.calcHist([pixel], [0, 1], mask, [HUE_BINS, SATURATION_BINS], _RANGES), np.float32)


def _smoothed(counts: F32Array) -> F32Array:
    """Return the histogram with a fourth of each bin given to either neighbour; the hue is a circle."""
    hue = np.concatenate([counts[-1:], counts, counts[:1]])
    hue = hue[:-2] / 4 + hue[1:-1] / 2 + hue[2:] / 4
    both = np.concatenate([hue[:, :1], hue, hue[:, -1:]], axis=1)
    return np.asarray(both[:, :-2] / 4 + both[:, 1:-1] / 2 + both[:, 2:] / 4, np.float32)
