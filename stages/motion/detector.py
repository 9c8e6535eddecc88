"""Moving objects from background subtraction: no weights, a millisecond or two per picture."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, Stage, StageContext
from stages.vision.background import BackgroundModel
from stages.vision.blobs import find_blobs
from stages.vision.luma import reduced_luma

_UNKNOWN_GAP_S = 5.0


class MotionOptions(Options):
    """Options of the stage `motion`."""

    method: Literal["mog2", "knn"] = Field(
        "mog2", description="Background model; knn copes better with busy backgrounds, mog2 is steadier."
    )
    width: int = Field(
        320,
        ge=64,
        le=1920,
        description="Width in px that the picture is reduced to; the cost grows with its square.",
    )
    history_s: float = Field(
        30.0,
        gt=0,
        le=86_400,
        description="Memory of the background in seconds; what stops joins it after about a third.",
    )
    min_area: float = Field(
        0.001, gt=0, lt=1, description="Smallest object, as a share of the picture's area (its box)."
    )
    shadows: bool = Field(
        True, description="Remove cast shadows. Turn off for objects of the ground's colour, only darker."
    )
    label: str = Field("moving", min_length=1, description="Label of all detections.")


class MotionDetector(Stage):
    """Finds what moves before a fixed camera. It has a memory: one picture alone tells it nothing."""

    Options: ClassVar[type[Options]] = MotionOptions
    emits = NO_EVENTS
    gives = frozenset({"detections"})

    @classmethod
    def known_labels(cls, options: MotionOptions) -> frozenset[str]:
        """Return the one label that all detections have."""
        return frozenset({options.label})

    def __init__(self, options: MotionOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._model = BackgroundModel(options.method, options.history_s, shadows=options.shadows)
        self._last_s: float | None = None

    def process(self, frame: Frame) -> None:
        """Fill in `detections`: what has moved into the picture against the background so far."""
        now_s = frame.moment.pts_s
        dt_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        # A gap of known length shows in the time stamps; time that jumps back is one of unknown length.
        if dt_s < 0 or (frame.gap is not None and frame.gap.seconds is None):
            self._model.distrust(_UNKNOWN_GAP_S)
        frame.detections = self._detect(frame.picture, dt_s)
        frame.model_hash = None

    def _detect(self, picture: Picture, dt_s: float) -> Detections:
        foreground = self._model.apply(reduced_luma(picture.luma(), self.options.width), dt_s)
        if foreground is None:
            return Detections.empty()
        xyxy, score = find_blobs(foreground, self.options.min_area)
        height, width = foreground.mask.shape
        scale = np.array([picture.width / width, picture.height / height] * 2, np.float32)
        return Detections(xyxy * scale, score, np.full(len(xyxy), self.options.label))
