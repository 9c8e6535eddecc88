"""How right speeds on the ground are, and their error bars: measured against true over drawn streets.

    python -m benchmarks.speeds [--seeds 2 3 4] [--seconds 40]

`boxes` are the true boxes with errors as Faster R-CNN has them on MOTChallenge 2015 (8 % of the box's size,
half of it lasting for 0.4 s), `motion` is the detector of that name, which sees cars merge with people and
come in piece by piece. A true speed is the mean over the second that the speed was measured in. `within` is
the share of true speeds in the error bar, which should be 95 %; `error` half of the bar, `off` the median
miss, `bias` the mean one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.registry import load_plugin
from stages.count.ground.fit import fit_plane
from stages.count.ground.speed import Speedometer
from stages.count.seen import Speed
from streams.sources.synthetic.geometry import Camera
from streams.sources.synthetic.source import SyntheticSource
from streams.sources.synthetic.truth import TrueObjects

KNOWN_M = ((-9.4, 16.4), (7.0, 16.0), (10.0, 27.8), (-12.0, 27.8), (0.0, 19.5), (-6.6, 23.6))
MARKED_PX = 0.5
BOX_ERROR, BOX_SLOW_S = 0.08, 0.4
VISIBLE = 0.7
WINDOW_S = 1.0


class Jitter:
    """Adds a detector's errors to true boxes."""

    def __init__(self, seed: int, step_s: float) -> None:
        self._rng = np.random.default_rng(seed)
        self._keep = float(np.exp(-step_s / BOX_SLOW_S))
        self._slow: dict[int, np.ndarray] = {}

    def detections(self, true: TrueObjects) -> Detections:
        """Return what a detector might give."""
        rows = np.flatnonzero(true.visible > VISIBLE)
        xyxy = true.xyxy[rows].astype(np.float64)
        for row, body in enumerate(true.id[rows].tolist()):
            size = float(np.sqrt(np.prod(xyxy[row, 2:] - xyxy[row, :2])))
            fresh = self._rng.normal(0, 1, 4)
            slow = self._slow.get(body, fresh) * self._keep + np.sqrt(1 - self._keep**2) * fresh
            self._slow[body] = slow
            white = self._rng.normal(0, 1, 4)
            xyxy[row] += BOX_ERROR * size * (np.sqrt(0.5) * slow + np.sqrt(0.5) * white)
        xyxy[:, 2:] = np.maximum(xyxy[:, 2:], xyxy[:, :2])
        return Detections(xyxy.astype(np.float32), np.ones(len(rows)), true.label[rows])


def made(name: str, **options: Any) -> Any:
    """Return a stage by name."""
    plugin = load_plugin("stage", name)
    return plugin(plugin.Options(**options), StageContext("bench"))


def ground(camera: Camera, seed: int) -> dict[str, Any]:
    """Return the street's calibration, marked a little wrong."""
    rng = np.random.default_rng(seed)
    points = [
        {
            "at": [camera.x_px(x, z) + rng.normal(0, MARKED_PX), camera.y_px(z) + rng.normal(0, MARKED_PX)],
            "metres": [x, z],
        }
        for x, z in KNOWN_M
    ]
    return {"units": "px", "error_px": MARKED_PX, "error_m": 0.01, "window_s": WINDOW_S, "points": points}


def speeds(seed: int, seconds: float, detector: str) -> Iterator[tuple[str, float, float, float]]:
    """Yield (class, measured, its error, true) km/h of every speed that was told."""
    url = f"synthetic://street?seed={seed}&duration_s={seconds}"
    source = SyntheticSource(url, SyntheticSource.Options(), "bench")
    info = source.open()
    street, truth = source._street, source.truth
    count = made("count", ground=ground(street.camera, seed))
    stages = [made("motion", width=320, min_area=0.0008), made("track", appearance="none"), count]
    for stage in stages:
        stage.open(info)
    jitter = Jitter(seed, 1 / street.parameters.rate_hz)
    told: dict[int, Speed] = {}
    for frame in source.read() if detector == "motion" else unpainted(info, street.parameters.rate_hz):
        assert isinstance(frame, Frame)
        true, now_s = truth.objects(frame.sequence), frame.moment.pts_s
        if detector == "boxes":
            frame.detections = jitter.detections(true)
        else:
            stages[0].process(frame)
        for stage in stages[1:]:
            stage.process(frame)
        before, told = (
            told,
            {object_id: speed for object_id, (_, speed) in count._parts["ground"]._told.items()},
        )
        for object_id, speed in told.items():
            row = np.flatnonzero(frame.tracks.id == object_id)
            if speed is before.get(object_id) or not len(row):
                continue
            body = matching(frame.tracks.xyxy[row[0]], true)
            if body is not None:
                path = street.bodies[body].path
                ends = [np.interp([now_s - WINDOW_S, now_s], path.t, way) for way in (path.x, path.z)]
                kmh = float(np.hypot(*(np.diff(way)[0] for way in ends))) / WINDOW_S * 3.6
                yield street.bodies[body].shape.label, speed.kmh, speed.error_kmh, kmh


def unpainted(info: StreamInfo, rate_hz: float) -> Iterator[Frame]:
    """Yield the street's frames with an empty picture."""
    picture = BgrPicture(np.zeros((info.height, info.width, 3), np.uint8))
    for sequence in range(info.frames or 0):
        yield Frame("bench", info.run, sequence, Moment(sequence / rate_hz, 0, Clock.FILE), picture)


def matching(xyxy: np.ndarray, true: TrueObjects) -> int | None:
    """Return which body a box is mostly of."""
    low, high = np.maximum(true.xyxy[:, :2], xyxy[:2]), np.minimum(true.xyxy[:, 2:], xyxy[2:])
    shared = np.prod((high - low).clip(min=0), axis=1)
    areas = np.prod(true.xyxy[:, 2:] - true.xyxy[:, :2], axis=1) + np.prod(xyxy[2:] - xyxy[:2])
    overlap = shared / (areas - shared)
    return int(true.id[overlap.argmax()]) if len(overlap) and overlap.max() > 0.5 else None


def cost(objects: int, rate_hz: float) -> float:
    """Return microseconds for a position of one object, of many at once."""
    camera = Camera(640, 360)
    metres = np.array(KNOWN_M)
    pixels = np.column_stack([camera.x_px(metres[:, 0], metres[:, 1]), camera.y_px(metres[:, 1])])
    plane = fit_plane(pixels, metres)
    meter = Speedometer(plane.parameters)
    rng = np.random.default_rng(0)
    at = rng.uniform((100, 180), (500, 320), (objects, 2))
    ids, error_px, sides_px = list(range(objects)), np.full(objects, 2.0), np.full((objects, 2), 40.0)
    rounds = max(200, 4000 // objects)
    begun_s = 0.0
    for step in range(rounds + 40):
        if step == 40:
            begun_s = time.perf_counter()
        meter.update(step / rate_hz, ids, plane.read(at + step * 0.1), error_px, sides_px)
    return (time.perf_counter() - begun_s) / rounds / objects * 1e6


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # as `sightline run` does
    print("| boxes by | of | speeds | true km/h | within % | error km/h | off km/h | bias km/h |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for detector in ("boxes", "motion"):
        rows = [row for seed in arguments.seeds for row in speeds(seed, arguments.seconds, detector)]
        label = np.array([row[0] for row in rows])
        kmh, error, true = np.array([row[1:] for row in rows]).T
        off = kmh - true
        for name, chosen in (
            ("cars that move", (label == "car") & (true > 3)),
            ("people", (label == "person") & (true > 1)),
            ("what stands", true < 1),
        ):
            if not chosen.any():
                continue
            within = 100 * (np.abs(off) <= error)[chosen].mean()
            middle, miss = np.median(error[chosen]), np.median(np.abs(off[chosen]))
            print(
                f"| {detector} | {name} | {chosen.sum()} | {true[chosen].mean():.1f} | {within:.1f} | "
                f"{middle:.1f} | {miss:.2f} | {off[chosen].mean():+.2f} |"
            )
    print()
    for objects in (1, 10, 50):
        print(f"{objects} objects at 25 Hz: {cost(objects, 25.0):.1f} us a position")


if __name__ == "__main__":
    main()
