"""The stage `track`: gives each detected object an id that stays with it from picture to picture."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame
from pipeline.objects import Detections, Tracks
from pipeline.picture import Picture
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.track import appearance
from stages.track.deepsort import DeepSort, Settings

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Limit = Annotated[float, Field(gt=0, le=1)]

# From this width on the built-in embedding looks at a picture of half the size: the boxes have pixels enough,
# and making it takes half the time of a full BGR picture (0.29 against 0.6 ms at 1080p).
_HALVED_FROM_PX = 1280


class TrackOptions(Options):
    """Options of the stage `track`.

    Attributes:
        appearance: `builtin` describes each box by its colours and edges when the detector gives no
            embeddings; `none` goes by motion and overlap alone, which costs no look at the pixels.
        max_age_s: an object that is lost for longer gets a new id.
        n_init: detections in successive pictures that make a track; more of them suppress flicker, fewer
            report an object sooner.
        max_cosine_distance: how different an object may look and still be the same; when left out 0.2 for
            the detector's embeddings and 0.05 for the built-in one.
        max_iou_distance: how little, as 1 - IoU, the boxes of one object may overlap.
        report_predicted_s: for so long a lost object is still reported where it should be.
        min_score: smallest score of a detection that starts a track; all may continue one.
        max_tracks: bound of the objects followed at one time.
    """

    appearance: Literal["builtin", "none"] = "builtin"
    max_age_s: Seconds = Settings.max_age_s
    n_init: Annotated[int, Field(ge=1)] = Settings.n_init
    max_cosine_distance: Limit | None = None
    max_iou_distance: Limit = Settings.max_iou_distance
    report_predicted_s: Seconds = Settings.report_predicted_s
    min_score: Annotated[float, Field(ge=0, le=1)] = Settings.min_score
    max_tracks: Annotated[int, Field(ge=1)] = Settings.max_tracks


class TrackStage(Stage):
    """Sets `frame.tracks` from `frame.detections` with DeepSORT; a new run of the stream starts afresh."""

    Options: ClassVar[type[Options]] = TrackOptions
    needs = frozenset({"detections"})
    gives = frozenset({"tracks"})
    options: TrackOptions

    def __init__(self, options: TrackOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._tracker: DeepSort | None = None
        self._run = ""

    def open(self, info: StreamInfo) -> None:  # noqa: ARG002
        """Forget all tracks."""
        self._tracker = None

    def process(self, frame: Frame) -> None:
        """Track the frame's detections.

        Raises:
            ConfigError: if no stage before this one detects anything, or its embeddings change their length.
            SourceError: if the frame's media time is not after that of the frame before.
        """
        detections = frame.detections
        if detections is None:
            raise ConfigError("stage 'track' needs detections; put a detector before it, e.g. 'motion'")
        if frame.run != self._run:
            self._tracker, self._run = None, frame.run
        builtin = detections.embedding is None and self.options.appearance == "builtin"
        if self._tracker is None:
            if not len(detections):
                frame.tracks = Tracks.empty()
                return
            self._tracker = DeepSort(self._settings(builtin))
        if builtin:
            detections = _embedded(detections, frame.picture)
        try:
            frame.tracks = self._tracker.update(detections, frame.moment.pts_s)
        except ValueError as error:
            raise SourceError(f"picture {frame.sequence}: {error}") from error

    def close(self) -> None:
        """Forget all tracks."""
        self._tracker = None

    def _settings(self, builtin: bool) -> Settings:
        values = self.options.model_dump(exclude={"appearance"})
        if values["max_cosine_distance"] is None:
            limit = appearance.MAX_COSINE_DISTANCE if builtin else Settings.max_cosine_distance
            values["max_cosine_distance"] = limit
        return Settings(**values)


def _embedded(detections: Detections, picture: Picture) -> Detections:
    """Return the detections with embeddings made from the picture."""
    if not len(detections):
        return detections
    halved = picture.width >= _HALVED_FROM_PX
    bgr = picture.fit(picture.width // 2, picture.height // 2) if halved else picture.bgr()
    scale = np.array([bgr.shape[1] / picture.width, bgr.shape[0] / picture.height] * 2, np.float32)
    embedding = appearance.embed(bgr, detections.xyxy * scale)
    return Detections(detections.xyxy, detections.score, detections.label, embedding)
