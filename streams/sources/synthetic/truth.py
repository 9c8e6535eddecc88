"""What really happens in the synthetic street: boxes of every frame and crossings of any line.

Example: `true_counts("synthetic://street?seed=1", {"road": ((0.72, 0.47), (0.72, 0.82))})`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError
from streams.sources.synthetic.parameters import parse_url
from streams.sources.synthetic.street import Body, Street

Point = tuple[float, float]
"""(x, y) in fractions of the picture's width and height."""

Anchor = Literal["bottom_center", "center"]
Direction = Literal["to_right", "to_left"]

_PATH_STEP_S = 0.05


@dataclass(frozen=True, eq=False)
class TrueObjects:
    """The N bodies in one picture.

    Attributes:
        id: (N,) int64, unique in the run.
        label: (N,) str, "car" or "person".
        xyxy: (N, 4) float32, the painted body without its shadow, cut at the picture's border, px.
        visible: (N,) float32 in 0..1, the share of the uncut box that lies in the picture and not behind
            the box of something nearer.
    """

    id: npt.NDArray[np.int64]
    label: npt.NDArray[np.str_]
    xyxy: npt.NDArray[np.float32]
    visible: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrueCrossing:
    """One body's anchor passing a line.

    Attributes:
        t_s: media time.
        id: which body.
        label: "car" or "person".
        direction: as seen from the line's start looking to its end, the picture's y axis pointing down:
            across a line drawn from left to right, downwards is "to_right".
    """

    t_s: float
    id: int
    label: str
    direction: Direction


class StreetTruth:
    """Answers about one street; pure, and independent of whether anything was painted.

    Args:
        street: the scene.
    """

    def __init__(self, street: Street) -> None:
        self._street = street

    def objects(self, sequence: int) -> TrueObjects:
        """Return what is in picture number `sequence` of the run, farthest first."""
        street, size = self._street, (self._street.camera.width, self._street.camera.height)
        t_s = sequence / street.parameters.rate_hz
        placed = street.placed(t_s)
        full = np.array([each.xyxy for each in placed], np.float64).reshape(-1, 4)
        full += np.tile(street.sway_px(t_s), 2)
        cut = np.clip(full, 0, np.tile(size, 2))
        visible = _visible_shares(full, size)
        inside = ((cut[:, 2:] - cut[:, :2]) > 0).all(axis=1)
        return TrueObjects(
            np.array([each.body.id for each in placed], np.int64)[inside],
            np.array([each.body.shape.label for each in placed], np.str_)[inside],
            cut[inside].astype(np.float32),
            visible[inside],
        )

    def crossings(self, start: Point, end: Point, anchor: Anchor = "bottom_center") -> list[TrueCrossing]:
        """Return when bodies cross the segment from `start` to `end`, in order of time.

        Whoever goes back and forth counts each time. Clouds, occluders and the camera's sway do not matter.

        Args:
            start: one end of the line, fractions of the picture.
            end: the other end.
            anchor: which point of a body's box has to cross.

        Raises:
            ConfigError: if a coordinate is outside 0..1 or both ends are the same point.
        """
        if not all(0 <= value <= 1 for value in (*start, *end)):
            raise ConfigError(f"line {start} - {end}: coordinates are fractions of the picture, 0 to 1")
        if start == end:
            raise ConfigError(f"line {start} - {end}: both ends are the same point")
        size = np.array([self._street.camera.width, self._street.camera.height])
        a, b = np.array(start) * size, np.array(end) * size
        found = [
            TrueCrossing(t_s, body.id, body.shape.label, direction)
            for body in self._street.bodies
            for t_s, direction in _segment_crossings(*self._anchor_path(body, anchor), a, b)
        ]
        return sorted(found, key=lambda crossing: (crossing.t_s, crossing.id))

    def true_counts(self, lines: Mapping[str, tuple[Point, Point]]) -> dict[str, dict[str, dict[str, int]]]:
        """Return line -> direction -> label -> crossings, in the form of `Frame.counts`."""
        counts: dict[str, dict[str, dict[str, int]]] = {}
        for name, (start, end) in lines.items():
            totals: dict[str, dict[str, int]] = {"to_right": {}, "to_left": {}}
            for crossing in self.crossings(start, end):
                of_direction = totals[crossing.direction]
                of_direction[crossing.label] = of_direction.get(crossing.label, 0) + 1
            counts[name] = totals
        return counts

    def _anchor_path(
        self, body: Body, anchor: Anchor
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return times (N,) and points (N, 2) px between the first and the last picture."""
        parameters, path = self._street.parameters, body.path
        last_s = (parameters.frames - 1) / parameters.rate_hz
        begin_s, end_s = max(0.0, float(path.t[0])), min(last_s, float(path.t[-1]))
        steps = max(1, round((end_s - begin_s) / _PATH_STEP_S))
        t = np.linspace(begin_s, max(begin_s, end_s), steps + 1)
        x, z = np.interp(t, path.t, path.x), np.interp(t, path.t, path.z)
        camera = self._street.camera
        y_px = camera.y_px(z)
        if anchor == "center":
            y_px = y_px - body.shape.height_m * camera.scale(z) / 2
        return t, np.column_stack([camera.x_px(x, z), y_px])


def street_truth(url: str) -> StreetTruth:
    """Return the truth of a `synthetic://street?...` URL. Raises ConfigError for a bad URL."""
    return StreetTruth(Street(parse_url(url)))


def crossings(url: str, start: Point, end: Point, anchor: Anchor = "bottom_center") -> list[TrueCrossing]:
    """Return the crossings of one line in the street of `url`; see `StreetTruth.crossings`."""
    return street_truth(url).crossings(start, end, anchor)


def true_counts(url: str, lines: Mapping[str, tuple[Point, Point]]) -> dict[str, dict[str, dict[str, int]]]:
    """Return line -> direction -> label -> crossings in the street of `url`."""
    return street_truth(url).true_counts(lines)


def _segment_crossings(
    t: npt.NDArray[np.float64],
    points: npt.NDArray[np.float64],
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
) -> list[tuple[float, Direction]]:
    """Return time and direction wherever the polyline `points` passes between `a` and `b`."""
    along = b - a
    side = along[0] * (points[:, 1] - a[1]) - along[1] * (points[:, 0] - a[0])
    changes = np.flatnonzero((side[:-1] >= 0) != (side[1:] >= 0))
    found: list[tuple[float, Direction]] = []
    for i in changes:
        share = side[i] / (side[i] - side[i + 1])
        point = points[i] + share * (points[i + 1] - points[i])
        if 0 <= (point - a) @ along <= along @ along:
            when_s = float(t[i] + share * (t[i + 1] - t[i]))
            found.append((when_s, "to_right" if side[i + 1] >= 0 else "to_left"))
    return found


def _visible_shares(full: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return which share of each box (farthest first) lies in the picture and behind no other box."""
    free = np.ones((size[1], size[0]), np.bool_)
    shares = np.zeros(len(full), np.float32)
    cells = np.round(full).astype(int)
    for i in range(len(full) - 1, -1, -1):
        left, top, right, bottom = cells[i]
        window = free[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        shares[i] = np.count_nonzero(window) / max(1, (right - left) * (bottom - top))
        window[:] = False
    return shares
