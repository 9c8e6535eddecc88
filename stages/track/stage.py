"""The stage `track`: gives each detected object an id that stays with it from picture to picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame
from pipeline.objects import Detections, F32Array, Tracks
from pipeline.plugin import NO_EVENTS, Options, Stage, StageContext, StreamInfo
from stages.track.affine import identity
from stages.track.appearance.embedder import Embedder, Look, embedder_of
from stages.track.boxes import FloatArray, IntArray
from stages.track.camera import CameraMotion, Verdict
from stages.track.flow_camera import FlowCamera
from stages.track.methods import Tracker, default_settings, looks_by_default, make_tracker, settings_for_looks
from stages.track.sightline.tracker import Sightline

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Limit = Annotated[float, Field(gt=0, le=1)]
Method = Literal["sightline", "deepsort", "sort", "bytetrack", "ocsort", "botsort"]


class TrackOptions(Options):
    """Options of the stage `track`. What is left out has the method's own default.

    Attributes:
        method: `sightline` is the most accurate; the others are published methods, for comparison.
        appearance: `builtin` describes each box by its colours and edges when the detector gives no
            embeddings; the path of an .onnx file uses that re-identification network; `none` goes by motion
            and overlap alone, which costs no look at the pixels. When left out `builtin` for `sightline` and
            `deepsort`, else `none`.
        camera_motion: follows a camera that moves (shake, pan, tilt, zoom) by optical flow; costs 1 to 2 ms a
            picture. `flow` takes the flow of a stage `flow` before, which costs next to nothing.
        max_age_s: an object that is lost for longer gets a new id.
        n_init: detections in successive pictures that make a track; more of them suppress flicker, fewer
            report an object sooner.
        min_score: smallest score of a detection that starts a track; all may continue one.
        report_predicted_s: for so long a lost object is still reported where it should be; by `sightline` one
            that was lost between two looks of the detector until the second, for 0.5 s at most. 0: never.
        max_tracks: bound of the objects followed at one time.
        max_cosine_distance: `deepsort` only: how different an object may look and still be the same.
        max_iou_distance: `deepsort` only: how little, as 1 - IoU, the boxes of one object may overlap.
    """

    method: Method = "sightline"
    appearance: Literal["builtin", "none"] | Path | None = None
    camera_motion: bool | Literal["flow"] = False
    max_age_s: Seconds | None = None
    n_init: Annotated[int, Field(ge=1)] | None = None
    min_score: Share | None = None
    report_predicted_s: Seconds | None = None
    max_tracks: Annotated[int, Field(ge=1)] | None = None
    max_cosine_distance: Limit | None = None
    max_iou_distance: Limit | None = None

    @field_validator("appearance")
    @classmethod
    def _is_known(cls, appearance: Path | str | None) -> Path | str | None:
        if isinstance(appearance, Path) and appearance.suffix.lower() != ".onnx":
            raise ValueError("it is 'builtin', 'none', or the path of an .onnx file")
        return appearance

    @model_validator(mode="after")
    def _fits_the_method(self) -> Self:
        known = default_settings(self.method)
        for name in self.settings:
            if name not in known:
                raise ValueError(f"method '{self.method}' has no setting '{name}'; leave it out")
        if self.camera_motion and self.method in ("sort", "bytetrack", "ocsort"):
            raise ValueError(f"method '{self.method}' knows no camera motion; leave camera_motion out")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """The method's settings that were given."""
        own = self.model_dump(exclude={"method", "appearance", "camera_motion"})
        return {name: value for name, value in own.items() if value is not None}


class TrackStage(Stage):
    """Sets `frame.tracks` from `frame.detections`, and gives these the embeddings that were made of them.

    A new run goes on with the tracks of the old, as far as they are remembered: a camera that was away for a
    second shows the same objects. Where its media clock begins anew, all is forgotten.
    """

    Options: ClassVar[type[Options]] = TrackOptions
    emits = NO_EVENTS
    needs = frozenset({"detections"})
    gives = frozenset({"tracks"})
    options: TrackOptions

    def __init__(self, options: TrackOptions, context: StageContext) -> None:
        super().__init__(options, context)
        appearance = options.appearance
        if appearance is None:
            appearance = "builtin" if looks_by_default(options.method) else "none"
        self._embedder: Embedder | None = embedder_of(appearance)
        self._tracker: Tracker | None = None
        self._camera: CameraMotion | FlowCamera | None = None
        self._run, self._last_s = "", 0.0

    def open(self, info: StreamInfo) -> None:  # noqa: ARG002
        """Forget all tracks."""
        self._begin()

    def process(self, frame: Frame) -> None:
        """Track the frame's detections.

        Raises:
            ConfigError: if no stage before this one detects anything, or its embeddings change their length.
            SourceError: if the frame's media time is not after that of the frame before.
        """
        detections = frame.detections
        if detections is None:
            raise ConfigError("stage 'track' needs detections; put a detector before it, e.g. 'motion'")
        if self._run and frame.run != self._run and frame.moment.pts_s <= self._last_s:
            self._begin()
        self._run, self._last_s = frame.run, frame.moment.pts_s
        try:
            camera = self._camera_motion(frame, detections)
            if self._tracker is None:
                if not len(detections):
                    frame.tracks = Tracks.empty()
                    return
                self._tracker = make_tracker(self.options.method, **self._settings(detections))
            frame.tracks = self._track(self._tracker, frame, detections, camera).with_attributes(detections)
        except ValueError as error:
            raise SourceError(f"picture {frame.sequence}: {error}") from error

    def close(self) -> None:
        """Forget all tracks."""
        self._begin()

    def _begin(self) -> None:
        self._run = ""
        self._tracker = None
        self._camera = None
        if self.options.camera_motion:
            self._camera = FlowCamera() if self.options.camera_motion == "flow" else CameraMotion()

    def _settings(self, detections: Detections) -> dict[str, Any]:
        embedder = self._embedder if detections.embedding is None else None
        limit = None if embedder is None else embedder.limit
        return settings_for_looks(self.options.method, limit) | self.options.settings

    def _camera_motion(self, frame: Frame, detections: Detections) -> FloatArray | None:
        """Return how the camera moved, the identity when it is known to stand, None when nothing is known."""
        if self._camera is None:
            return None
        if isinstance(self._camera, FlowCamera):
            size = frame.picture.width, frame.picture.height
            return self._camera.update(frame.motion, frame.moment.pts_s, size, detections.xyxy)
        moved = self._camera.update(frame.picture, frame.moment.pts_s, detections.xyxy)
        return identity() if self._camera.verdict is Verdict.STILL else moved

    def _track(
        self, tracker: Tracker, frame: Frame, detections: Detections, camera: FloatArray | None
    ) -> Tracks:
        embedder, pts_s = self._embedder, frame.moment.pts_s
        if detections.embedding is not None:
            embedder = None
        if isinstance(tracker, Sightline):
            carried_s = frame.carried_s
            if embedder is None:
                return tracker.update(detections, pts_s, camera=camera, carried_s=carried_s)
            described = _Described(detections, embedder.of(frame.picture))
            tracks = tracker.update(
                detections, pts_s, camera=camera, embed=described.look, carried_s=carried_s
            )
            frame.detections = described.table()
            return tracks
        if embedder is not None and len(detections):
            embedding = embedder.of(frame.picture)(detections.xyxy)
            frame.detections = detections = detections.with_embedding(embedding)
        return tracker.update(detections, pts_s, camera=camera)


class _Described:
    """Detections of which some were described, as the tracker asked for it; kept for the stages to come."""

    def __init__(self, detections: Detections, look: Look) -> None:
        self._detections = detections
        self._look = look
        self._embedding: F32Array | None = None

    def look(self, rows: IntArray) -> F32Array:
        """Describe these rows, (K, D)."""
        found = self._look(self._detections.xyxy[rows])
        if self._embedding is None:
            self._embedding = np.zeros((len(self._detections), found.shape[1]), np.float32)
        self._embedding[rows] = found
        return found

    def table(self) -> Detections:
        """Return the detections; rows that nobody asked for have an embedding of zeros."""
        if self._embedding is None:
            return self._detections
        return Detections.unchecked(**{**vars(self._detections), "embedding": self._embedding})
