"""An appearance embedding without weights: what colours an object has where, and which way its edges run.

Good enough to tell differently dressed people and differently painted cars apart for a few seconds; no
substitute for a re-identification network.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray, IntArray
from stages.track.gallery import F32Array, unit_rows

U8Array = npt.NDArray[np.uint8]

MAX_COSINE_DISTANCE = 0.05
"""A limit that suits this embedding, as 0.2 does that of a network.

From one frame to the next of two street sequences (MOTChallenge TUD, boxes with 3 % noise) 91 % and 95 % of
the pairs of one person are below it, 1 % and 2 % of the pairs of two persons. With 0.12 the small grey cars
of city traffic took over each other's ids.
"""

# Every box is brought to the same small size, cut into horizontal stripes.
_WIDTH, _HEIGHT, _STRIPES = 24, 48, 4
_HUES, _SATURATIONS, _VALUES, _DIRECTIONS = 6, 3, 6, 8
_COLOURS = _HUES * _SATURATIONS
_STRIPE_LENGTH = _COLOURS + _VALUES + _DIRECTIONS
LENGTH = _STRIPES * _STRIPE_LENGTH
"""Numbers in one embedding: 128."""

# Shares of the three histograms; each has length 1 before.
_COLOUR_SHARE, _VALUE_SHARE, _DIRECTION_SHARE = 0.5, 0.3, 0.2


def embed(bgr: U8Array, xyxy: F32Array) -> F32Array:
    """Describe the boxes of a picture by histograms over four horizontal stripes.

    Each stripe has a histogram of hue and saturation, one of brightness, and one of edge directions weighted
    with their strength. Square roots of the shares make the cosine the Hellinger affinity of the
    histograms. Columns near the middle of the box weigh more, as the background shows at its sides.

    Args:
        bgr: (H, W, 3) uint8 picture.
        xyxy: (N, 4) boxes in its pixels; what lies outside the picture is left out.

    Returns:
        (N, 128) float32 rows of length 1; 0 for boxes without a pixel in the picture.
    """
    height, width = bgr.shape[:2]
    low = np.floor(np.clip(xyxy[:, :2], 0, [width, height])).astype(np.intp)
    high = np.ceil(np.clip(xyxy[:, 2:], 0, [width, height])).astype(np.intp)
    inside = np.flatnonzero((high > low).all(axis=1))
    embedding = np.zeros((len(xyxy), LENGTH), np.float32)
    if len(inside):
        corners = np.concatenate([low, high], axis=1)[inside].tolist()
        crops = [
            cv2.resize(bgr[y0:y1, x0:x1], (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
            for x0, y0, x1, y1 in corners
        ]
        embedding[inside] = _describe(np.concatenate(crops))
    return embedding


def _describe(column: U8Array) -> F32Array:
    """Return (N, 128) for N crops stacked below each other, (48 N, 24, 3) BGR."""
    hsv = cv2.cvtColor(column, cv2.COLOR_BGR2HSV_FULL).astype(np.intp)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    colour = (hue * _HUES >> 8) * _SATURATIONS + (saturation * _SATURATIONS >> 8)
    weight = np.broadcast_to(_CENTRE, value.shape)
    colours = _histograms(colour, weight, _COLOURS)
    values = _histograms(value * _VALUES >> 8, weight, _VALUES)

    luma = cv2.cvtColor(column, cv2.COLOR_BGR2GRAY).reshape(-1, _HEIGHT, _WIDTH).astype(np.float32)
    across, down = np.zeros_like(luma), np.zeros_like(luma)
    across[:, :, 1:-1] = luma[:, :, 2:] - luma[:, :, :-2]
    down[:, 1:-1] = luma[:, 2:] - luma[:, :-2]
    strength, angle = cv2.cartToPolar(across.reshape(value.shape), down.reshape(value.shape))
    # A dark edge on bright ground and the reverse are one direction.
    direction = (angle * (_DIRECTIONS / np.pi)).astype(np.intp) % _DIRECTIONS
    directions = _histograms(direction, strength * weight, _DIRECTIONS)

    shares = np.concatenate(
        [_COLOUR_SHARE * colours, _VALUE_SHARE * values, _DIRECTION_SHARE * directions], axis=2
    )
    roots = np.sqrt(shares / _STRIPES).astype(np.float32)
    return unit_rows(roots.reshape(len(roots), LENGTH))


def _histograms(bins: IntArray, weight: npt.NDArray[np.floating], size: int) -> FloatArray:
    """Return (N, stripes, size) weighted shares of the bins in each stripe of each crop."""
    stripes = len(bins) * _STRIPES // _HEIGHT
    offset = np.repeat(np.arange(stripes) * size, _HEIGHT // _STRIPES)[:, None]
    flat = np.bincount((bins + offset).ravel(), weight.ravel(), stripes * size)
    counts = flat.astype(np.float64).reshape(-1, _STRIPES, size)
    total: FloatArray = counts.sum(axis=2, keepdims=True)
    return np.divide(counts, total, out=counts, where=total > 0)


# A Gaussian over the columns of a crop, a quarter of its width wide.
_CENTRE = np.exp(-0.5 * np.square((np.arange(_WIDTH) - (_WIDTH - 1) / 2) / (_WIDTH / 4)))
