"""The part of the stage `count` that measures speeds on the ground, and tells who is too fast."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.moment import Moment
from pipeline.plugin import StageContext, StreamInfo
from stages.count.geometry import F64Array, anchor_points
from stages.count.ground.options import GroundOptions
from stages.count.ground.plane import Plane, Reading
from stages.count.ground.speed import Speedometer
from stages.count.ground.survey import Survey
from stages.count.seen import Seen, Speed

logger = logging.getLogger(__name__)

_FLOOR_PX = 0.5
"""No box is known more exactly."""
_BORDER = 0.005
"""A box that comes so near to the picture's border, as a share of its size, may be cut by it."""


@dataclass(slots=True)
class _Speeding:
    """An object that was faster than allowed.

    Attributes:
        begin: its event.
        label: its class at that time.
        latest: the moment at which it was last measured.
        speed: its speed then.
        position: where it was then, px.
        top: its highest speed, by what it surely was.
    """

    begin: Event
    label: str
    latest: Moment
    speed: Speed
    position: tuple[float, float]
    top: Speed


class Ground:
    """Fills `seen.speeds`, makes `object.speeding` events and has the speeds drawn (`frame.remarks`).

    A speed is told where it can be measured: not beyond the horizon, not of a box that the picture's border
    cuts, and only while its error is within the options' bounds. An object that was measured a moment ago
    keeps that speed for as long as it may take until its crossing of a line is final.

    Args:
        options: of the plane and the speeds.
        vanished_s: see `CountOptions`.
        context: of the stage.
    """

    def __init__(self, options: GroundOptions, vanished_s: float, context: StageContext) -> None:
        self._options = options
        self._context = context
        self._keep_s = vanished_s + options.window_s
        self._vanished_s = vanished_s
        self._plane: Plane | None = None
        self._meter: Speedometer | None = None
        self._size = (0, 0)
        self._told: dict[int, tuple[float, Speed]] = {}  # by object, in the order of their latest measurement
        self._fast: dict[int, _Speeding] = {}
        self._times: dict[int, int] = {}  # how often an object that is still seen was too fast
        self._survey = Survey()

    def open(self, info: StreamInfo) -> None:
        """Lay the plane into the picture.

        Raises:
            ConfigError: if a point lies outside the picture or the points determine no plane.
        """
        options = self._options
        self._plane = plane = options.plane(info.width, info.height)
        self._warn_of(plane)
        self._meter = Speedometer(
            plane.parameters, window_s=options.window_s, correlation_s=options.correlation_s
        )
        self._size = (info.width, info.height)
        self._told.clear()

    def update(self, seen: Seen) -> list[Event]:
        """Measure the frame's objects."""
        if self._plane is None or self._meter is None:
            raise RuntimeError("update before open")
        self._meter.forget(seen.ended)
        self._survey.end(seen.ended)
        for object_id in seen.ended:
            self._told.pop(object_id, None)
            self._times.pop(object_id, None)
        if seen.suspended is not None:
            self._meter.clear()
            self._told.clear()
            return self._ended(seen.frame, list(self._fast), "suspended")
        self._survey.meet(seen.ids)
        points, fresh = self._measured(seen, self._plane, self._meter)
        for object_id, speed in fresh.items():
            self._told.pop(object_id, None)
            self._told[object_id] = (seen.time_s, speed)
        while self._told:
            oldest = next(iter(self._told))
            if seen.time_s - self._told[oldest][0] <= self._keep_s:
                break
            del self._told[oldest]
        seen.speeds = {object_id: speed for object_id, (_, speed) in self._told.items()}
        seen.frame.remarks = {
            track_id: f"{fresh[object_id].kmh:.0f} km/h"
            for object_id, track_id in zip(seen.ids, seen.tracks, strict=True)
            if object_id in fresh
        }
        return self._judged(seen, points, fresh)

    def finish(self, seen: Seen) -> list[Event]:
        """Return the ends of what goes on, and forget all objects."""
        events = self._ended(seen.frame, list(self._fast), "end")
        if self._meter is not None:
            self._meter.clear()
        self._told.clear()
        self._times.clear()
        self._survey.end_all()
        return events

    def statistics(self) -> Mapping[str, Any]:
        """Return how many objects were measured, by class, with the usual figures of their speeds."""
        return self._survey.figures()

    def close(self) -> None:
        """Forget all objects."""
        if self._meter is not None:
            self._meter.clear()
        self._fast.clear()

    def _measured(self, seen: Seen, plane: Plane, meter: Speedometer) -> tuple[F64Array, dict[int, Speed]]:
        """Return where the objects stand in the picture, (N, 2) px, and the speeds that can be told."""
        boxes = _observed_boxes(seen)
        points = anchor_points(boxes, self._options.anchor)
        if not len(points):
            return points, {}
        sides = boxes[:, 2:] - boxes[:, :2]
        error_px = _FLOOR_PX + self._options.localisation * np.sqrt(sides.prod(axis=1))
        reading = plane.read(points)
        known = np.isfinite(reading.by_px).all(axis=(1, 2)) & ~self._cut(boxes)
        known &= ~plane.is_near_horizon(points, error_px)
        ids = [object_id for object_id, is_known in zip(seen.ids, known.tolist(), strict=True) if is_known]
        sure = Reading(*(column[known] for column in reading))
        speeds = meter.update(seen.time_s, ids, sure, error_px[known], sides[known])
        labels = dict(zip(seen.ids, seen.labels, strict=True))
        fresh = {object_id: speed for object_id, speed in speeds.items() if self._is_sure(speed)}
        for object_id, speed in fresh.items():
            self._survey.note(object_id, labels[object_id], speed)
        return points, fresh

    def _cut(self, boxes: F64Array) -> npt.NDArray[np.bool_]:
        """Return (N,) whether the border may cut a side that the anchor hangs on: its place is unknown."""
        width, height = self._size
        near = max(2.0, _BORDER * max(width, height))
        across, down = anchor_points(np.array([[0.0, 0.0, 1.0, 1.0]]), self._options.anchor)[0]
        left, top, right, bottom = boxes.T
        cut = (left < near) & (across < 1) | (right > width - near) & (across > 0)
        cut |= (top < near) & (down < 1) | (bottom > height - near) & (down > 0)
        return np.asarray(cut)

    def _is_sure(self, speed: Speed) -> bool:
        options = self._options
        return speed.error_kmh <= max(options.max_error_kmh, options.max_error_share * speed.kmh)

    def _judged(self, seen: Seen, points: F64Array, fresh: Mapping[int, Speed]) -> list[Event]:
        limit = self._options.limit_kmh
        if limit is None:
            return []
        moment = seen.frame.moment
        gone = [
            object_id
            for object_id, speeding in self._fast.items()
            if object_id not in fresh and moment.pts_s - speeding.latest.pts_s >= self._vanished_s
        ]
        events = self._ended(seen.frame, gone, "lost")
        for object_id, label, (x, y) in zip(seen.ids, seen.labels, points.tolist(), strict=True):
            speed = fresh.get(object_id)
            if speed is None:
                continue
            speeding = self._fast.get(object_id)
            if speeding is None:
                if speed.kmh - speed.error_kmh > limit and self._is_limited(label):
                    events.append(self._begun(seen.frame, object_id, label, speed, (x, y)))
                continue
            speeding.latest, speeding.speed, speeding.position = moment, speed, (x, y)
            if speed.kmh - speed.error_kmh > speeding.top.kmh - speeding.top.error_kmh:
                speeding.top = speed
            if speed.kmh <= limit:
                events += self._ended(seen.frame, [object_id], "slower")
        return events

    def _is_limited(self, label: str) -> bool:
        return self._options.labels is None or label in self._options.labels

    def _begun(
        self, frame: Frame, object_id: int, label: str, speed: Speed, position: tuple[float, float]
    ) -> Event:
        number = self._times[object_id] = self._times.get(object_id, 0) + 1
        event = frame.event(
            "object.speeding",
            f"{object_id}:{number}:begin",
            self._producer(frame),
            track_id=object_id,
            label=label,
            position=position,
            data={"state": "begin", "limit_kmh": self._options.limit_kmh, **_plain(speed)},
        )
        self._fast[object_id] = _Speeding(event, label, frame.moment, speed, position, speed)
        return event

    def _ended(self, frame: Frame, ids: list[int], reason: str) -> list[Event]:
        events = []
        for object_id in ids:
            speeding = self._fast.pop(object_id)
            begin, top = speeding.begin, speeding.top
            events.append(
                frame.event(
                    "object.speeding",
                    f"{begin.id}:end",
                    self._producer(frame),
                    moment=speeding.latest,
                    track_id=object_id,
                    label=speeding.label,
                    position=speeding.position,
                    data={
                        "state": "end",
                        "began": str(begin.id),
                        "reason": reason,
                        "limit_kmh": self._options.limit_kmh,
                        **_plain(speeding.speed),
                        "top_kmh": round(top.kmh, 1),
                        "top_error_kmh": round(top.error_kmh, 1),
                        "duration_s": round(speeding.latest.pts_s - begin.moment.pts_s, 3),
                    },
                )
            )
        return events

    def _producer(self, frame: Frame) -> Producer:
        return Producer("count", "ground", self._context.config_hash, frame.model_hash)

    def _warn_of(self, plane: Plane) -> None:
        stream = self._context.stream
        if plane.mirrored:
            logger.warning(
                "ground of stream '%s': the metres are those of a mirror, and so are headings; seen from "
                "above, y must lie to the left of x (exchange x and y, or change the sign of one)",
                stream,
            )
        worst, missed_px = plane.contradiction(self._options.error_px)
        if worst is not None:
            logger.warning(
                "ground of stream '%s': the points contradict each other, point %d by %.0f px; speeds have "
                "wide errors until it is mended (fit: ransac leaves such points out)",
                stream,
                worst + 1,
                missed_px,
            )


def _observed_boxes(seen: Seen) -> F64Array:
    """Return the boxes (N, 4) px as the detector gave them, before the tracker smoothed them, where known.

    What the tracker makes of them errs alike from picture to picture, so that its residuals say little.
    """
    detections, tracks = seen.frame.detections, seen.frame.tracks
    if detections is None or tracks is None or not len(detections):
        return seen.xyxy
    rows = tracks.detection[seen.rows]
    if len(rows) and (rows.min() < 0 or rows.max() >= len(detections)):
        return seen.xyxy
    return detections.xyxy[rows].astype(np.float64)


def _plain(speed: Speed) -> dict[str, float]:
    return {
        "speed_kmh": round(speed.kmh, 1),
        "speed_error_kmh": round(speed.error_kmh, 1),
        "heading_deg": round(speed.heading_deg, 1),
    }
