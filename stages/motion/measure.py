"""The optical flow between successive reduced pictures, as a field in the full picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.motion import F32Array, MotionField
from stages.vision.dense_flow import cell_flow
from stages.vision.sparse_flow import FlowView, corners, follow_points

FlowMethod = Literal["sparse", "dense"]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The flow of one picture.

    Attributes:
        field: the points whose motion is known.
        asked: (M, 2) float32 px of the full picture: all points that were looked at.
    """

    field: MotionField
    asked: F32Array


def measure(
    before: FlowView,
    after: FlowView,
    dt_s: float,
    size: tuple[int, int],
    method: FlowMethod,
    points: int,
    cell_px: int,
) -> Measured:
    """Measure how the picture has moved.

    Args:
        before: the earlier picture, reduced.
        after: the later one.
        dt_s: media seconds between them, > 0.
        size: (width, height) px of the full picture.
        method: "sparse" follows corners, "dense" looks everywhere.
        points: about how many corners ("sparse").
        cell_px: side of a cell in px of the reduced picture ("dense").
    """
    scale = np.array([size[0] / after.width, size[1] / after.height], np.float32)
    if method == "dense":
        flow = cell_flow(before, after, cell_px)
        asked, now, shift, known = flow.points, flow.points, flow.shift, flow.trusted
        spacing_px = float(cell_px)
    else:
        asked = corners(before, points)
        now, known = follow_points(before, after, asked)
        shift = now - asked
        spacing_px = float((after.width * after.height / points) ** 0.5)
    field = MotionField(
        points=now[known] * scale,
        velocity=shift[known] * scale / np.float32(dt_s),
        dt_s=dt_s,
        spacing_px=spacing_px * float(scale.mean()),
    )
    return Measured(field, asked * scale)
