"""Whether the error bars of speeds hold for a real detector's boxes: MOTChallenge detections against truth.

    python -m benchmarks.speeds_mot ../shared/data/mot15

How these cameras stood is not known, so one plane is assumed for all of them (3 m up, the horizon at a
quarter of the picture), for both: the speed of the detections' boxes should differ from the speed of the true
boxes by no more than the error bar says. Only the boxes' part of the error is tested, as both have the same
plane.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from stages.count.geometry import F64Array, anchor_points
from stages.count.ground.fit import fit_plane
from stages.count.ground.options import GroundOptions
from stages.count.ground.plane import Plane, Reading
from stages.count.ground.speed import Speedometer
from stages.count.seen import Speed
from stages.track.boxes import overlapping_pairs
from stages.track.evaluate.motchallenge import MotSequence, read_sequences

HEIGHT_M, HORIZON, BORDER_PX, LEAST_IOU = 3.0, 0.25, 3.0, 0.5
_DEFAULTS = GroundOptions.model_fields
LOCALISATION, MAX_KMH, MAX_SHARE = (
    _DEFAULTS[name].default for name in ("localisation", "max_error_kmh", "max_error_share")
)


def assumed_plane(width: int, height: int) -> Plane:
    """Return the ground before a camera that might have stood there, its focal length the picture's width."""
    tilt = np.arctan((0.5 - HORIZON) * height / width)
    metres = np.array([[-3.0, 6.0], [3.0, 6.0], [3.0, 25.0], [-3.0, 25.0]])
    depth = metres[:, 1] * np.cos(tilt) + HEIGHT_M * np.sin(tilt)
    down = HEIGHT_M * np.cos(tilt) - metres[:, 1] * np.sin(tilt)
    pixels = np.column_stack([metres[:, 0], down]) / depth[:, None] * width + (width / 2, height / 2)
    return fit_plane(pixels, metres, error_px=0.01, error_m=0.001)


def compare(sequence: MotSequence) -> F64Array:
    """Return (N, 3) km/h: measured by the detections, its error, measured by the truth."""
    detections = sequence.detections
    if detections is None:
        raise SystemExit(f"{sequence.name} has no detections")
    width, height = np.concatenate([detections.xyxy, _boxes(sequence.truth)])[:, 2:].max(axis=0)
    plane = assumed_plane(round(float(width)), round(float(height)))
    seen, true = Speedometer(plane.parameters), Speedometer(plane.parameters)
    rows: list[tuple[float, float, float]] = []
    for frame in range(1, sequence.frames + 1):
        chosen = slice(detections.start[frame - 1], detections.start[frame])
        found = detections.xyxy[chosen][detections.score[chosen] > 0.3].astype(np.float64)
        known = sequence.truth[sequence.truth[:, 0] == frame]
        cost = np.zeros((len(known), len(found)))
        i, j, iou = overlapping_pairs(_boxes(known), found)
        cost[i, j] = -iou
        i, j = linear_sum_assignment(cost)
        whole = (found[j, 0] > BORDER_PX) & (found[j, 2] < width - BORDER_PX)
        whole &= (found[j, 3] < height - BORDER_PX) & (found[j, 3] > (HORIZON + 0.05) * height)
        good = (cost[i, j] <= -LEAST_IOU) & whole
        i, j = i[good], j[good]
        ids, now_s = known[i, 1].astype(int).tolist(), sequence.pts_s(frame)
        one = _measured(seen, plane, now_s, ids, found[j])
        other = _measured(true, plane, now_s, ids, _boxes(known)[i])
        rows += [
            (speed.kmh, speed.error_kmh, other[body].kmh)
            for body, speed in one.items()
            if body in other and speed.error_kmh <= max(MAX_KMH, MAX_SHARE * speed.kmh)
        ]
    return np.array(rows).reshape(-1, 3)


def _measured(
    meter: Speedometer, plane: Plane, now_s: float, ids: list[int], xyxy: F64Array
) -> dict[int, Speed]:
    sides = xyxy[:, 2:] - xyxy[:, :2]
    error_px = 0.5 + LOCALISATION * np.sqrt(sides.prod(axis=1))
    reading: Reading = plane.read(anchor_points(xyxy, "bottom_center"))
    return meter.update(now_s, ids, reading, error_px, sides)


def _boxes(rows: F64Array) -> F64Array:
    return np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    print("| sequence | speeds | true km/h | within % | error km/h | off km/h | bias km/h |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for sequence in read_sequences([parser.parse_args().folder]):
        kmh, error, true = compare(sequence).T
        off = kmh - true
        within = 100 * (np.abs(off) <= error).mean()
        print(
            f"| {sequence.name} | {len(kmh)} | {true.mean():.1f} | {within:.1f} | "
            f"{np.median(error):.1f} | {np.median(np.abs(off)):.2f} | {off.mean():+.2f} |"
        )


if __name__ == "__main__":
    main()
