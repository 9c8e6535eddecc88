"""The scene: which bodies are where at a time, how bright the light is, how the camera sways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.sources.synthetic import traffic
from streams.sources.synthetic.geometry import LANES, Camera
from streams.sources.synthetic.parameters import StreetParameters
from streams.sources.synthetic.traffic import Path, Shape

F64Array = npt.NDArray[np.float64]

STRIDE_PHASES = 12
"""Drawings per full cycle of two steps."""

_CYCLE_PER_HEIGHT = 0.85
_TORSO_PER_HEIGHT = 0.115
_STRIDE_PER_HEIGHT = 0.17
_FOOT_PER_HEIGHT = 0.05


def swing(phase: int) -> float:
    """Return how far the front foot is from the middle at `phase`, as a share of the longest step, -1..1."""
    return float(np.sin(2 * np.pi * phase / STRIDE_PHASES))


@dataclass(frozen=True, slots=True)
class Body:
    """A car or a person during the whole run.

    Attributes:
        id: unique in the run, from 0 in order of appearance.
        shape: its looks.
        path: its way.
    """

    id: int
    shape: Shape
    path: Path

    @property
    def heading(self) -> int:
        """+1 for bodies that face the right, -1 for the left."""
        return 1 if self.path.x[-1] >= self.path.x[0] else -1


@dataclass(frozen=True, slots=True)
class Placed:
    """A body as the camera sees it at one time.

    Attributes:
        body: which.
        z: its distance, m.
        x_px: the picture's x of its middle.
        y_px: the picture's y of where it stands.
        scale: px per metre.
        phase: number of the drawing in the walking cycle, 0 for cars.
    """

    body: Body
    z: float
    x_px: float
    y_px: float
    scale: float
    phase: int

    @property
    def half_width_px(self) -> float:
        """Half the width of what is painted; people are wide in mid-stride."""
        return half_width_m(self.body.shape, self.phase) * self.scale

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The box that the body fills without its shadow, px; may reach beyond the picture."""
        half = self.half_width_px
        return (
            self.x_px - half,
            self.y_px - self.body.shape.height_m * self.scale,
            self.x_px + half,
            self.y_px,
        )


def half_width_m(shape: Shape, phase: int) -> float:
    """Return half the width of a body in metres at `phase` of its walking cycle."""
    if shape.label == "car":
        return shape.length_m / 2
    legs = _STRIDE_PER_HEIGHT * abs(swing(phase)) + _FOOT_PER_HEIGHT
    return max(_TORSO_PER_HEIGHT, legs) * shape.height_m


class Street:
    """The street of given parameters; everything it tells is a function of these and the time.

    Args:
        parameters: what the URL says.
    """

    def __init__(self, parameters: StreetParameters) -> None:
        self.parameters = parameters
        self.camera = Camera(parameters.width, parameters.height)
        self.bodies = _populate(parameters, self.camera)
        self._appear_s = np.array([body.path.t[0] for body in self.bodies])
        self._vanish_s = np.array([body.path.t[-1] for body in self.bodies])
        self._light = _light_knots(parameters)
        self._sway = _rng(parameters, "sway").uniform([0.6, 0.0], [2.4, 2 * np.pi], (2, 3, 2))

    def place(self, body: Body, t_s: float) -> Placed:
        """Return where the camera sees `body` at `t_s`, the camera's sway left out."""
        path = body.path
        x, z = float(np.interp(t_s, path.t, path.x)), float(np.interp(t_s, path.t, path.z))
        phase = 0
        if body.shape.label == "person":
            cycles = float(np.interp(t_s, path.t, path.walked)) / (_CYCLE_PER_HEIGHT * body.shape.height_m)
            phase = int(cycles * STRIDE_PHASES) % STRIDE_PHASES
        camera = self.camera
        return Placed(body, z, camera.x_px(x, z), camera.y_px(z), camera.scale(z), phase)

    def placed(self, t_s: float) -> list[Placed]:
        """Return all bodies under way at `t_s`, farthest first; some may be just outside the picture."""
        here = np.flatnonzero((self._appear_s <= t_s) & (t_s <= self._vanish_s))
        return sorted((self.place(self.bodies[i], t_s) for i in here), key=lambda placed: -placed.z)

    def gain(self, t_s: float) -> float:
        """Return the factor on all grey levels at `t_s`: clouds, and steps of the camera's exposure."""
        if not self.parameters.light:
            return 1.0
        cloud_t, cloud, step_t, step = self._light
        return float(np.interp(t_s, cloud_t, cloud) * np.interp(t_s, step_t, step))

    def sway_px(self, t_s: float) -> tuple[float, float]:
        """Return how far the wind has moved the picture at `t_s`: (right, down) px."""
        rate_hz, phase = self._sway[..., 0], self._sway[..., 1]
        waves = np.sin(2 * np.pi * rate_hz * t_s + phase).mean(axis=1)
        dx, dy = self.parameters.jitter_px * waves
        return float(dx), float(dy)


def _rng(parameters: StreetParameters, *what: str | int) -> np.random.Generator:
    """Return the generator for one aspect of the scene, independent of all others."""
    words = [int.from_bytes(str(word).encode(), "big") for word in what]
    return np.random.default_rng([parameters.seed, *words])


def _populate(parameters: StreetParameters, camera: Camera) -> list[Body]:
    until_s, busy = parameters.duration_s, parameters.traffic
    journeys, crossings = traffic.crossers(_rng(parameters, "crossers"), camera, until_s, busy)
    for lane in range(len(LANES)):
        journeys += traffic.cars(_rng(parameters, "lane", lane), camera, until_s, busy, lane, crossings)
    for way in range(len(traffic.WALKWAYS)):
        journeys += traffic.walkers(_rng(parameters, "way", way), camera, until_s, busy, way)
    seen = [journey for journey in journeys if journey.path.t[0] <= until_s and journey.path.t[-1] >= 0]
    seen.sort(key=lambda journey: (float(journey.path.t[0]), journey.shape.seed))
    return [Body(i, journey.shape, journey.path) for i, journey in enumerate(seen)]


def _light_knots(parameters: StreetParameters) -> tuple[F64Array, F64Array, F64Array, F64Array]:
    """Draw the times and values between which `gain` is interpolated: clouds (+-15 %) and exposure steps."""
    rng = _rng(parameters, "light")
    cloud_t, cloud = [0.0], [1.0]
    step_t, step = [0.0], [1.0]
    dark = bool(rng.random() < 0.5)
    while cloud_t[-1] < parameters.duration_s:
        cloud_t.append(cloud_t[-1] + float(rng.uniform(4.0, 9.0)))
        cloud.append(float(rng.uniform(0.85, 1.15)))
    while step_t[-1] < parameters.duration_s:
        t = step_t[-1] + float(rng.uniform(12.0, 20.0))
        step_t += [t, t + 0.16]
        step += [step[-1], float(rng.uniform(0.8, 0.88) if dark else rng.uniform(1.0, 1.08))]
        dark = not dark
    return np.array(cloud_t), np.array(cloud), np.array(step_t), np.array(step)
