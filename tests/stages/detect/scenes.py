"""Synthetic scenes with known truth: a textured ground, rectangles that move over it, noise and light."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

WIDTH, HEIGHT = 320, 180
RATE_HZ = 25.0


@dataclass
class Scene:
    """Makes pictures; `objects` map seconds to a box (xyxy px) or None, `light` maps seconds to a gain."""

    objects: list[Callable[[float], tuple[int, int, int, int] | None]] = field(default_factory=list)
    light: Callable[[float], float] = lambda _: 1.0
    shadow: Callable[[float], tuple[int, int, int, int] | None] = lambda _: None
    noise: float = 1.5
    seed: int = 1

    def frames(self, seconds: float) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Yield time, luma (180, 320) uint8, and the true boxes (N, 4)."""
        rng = np.random.default_rng(self.seed)
        ground = cv2.GaussianBlur(rng.normal(0, 200, (HEIGHT, WIDTH)), (0, 0), 6) + 110
        skin = cv2.GaussianBlur(rng.normal(0, 90, (HEIGHT, WIDTH)), (0, 0), 2) + 175
        for index in range(round(seconds * RATE_HZ)):
            t = index / RATE_HZ
            picture = ground.copy()
            if (box := self.shadow(t)) is not None:
                picture[box[1] : box[3], box[0] : box[2]] *= 0.6
            boxes = [box for place in self.objects if (box := place(t)) is not None]
            for left, top, right, bottom in boxes:
                picture[top:bottom, left:right] = skin[: bottom - top, : right - left]
            picture = picture * self.light(t) + rng.normal(0, self.noise, picture.shape)
            yield t, np.clip(picture, 0, 255).astype(np.uint8), np.array(boxes, float).reshape(-1, 4)


def crossing(start_s: float, top: int, width: int = 60, height: int = 36, speed: float = 80.0):
    """A box that enters at the left at `start_s` and crosses the picture."""

    def place(t: float) -> tuple[int, int, int, int] | None:
        left = round((t - start_s) * speed) - width
        left, right = max(left, 0), min(left + width, WIDTH)
        return (left, top, right, top + height) if t > start_s and right - left > 8 else None

    return place


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of (N, 4) and (M, 4) boxes, (N, M)."""
    start = np.maximum(one[:, None, :2], other[None, :, :2])
    end = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(end - start, 0, None).prod(axis=2)
    area = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    return shared / (area[0][:, None] + area[1][None] - shared)
