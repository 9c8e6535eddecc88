"""Who is where in the street and when: cars that follow and yield, people who walk and cross.

Everything is drawn forwards in time from one generator per stream of arrivals, so that a longer run begins
with exactly the shorter one, and the paths know nothing of the picture rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streams.sources.synthetic.geometry import FAR_KERB_Z, LANES, NEAR_KERB_Z, ZEBRA_X, Camera, Lane

F64Array = npt.NDArray[np.float64]

WARM_UP_S = 45.0
"""The street is simulated this long before the first picture, so that it is already busy then."""

_STEP_S = 0.1
_LONGEST_APPROACH_S = 60.0
"""Whoever crosses later than this after the end is not in sight before it."""

_BORDER_M = 3.0
"""How far beyond the border people appear and vanish: their shadows must be out of sight, too."""

_RUN_UP_M = 30.0
"""The same for cars, which must be able to stop at the zebra crossing near the border."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a body looks like.

    Attributes:
        label: "car" or "person".
        model: which drawing: "hatchback", "saloon", "suv", "van" or "walker".
        length_m: along the street.
        height_m: above the ground.
        seed: for colours and other particulars.
    """

    label: str
    model: str
    length_m: float
    height_m: float
    seed: int


@dataclass(frozen=True, slots=True)
class Path:
    """A body's way: straight lines between (t, x, z), with the metres walked so far at each."""

    t: F64Array
    x: F64Array
    z: F64Array
    walked: F64Array

    @classmethod
    def through(cls, points: Sequence[tuple[float, float, float]]) -> Path:
        """Make the path through `points` (t, x, z), in order of time."""
        t, x, z = np.array(points, dtype=np.float64).T
        steps = np.hypot(np.diff(x), np.diff(z))
        return cls(t, x, z, np.concatenate([[0.0], np.cumsum(steps)]))


@dataclass(frozen=True, slots=True)
class Journey:
    """One body and its path."""

    shape: Shape
    path: Path


@dataclass(frozen=True, slots=True)
class Crossing:
    """One person's way over the road, for the cars that must yield: kerb to kerb."""

    start_s: float
    end_s: float
    from_z: float
    to_z: float

    def blocks(self, lane: Lane) -> tuple[float, float]:
        """Return from when to when `lane` must be free: early enough for cars to slow down gently."""
        speed = (self.to_z - self.from_z) / (self.end_s - self.start_s)
        enter, leave = (lane.near_z, lane.far_z) if speed > 0 else (lane.far_z, lane.near_z)
        return (
            self.start_s + (enter - self.from_z) / speed - 3.2,
            self.start_s + (leave - self.from_z) / speed + 0.2,
        )


def _wait_s(rng: np.random.Generator, least_s: float, mean_s: float, traffic: float) -> float:
    """Draw the time to the next arrival: a shifted exponential, `mean_s` on average in normal traffic."""
    wait_s = least_s + float(rng.exponential(mean_s - least_s))
    return wait_s / traffic if traffic else np.inf


WALKWAYS = (
    # z, heading, mean seconds between arrivals
    (13.7, -1, 6.5),
    (14.9, 1, 6.5),
    (28.7, 1, 15.0),
    (30.1, -1, 15.0),
)


def _person(rng: np.random.Generator) -> Shape:
    height = float(np.clip(rng.normal(1.72, 0.1), 1.45, 1.95))
    return Shape("person", "walker", 0.45 * height, height, int(rng.integers(2**31)))


def walkers(
    rng: np.random.Generator, camera: Camera, until_s: float, traffic: float, way: int
) -> list[Journey]:
    """Return the people who walk along pavement track `way` and arrive before `until_s`."""
    track_z, heading, mean_s = WALKWAYS[way]
    journeys = []
    t = -WARM_UP_S
    while (t := t + _wait_s(rng, 2.0, mean_s, traffic)) <= until_s:
        z = track_z + float(rng.uniform(-0.2, 0.2))
        speed = float(rng.uniform(2.4, 3.0)) if rng.random() < 0.1 else float(rng.uniform(1.1, 1.7))
        edge = heading * (camera.half_view_m(z) + _BORDER_M)
        shape = _person(rng)
        path = Path.through([(t, -edge, z), (t + 2 * abs(edge) / speed, edge, z)])
        journeys.append(Journey(shape, path))
    return journeys


def crossers(
    rng: np.random.Generator, camera: Camera, until_s: float, traffic: float
) -> tuple[list[Journey], list[Crossing]]:
    """Return the people who use the zebra crossing, and when each of them is on the road."""
    journeys, crossings = [], []
    t = -WARM_UP_S
    while (t := t + _wait_s(rng, 13.0, 18.0, traffic)) <= until_s + _LONGEST_APPROACH_S:
        northward = bool(rng.random() < 0.5)
        for i in range(1 + int(rng.random() < 0.4)):
            journey, crossing = _crosser(rng, camera, t + i * rng.uniform(0.8, 1.2), northward)
            journeys.append(journey)
            crossings.append(crossing)
    return journeys, crossings


def _crosser(
    rng: np.random.Generator, camera: Camera, start_s: float, northward: bool
) -> tuple[Journey, Crossing]:
    near, far = NEAR_KERB_Z - 0.35, FAR_KERB_Z + 0.35
    from_z, to_z = (near, far) if northward else (far, near)
    zebra_x = float(rng.uniform(ZEBRA_X[0] + 0.5, ZEBRA_X[1] - 0.5))
    pace, speed = float(rng.uniform(1.2, 1.6)), float(rng.uniform(1.7, 2.1))
    wait_s = float(rng.uniform(1.5, 4.0))
    from_x = -(camera.half_view_m(from_z) + _BORDER_M)
    to_x = (camera.half_view_m(to_z) + _BORDER_M) * float(rng.choice([-1, 1]))
    end_s = start_s + abs(to_z - from_z) / speed
    arrival_s = start_s - wait_s
    path = Path.through(
        [
            (arrival_s - (zebra_x - from_x) / pace, from_x, from_z),
            (arrival_s, zebra_x, from_z),
            (start_s, zebra_x, from_z),
            (end_s, zebra_x, to_z),
            (end_s + abs(to_x - zebra_x) / pace, to_x, to_z),
        ]
    )
    return Journey(_person(rng), path), Crossing(start_s, end_s, from_z, to_z)


_MODELS = (
    # model, length, height, share
    ("hatchback", 3.9, 1.5, 0.35),
    ("saloon", 4.6, 1.42, 0.3),
    ("suv", 4.5, 1.75, 0.2),
    ("van", 5.3, 2.25, 0.15),
)
_LANE_MEAN_S = (3.4, 4.0, 4.4)


@dataclass(slots=True)
class _Driver:
    """A car under way; `s` is its middle in metres from the border where it appeared."""

    shape: Shape
    wish: float
    s: float
    v: float
    points: list[tuple[float, float, float]] = field(default_factory=list)

    def accelerate(self, obstacles: Sequence[tuple[float, float]]) -> None:
        """Move one step by the intelligent driver model (Treiber, Hennecke, Helbing 2000, eq. 3 and 4).

        Args:
            obstacles: (gap in metres, speed) of the car in front and of the line to stop at.
        """
        urge = 0.0
        for gap, speed in obstacles:
            wanted = 1.8 + max(0.0, self.v * 1.1 + self.v * (self.v - speed) / (2 * np.sqrt(_ACCEL * _BRAKE)))
            urge = max(urge, (wanted / max(gap, 0.1)) ** 2)
        rate = max(_ACCEL * (1 - (self.v / self.wish) ** 4 - urge), -9.0)
        v = max(0.0, self.v + rate * _STEP_S)
        self.s += (self.v + v) / 2 * _STEP_S
        self.v = v


_ACCEL, _BRAKE = 2.2, 2.6
_HARDEST_STOP = 4.5


def cars(
    rng: np.random.Generator,
    camera: Camera,
    until_s: float,
    traffic: float,
    lane_index: int,
    crossings: Sequence[Crossing],
) -> list[Journey]:
    """Return the cars of one lane that arrive before `until_s`."""
    lane = LANES[lane_index]
    blocked = [crossing.blocks(lane) for crossing in crossings]
    edge = camera.half_view_m(lane.z) + _RUN_UP_M
    stop_s = edge + lane.heading * lane.stop_x
    mean_s = _LANE_MEAN_S[lane_index]
    arrival_s = _wait_s(rng, 1.6, mean_s, traffic) - WARM_UP_S
    road: list[_Driver] = []
    gone: list[_Driver] = []
    for step in range(round((until_s + WARM_UP_S) / _STEP_S) + 2):
        t = step * _STEP_S - WARM_UP_S
        if t >= arrival_s and (not road or road[-1].s > 12.0):
            road.append(_driver(rng, road[-1].v if road else None))
            arrival_s = t + _wait_s(rng, 1.6, mean_s, traffic)
        yielding = any(start <= t < end for start, end in blocked)
        for driver in road:
            driver.points.append((t, lane.heading * (driver.s - edge), lane.z))
        for i, driver in enumerate(road):
            nose = driver.s + driver.shape.length_m / 2
            obstacles = []
            if i:
                leader = road[i - 1]
                obstacles.append((leader.s - leader.shape.length_m / 2 - nose, leader.v))
            if yielding and nose < stop_s and driver.v**2 / 2 / (stop_s - nose) < _HARDEST_STOP:
                obstacles.append((stop_s - nose + 1.5, 0.0))
            driver.accelerate(obstacles)
        while road and road[0].s > 2 * edge:
            gone.append(road.pop(0))
    return [Journey(driver.shape, Path.through(driver.points)) for driver in gone + road if driver.points]


def _driver(rng: np.random.Generator, leader_v: float | None) -> _Driver:
    model, length, height, _ = _MODELS[int(rng.choice(len(_MODELS), p=[share for *_, share in _MODELS]))]
    size = float(rng.uniform(0.94, 1.06))
    shape = Shape("car", model, length * size, height * size, int(rng.integers(2**31)))
    wish = float(np.clip(rng.normal(9.5, 1.5), 6.5, 13.0))
    return _Driver(shape, wish, 0.0, wish if leader_v is None else min(wish, leader_v + 1.0))
