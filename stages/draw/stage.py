"""The stage `draw`: prepares how a frame's results are painted; the painting waits until somebody looks."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pipeline.frame import Area, Counts, Frame, Line
from pipeline.motion import MotionField
from pipeline.objects import Detections, Tracks
from pipeline.picture import U8Array
from pipeline.plugin import NO_EVENTS, Options, Stage, StageContext
from stages.draw.lines import CountingLine, Layout, draw_lines, lay_out
from stages.draw.motion import draw_areas, draw_motion
from stages.draw.paint import (
    Bgr,
    Style,
    colour_of,
    draw_box,
    draw_notice,
    draw_panel,
    draw_tag,
    draw_trail,
    panel_rect,
)
from stages.draw.place import Rect
from stages.draw.shapes import draw_corners, draw_outline, draw_pose

MAX_TRAIL_POINTS = 512
"""Most positions that are remembered of one track, whatever the stream's rate."""

Trail = tuple[tuple[float, float, float], ...]
"""(media time in seconds, x px, y px), oldest first."""


class DrawOptions(Options):
    """Options of the stage `draw`.

    Attributes:
        boxes: outline tracks, or detections where nothing tracks; a predicted box is dashed. A turned box is
            drawn turned.
        outlines: tint the area of each object, where the detector tells it.
        poses: draw the points of bodies, where the detector tells them.
        ids: write the tracks' ids.
        labels: write the classes.
        scores: write the detector's confidence.
        remarks: write what a stage before has to say of a track, such as its speed.
        trails_s: show where the bottom centre of each track was in the last so many seconds; 0 for no trails.
        lines: show the counting lines, with the names of their directions.
        counts: show the totals in the top left corner.
        motion: show the optical flow, if a stage before measured it.
        areas: outline zones, and places that a stage before found worth a look, with what there is to say of
            them.
        suspended: say across the bottom that lines and zones pause, and why, while a stage before says so.
    """

    boxes: bool = True
    outlines: bool = True
    poses: bool = True
    ids: bool = True
    labels: bool = True
    scores: bool = False
    remarks: bool = True
    trails_s: Annotated[float, Field(ge=0, le=60)] = 2.0
    lines: bool = True
    counts: bool = True
    motion: bool = True
    areas: bool = True
    suspended: bool = True


@dataclass(frozen=True, slots=True)
class FrameOverlay:
    """What one frame shows; holds only what never changes, so it can be painted at any later time.

    Attributes:
        options: what to show.
        objects: the tracks, or the detections where nothing tracks.
        detections: what the tracks matched; None where nothing detects.
        trails: by track id.
        lines: the counting lines.
        counts: the totals.
        motion: the optical flow.
        areas: zones and the like.
        notes: what to write beside them.
        suspended: why places cannot be trusted, None when they can.
        remarks: what to write at tracks, by their ids.
        lay_out: finds places for the lines' tags; remembers them, as lines seldom change.
    """

    options: DrawOptions
    objects: Tracks | Detections | None
    detections: Detections | None
    trails: Mapping[int, Trail]
    lines: Mapping[str, Line]
    counts: Counts
    motion: MotionField | None
    areas: Mapping[str, Area]
    notes: Mapping[str, str]
    suspended: str | None
    remarks: Mapping[int, str]
    lay_out: Callable[[tuple[CountingLine, ...], tuple[int, int], Style, tuple[Rect, ...]], Layout]

    def paint(self, canvas: U8Array) -> None:
        """Paint onto `canvas`, (H, W, 3) uint8 BGR, in place; what matters most comes last."""
        style = Style.of(canvas)
        if self.options.motion and self.motion is not None:
            draw_motion(canvas, self.motion, style)
        if self.options.areas:
            draw_areas(canvas, self.areas, self.notes, style)
        for track_id, trail in self.trails.items():
            draw_trail(canvas, [(x, y) for _, x, y in trail], colour_of(track_id), style)
        if self.objects is not None:
            self._paint_objects(canvas, _visible(self.objects, canvas), style)
        if self.options.lines and self.lines:
            self._paint_lines(canvas, style)
        if self.options.counts:
            draw_panel(canvas, self._rows(), style)
        if self.options.suspended and self.suspended is not None:
            draw_notice(canvas, f"PAUSED: camera {self.suspended}", style)

    def _paint_objects(self, canvas: U8Array, objects: Tracks | Detections, style: Style) -> None:
        colours = _colours(objects)
        seen, rows = _seen(objects, self.detections)
        if self.options.outlines and seen is not None and seen.outline is not None:
            for colour, row in zip(colours, rows, strict=True):
                if row >= 0:
                    draw_outline(canvas, seen.outline[row], colour, style)
        if self.options.boxes:
            turned = None if seen is None else seen.corners
            for xyxy, colour, row in zip(objects.xyxy, colours, rows, strict=True):
                if turned is not None and row >= 0:
                    draw_corners(canvas, turned[row], colour, style)
                else:
                    draw_box(canvas, xyxy, colour, style, dashed=row < 0)
        if self.options.poses and seen is not None and seen.keypoints is not None:
            for colour, row in zip(colours, rows, strict=True):
                if row >= 0:
                    draw_pose(canvas, seen.keypoints[row], colour, style)
        for xyxy, colour, text in zip(objects.xyxy.tolist(), colours, self._texts(objects), strict=True):
            draw_tag(canvas, text, (xyxy[0], xyxy[1]), colour, style)

    def _paint_lines(self, canvas: U8Array, style: Style) -> None:
        height, width = canvas.shape[:2]
        lines = tuple(
            CountingLine(name, points, tuple(self.counts.get(name, ())))
            for name, points in self.lines.items()
        )
        # Room for four digits from the start: a tag beside the panel does not move when numbers grow.
        rows = [(line, direction, 9999) for line, direction, _ in self._rows()]
        panel = (panel_rect(height, rows, style),) if self.options.counts and rows else ()
        draw_lines(canvas, lines, self.lay_out(lines, (width, height), style, panel), style)

    def _texts(self, objects: Tracks | Detections) -> list[str]:
        parts = []
        if self.options.ids and isinstance(objects, Tracks):
            parts.append([f"#{track_id}" for track_id in objects.id.tolist()])
        if self.options.labels:
            parts.append(objects.label.tolist())
        if self.options.scores:
            parts.append([f"{score:.2f}" for score in objects.score.tolist()])
        if self.options.remarks and self.remarks and isinstance(objects, Tracks):
            parts.append([self.remarks.get(track_id, "") for track_id in objects.id.tolist()])
        return (
            [" ".join(filter(None, words)) for words in zip(*parts, strict=True)]
            if parts
            else [""] * len(objects)
        )

    def _rows(self) -> list[tuple[str, str, int]]:
        return [
            (line, direction, sum(by_label.values()))
            for line, directions in self.counts.items()
            for direction, by_label in directions.items()
        ]


class DrawStage(Stage):
    """Sets `frame.overlay`; nothing is painted unless somebody calls `frame.drawn()`."""

    Options: ClassVar[type[Options]] = DrawOptions
    emits = NO_EVENTS
    options: DrawOptions

    def __init__(self, options: DrawOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._trails: dict[int, deque[tuple[float, float, float]]] = {}
        self._run, self._last_s = "", 0.0
        self._lay_out = lru_cache(maxsize=2)(lay_out)

    def process(self, frame: Frame) -> None:
        """Note what this frame will show."""
        if frame.run != self._run and frame.moment.pts_s <= self._last_s:  # ids and media time begin anew
            self._trails.clear()
        self._run, self._last_s = frame.run, frame.moment.pts_s
        frame.overlay = FrameOverlay(
            options=self.options,
            objects=frame.detections if frame.tracks is None else frame.tracks,
            detections=frame.detections,
            trails=self._follow(frame.moment.pts_s, frame.tracks),
            lines=frame.lines or {},
            counts=frame.counts or {},
            motion=frame.motion,
            areas=frame.areas or {},
            notes=frame.notes or {},
            suspended=frame.suspended,
            remarks=frame.remarks or {},
            lay_out=self._lay_out,
        )

    def _follow(self, pts_s: float, tracks: Tracks | None) -> dict[int, Trail]:
        """Add the observed tracks' positions and return all trails; a trail ends when its points are old."""
        if self.options.trails_s == 0 or tracks is None:
            return {}
        observed = np.flatnonzero(tracks.detection >= 0)
        left, _, right, bottom = tracks.xyxy[observed].astype(np.float64).T
        places = zip(
            tracks.id[observed].tolist(), ((left + right) / 2).tolist(), bottom.tolist(), strict=True
        )
        for track_id, x, y in places:
            trail = self._trails.setdefault(track_id, deque(maxlen=MAX_TRAIL_POINTS))
            trail.append((pts_s, x, y))
        for track_id, trail in list(self._trails.items()):
            while trail and pts_s - trail[0][0] > self.options.trails_s:
                trail.popleft()
            if not trail:
                del self._trails[track_id]
        return {track_id: tuple(trail) for track_id, trail in self._trails.items()}


def _visible(objects: Tracks | Detections, canvas: U8Array) -> Tracks | Detections:
    """Return those that touch the canvas: a predicted box may be far outside."""
    height, width = canvas.shape[:2]
    left, top, right, bottom = objects.xyxy.T
    return objects[(right >= 0) & (bottom >= 0) & (left <= width) & (top <= height)]


def _seen(objects: Tracks | Detections, detections: Detections | None) -> tuple[Detections | None, list[int]]:
    """Return the table that tells more of the objects, and each one's row in it, -1 where it was not seen."""
    if isinstance(objects, Detections):
        return objects, list(range(len(objects)))
    if detections is None or (objects.detection >= len(detections)).any():
        return None, np.minimum(objects.detection, 0).tolist()
    return detections, objects.detection.tolist()


def _colours(objects: Tracks | Detections) -> list[Bgr]:
    """Return one colour for each id, or for each class where there are no ids."""
    if isinstance(objects, Tracks):
        return [colour_of(track_id) for track_id in objects.id.tolist()]
    return [colour_of(zlib.crc32(label.encode())) for label in objects.label.tolist()]
