"""Textured pictures that move by a known amount."""

from functools import lru_cache

import cv2
import numpy as np


@lru_cache(maxsize=16)
def texture(height: int = 180, width: int = 320, seed: int = 1) -> np.ndarray:
    """A picture with structure of several sizes, (H, W) float32 in 20..230; shared, do not paint on it."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(0, 30 * s, (height, width)), (0, 0), s) for s in (1.2, 3, 8)]
    picture = np.clip(125 + sum(layers), 20, 230).astype(np.float32)
    picture.flags.writeable = False
    return picture


def moved(picture: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The picture warped by a (2, 3) map of pixel indices, mirrored at its edges."""
    size = picture.shape[1], picture.shape[0]
    return cv2.warpAffine(picture, affine, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def shifted(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """The picture moved by (x, y) px."""
    return moved(picture, np.array([[1, 0, x], [0, 1, y]], float))


def luma(picture: np.ndarray, noise: float = 1.0, seed: int = 9) -> np.ndarray:
    """The picture as a camera sees it, uint8 with noise."""
    noisy = picture + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
