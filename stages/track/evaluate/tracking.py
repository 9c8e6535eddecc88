"""Trackers over one sequence, fed as the stage `track` feeds them, with the time that each part takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from pipeline.errors import StageError
from pipeline.objects import Detections, F32Array, Tracks
from pipeline.picture import BgrPicture, U8Array
from stages.track.affine import identity
from stages.track.appearance.embedder import Embedder
from stages.track.boxes import FloatArray, IntArray
from stages.track.camera import CameraMotion, Verdict
from stages.track.evaluate.motchallenge import MotSequence
from stages.track.methods import Tracker
from stages.track.overlap.tracker import OverlapTracker
from stages.track.sightline.tracker import Sightline

Progress = Callable[[str, int], None]
"""Told what is being done, and how many frames more of it are done."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What it took to describe boxes by their pixels, without decoding.

    Attributes:
        seconds: (frames,).
        boxes: (frames,) how many were described.
    """

    seconds: FloatArray
    boxes: IntArray


@dataclass(frozen=True, eq=False)
class TrackerRun:
    """What one tracker said of one sequence.

    Attributes:
        rows: (N, 7) float64: frame, id, left, top, width, height in px to two decimals, score. All tracks
            that the tracker reports, predicted ones too.
        update_s: (frames,) seconds of its `update` alone, without describing boxes.
        boxes: (frames,) detections that it was given.
        looks: None when it was given no embeddings.
        camera_s: (frames,) seconds of measuring the camera's motion; None when it was not told of that.
    """

    rows: FloatArray
    update_s: FloatArray
    boxes: IntArray
    looks: Looks | None = None
    camera_s: FloatArray | None = None


class Looking(Enum):
    """What a tracker does with embeddings."""

    NEVER = auto()
    ALL = auto()
    """It is given those of all detections."""
    FEW = auto()
    """It asks for those that it needs."""


def looking_of(tracker: Tracker, embedder: Embedder | None, requested: bool) -> Looking:
    """Return what the stage `track` would have the tracker do with embeddings.

    Args:
        tracker: one from elsewhere gets them all.
        embedder: that there is.
        requested: whether somebody asked for it; some methods look on request only.
    """
    if embedder is None:
        return Looking.NEVER
    if isinstance(tracker, Sightline):
        return Looking.FEW
    if isinstance(tracker, OverlapTracker) and (tracker.settings.appearance is None or not requested):
        return Looking.NEVER
    return Looking.ALL


def knows_camera(tracker: Tracker) -> bool:
    """Return whether the tracker does anything with the motion of the camera."""
    return not isinstance(tracker, OverlapTracker) or tracker.settings.camera


def run_trackers(
    sequence: MotSequence,
    trackers: Mapping[str, Tracker],
    *,
    embedder: Embedder | None = None,
    requested: bool = False,
    camera_motion: bool = False,
    min_score: float = 0.0,
    progress: Progress | None = None,
) -> dict[str, TrackerRun]:
    """Run fresh trackers over one sequence side by side; one picture is held at a time.

    Args:
        sequence: with detections.
        trackers: by name.
        embedder: describes boxes for the trackers that look at them.
        requested: also for those that do so only on request.
        camera_motion: measures the camera's motion for the trackers that know it.
        min_score: detections below are left out.
        progress: called with each frame of each tracker.

    Raises:
        ValueError: if the sequence was read without detections, or pictures are needed and there are none.
        SourceError: if pictures cannot be read.
        ModelError: if the embedder's network gives no usable numbers.
        StageError: if a tracker refuses its detections.
    """
    seats = {
        name: _Seat(tracker, sequence.frames, embedder, requested, camera_motion)
        for name, tracker in trackers.items()
    }
    with_camera = any(seat.camera_s is not None for seat in seats.values())
    needs_pictures = with_camera or any(seat.looking is not Looking.NEVER for seat in seats.values())
    if sequence.detections is None or (needs_pictures and sequence.pictures is None):
        raise ValueError(
            f"{sequence.name} has no {'detections' if sequence.detections is None else 'pictures'}"
        )
    pictures = sequence.pictures.read(sequence.frames) if needs_pictures and sequence.pictures else None
    camera = CameraMotion() if with_camera else None
    for frame in range(1, sequence.frames + 1):
        detections = sequence.detections.of(frame, min_score)
        shown = _Shown(detections, sequence.pts_s(frame), None if pictures is None else next(pictures))
        if camera is not None:
            shown.measure(camera)
        for name, seat in seats.items():
            try:
                seat.take(frame, shown)
            except ValueError as error:
                raise StageError(f"method '{name}': {sequence.name}, frame {frame}: {error}") from error
            if progress:
                progress(f"{name}: {sequence.name}", 1)
    return {name: seat.run() for name, seat in seats.items()}


class _Shown:
    """One frame: what all trackers are given of it, and what several of them share."""

    def __init__(self, detections: Detections, pts_s: float, bgr: U8Array | None) -> None:
        self.detections = detections
        self.pts_s = pts_s
        self.camera: FloatArray | None = None
        self.camera_s = 0.0
        self._bgr = bgr
        self._described: tuple[Detections, float] | None = None

    def picture(self) -> BgrPicture:
        """Return the picture with nothing converted yet, so that each user's time has its own conversions."""
        if self._bgr is None:
            raise ValueError("no picture was read")
        return BgrPicture(self._bgr)

    def measure(self, camera: CameraMotion) -> None:
        """Measure how the camera moved: the identity when it stands, None when nothing is known."""
        begun = time.perf_counter()
        moved = camera.update(self.picture(), self.pts_s, self.detections.xyxy)
        self.camera = identity() if camera.verdict is Verdict.STILL else moved
        self.camera_s = time.perf_counter() - begun

    def described(self, embedder: Embedder) -> tuple[Detections, float]:
        """Return the detections with embeddings, and the seconds that these took; made at the first call."""
        if self._described is None:
            begun = time.perf_counter()
            detections = self.detections
            if len(detections):
                embedding = embedder.of(self.picture())(detections.xyxy)
                detections = detections.with_embedding(embedding)
            self._described = detections, time.perf_counter() - begun
        return self._described


class _Seat:
    """One tracker with what it is fed and what is kept of it."""

    def __init__(
        self, tracker: Tracker, frames: int, embedder: Embedder | None, requested: bool, camera_motion: bool
    ) -> None:
        self._tracker = tracker
        self._embedder = embedder
        self.looking = looking_of(tracker, embedder, requested)
        self.camera_s = np.zeros(frames) if camera_motion and knows_camera(tracker) else None
        self._rows: list[FloatArray] = [np.empty((0, 7))]
        self._update_s = np.zeros(frames)
        self._boxes = np.zeros(frames, np.intp)
        self._looks = Looks(np.zeros(frames), np.zeros(frames, np.intp))

    def take(self, frame: int, shown: _Shown) -> None:
        """Let the tracker have the frame, from 1."""
        at = frame - 1
        self._boxes[at] = len(shown.detections)
        if self.camera_s is not None:
            self.camera_s[at] = shown.camera_s
        tracks = self._update(at, shown)
        self._rows.append(_rows(frame, tracks))

    def run(self) -> TrackerRun:
        """Return all that was kept."""
        looks = None if self.looking is Looking.NEVER else self._looks
        return TrackerRun(np.concatenate(self._rows), self._update_s, self._boxes, looks, self.camera_s)

    def _update(self, at: int, shown: _Shown) -> Tracks:
        tracker, embedder, detections = self._tracker, self._embedder, shown.detections
        camera = None if self.camera_s is None else shown.camera
        if self.looking is Looking.NEVER or embedder is None:
            begun = time.perf_counter()
            tracks = tracker.update(detections, shown.pts_s, camera=camera)
            self._update_s[at] = time.perf_counter() - begun
            return tracks
        if isinstance(tracker, Sightline):
            look, looks = embedder.of(shown.picture()), self._looks

            def embed(rows: IntArray) -> F32Array:
                begun = time.perf_counter()
                embedding = look(detections.xyxy[rows])
                looks.seconds[at] += time.perf_counter() - begun
                looks.boxes[at] += len(rows)
                return embedding

            begun = time.perf_counter()
            tracks = tracker.update(detections, shown.pts_s, camera=camera, embed=embed)
            self._update_s[at] = time.perf_counter() - begun - looks.seconds[at]
            return tracks
        described, self._looks.seconds[at] = shown.described(embedder)
        self._looks.boxes[at] = len(detections)
        begun = time.perf_counter()
        tracks = tracker.update(described, shown.pts_s, camera=camera)
        self._update_s[at] = time.perf_counter() - begun
        return tracks


def _rows(frame: int, tracks: Tracks) -> FloatArray:
    xyxy = tracks.xyxy.astype(np.float64)
    # Two decimals, as the result files have: a file is then scored exactly like the run that wrote it.
    xywh = np.round(np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1), 2)
    return np.column_stack([np.full(len(tracks), float(frame)), tracks.id, xywh, tracks.score])
