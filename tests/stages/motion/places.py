"""A place with things that are put into it and taken away, people and light; what happens is known."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.frame import Frame
from tests.stages.detect.footage import frame, grey
from tests.stages.vision.pictures import luma, shifted, texture

WIDTH, HEIGHT = 320, 180
Box = tuple[int, int, int, int]
Place = Callable[[float], Box | None]


@dataclass
class Scene:
    """`things` map seconds to a box (xyxy px) or None, later ones before earlier ones."""

    things: list[Place] = field(default_factory=list)
    light: Callable[[float], float] = lambda _: 1.0
    ground: Callable[[float], int] = lambda _: 1
    shift: Callable[[float], tuple[int, int]] = lambda _: (0, 0)
    noise: float = 1.5

    def frames(self, seconds: float, rate_hz: float = 5.0) -> Iterator[Frame]:
        skins = [texture(HEIGHT, WIDTH, 50 + index) * 0.5 + 15 + 100 * (index % 2) for index in range(6)]
        for index in range(round(seconds * rate_hz)):
            t = index / rate_hz
            picture = texture(HEIGHT, WIDTH, self.ground(t)).copy()
            for place, skin in zip(self.things, skins, strict=False):
                if (box := place(t)) is not None:
                    left, top, right, bottom = box
                    picture[top:bottom, left:right] = skin[: bottom - top, : right - left]
            x, y = self.shift(t)
            if (x, y) != (0, 0):
                picture = shifted(picture, x, y)
            yield frame(grey(luma(picture * self.light(t), self.noise, seed=index)), t, index)


def there(box: Box, start_s: float, end_s: float = 1e9) -> Place:
    """A thing that is in its place for a while."""
    return lambda t: box if start_s <= t < end_s else None


def walks(top: int, start_s: float, speed: float = 60.0, size: tuple[int, int] = (16, 44)) -> Place:
    """Somebody who crosses the picture from the left."""

    def place(t: float) -> Box | None:
        left = round((t - start_s) * speed)
        fits = 0 <= left <= WIDTH - size[0]
        return (left, top, left + size[0], top + size[1]) if fits else None

    return place


def stands(left: int, top: int, start_s: float, end_s: float) -> Place:
    """Somebody who comes, stands about as people do, and goes."""

    def place(t: float) -> Box | None:
        x = round(2 * np.sin(1.9 * t) + 1.2 * np.sin(4.1 * t + 1))
        return (left + x, top, left + x + 16, top + 44) if start_s <= t < end_s else None

    return place
