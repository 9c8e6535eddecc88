"""Drawn scenes in which a coloured object moves in a known way over a textured, weakly coloured ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.follow.stage import FollowOptions, FollowStage

U8Array = npt.NDArray[np.uint8]
F64Array = npt.NDArray[np.float64]

WIDTH, HEIGHT, RATE_HZ = 320, 240, 25
METHODS = ("meanshift", "camshift", "colour")
ORANGE, BLUE = (30, 120, 230), (190, 80, 30)

Place = tuple[float, float, float, float]
"""Centre x, y and full width, height, px."""


@lru_cache(maxsize=4)
def ground(seed: int = 5, width: int = WIDTH, height: int = HEIGHT) -> U8Array:
    """Patches of muted colours of every hue, with fine noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(80, 140, (height // 16, width // 16, 3), np.uint8)
    patches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    patches += rng.integers(-12, 13, patches.shape, np.int16)
    return np.clip(patches, 0, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def grain(seed: int) -> npt.NDArray[np.int16]:
    """(7, H, W, 3) the noise of successive pictures, standard deviation 4."""
    return np.random.default_rng(seed).normal(0, 4, (7, HEIGHT, WIDTH, 3)).astype(np.int16)


@dataclass(frozen=True)
class Scene:
    """Where the object is at a time, and what happens to the picture.

    Attributes:
        place: of the media time in seconds.
        seconds: length.
        bar: (left, right) px of a grey post in front of everything, or None.
        light: factor of the brightness at a time.
    """

    place: Callable[[float], Place]
    seconds: float = 4.0
    bar: tuple[int, int] | None = None
    light: Callable[[float], float] = lambda _: 1.0

    def picture(self, time_s: float, seed: int = 5) -> U8Array:
        """Draw the picture: an orange ellipse with a blue stripe across it."""
        bgr = ground(seed).copy()
        x, y, width, height = self.place(time_s)
        ellipse = ((x, y), (width, height), 0.0)
        cv2.ellipse(bgr, ellipse, ORANGE, -1)
        cv2.ellipse(bgr, ((x, y), (width * 0.9, height * 0.25), 0.0), BLUE, -1)
        if self.bar is not None:
            bgr[:, self.bar[0] : self.bar[1]] = 120
        lit = cv2.convertScaleAbs(bgr, alpha=self.light(time_s)) if self.light(time_s) != 1 else bgr
        noise = grain(seed)[round(time_s * RATE_HZ) % len(grain(seed))]
        return np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), np.uint8)

    def truth(self, time_s: float) -> F64Array:
        """The object's whole box, (4,) xyxy px; may reach out of the picture."""
        x, y, width, height = self.place(time_s)
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])

    def times(self) -> list[float]:
        return [k / RATE_HZ for k in range(round(self.seconds * RATE_HZ))]


def straight(t: float) -> Place:
    return 50 + 55 * t, 70 + 25 * t, 40, 52


def turning(t: float) -> Place:
    return 160 + 80 * cos(pi * t), 120 + 60 * sin(pi * t), 40, 52


def growing(t: float) -> Place:
    return 160, 120, 30 + 15 * t, 40 + 20 * t


def shrinking(t: float) -> Place:
    return 160, 120, 90 - 14 * t, 120 - 19 * t


def leaving(t: float) -> Place:
    """To the right and out within 1.5 s, back after 2.5 s."""
    return 240 + 80 * t if t < 2 else 240 + 80 * (4 - t), 120, 40, 52


SCENES: dict[str, Scene] = {
    "straight": Scene(straight),
    "turning": Scene(turning),
    "growing": Scene(growing),
    "shrinking": Scene(shrinking),
    # The post is as wide as the object and what it moves in 1 s.
    "hidden for 1 s": Scene(lambda t: (40 + 55 * t, 120, 36, 48), 4.6, bar=(120, 120 + 91)),
    "leaving": Scene(leaving),
    "30 % darker": Scene(straight, light=lambda t: 1 - 0.3 * min(t, 2) / 2),
    "30 % darker at once": Scene(straight, light=lambda t: 0.7 if t >= 1 else 1.0),
    "30 % brighter": Scene(straight, light=lambda t: 1 + 0.3 * min(t, 2) / 2),
}


def frame(sequence: int, time_s: float, bgr: U8Array, run: str = "run", **fields: Any) -> Frame:
    moment = Moment(time_s, round(time_s * 1e9), Clock.FILE)
    return Frame("yard", run, sequence, moment, BgrPicture(bgr), **fields)


def tracks_of(now: Frame) -> Tracks:
    assert now.tracks is not None
    return now.tracks


def made(width: int = WIDTH, height: int = HEIGHT, **options: Any) -> FollowStage:
    """An opened stage."""
    stage = FollowStage(FollowOptions(**options), StageContext("yard"))
    stage.open(StreamInfo("yard", "file.mp4", "run", width, height))
    return stage


def options_for(method: str, scene: Scene, **more: Any) -> dict[str, Any]:
    target: dict[str, Any] = {"colour": "orange"}
    if method != "colour":
        target = {"start": tuple(scene.truth(0.0).tolist())}
    return {"method": method, "targets": {"ball": target}, **more}


def followed(method: str, scene: Scene, seed: int = 5, **more: Any) -> list[Frame]:
    """Every frame of a scene, after the stage."""
    stage = made(**options_for(method, scene, **more))
    frames = []
    for k, time_s in enumerate(scene.times()):
        now = frame(k, time_s, scene.picture(time_s, seed))
        stage.process(now)
        frames.append(now)
    return frames
