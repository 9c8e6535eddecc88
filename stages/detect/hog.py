"""People from histograms of oriented gradients: no weights to fetch, for people of some size, upright."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import NO_EVENTS, Options, StageContext
from stages.detect.base import Detector
from stages.detect.boxes import suppress
from stages.detect.spend.options import DetectorOptions

_WINDOW_WIDTH, _WINDOW_HEIGHT = 64, 128
# Dalal and Triggs 2005, section 4: the person stands in the window with 16 px of surroundings on each side.
_INSET_X, _INSET_Y = 16 / _WINDOW_WIDTH, 16 / _WINDOW_HEIGHT


class HogOptions(DetectorOptions):
    """Options of the stage `hog`."""

    height: int = Field(
        480,
        ge=_WINDOW_HEIGHT,
        le=2160,
        description="Height in px that the picture is scaled to before the search.",
    )
    stride_px: int = Field(
        8, ge=4, le=32, multiple_of=4, description="Step of the search window; 8 is four times as fast as 4."
    )
    scale: float = Field(1.05, gt=1, le=2, description="Ratio between the sizes of person that are searched.")
    hit_threshold: float = Field(
        0.0, ge=-2, le=5, description="Smallest distance from the SVM's plane; higher finds fewer and surer."
    )
    nms_iou: float = Field(
        0.4, gt=0, le=1, description="Boxes that overlap a better one by more than this are dropped."
    )
    label: str = Field("person", min_length=1, description="Label of all detections.")


class HogDetector(Detector):
    """Finds standing people with OpenCV's HOG and linear SVM (Dalal and Triggs 2005), trained on INRIA.

    The score is the logistic function of the SVM's margin, so a hit at margin 0 has score 0.5.
    """

    Options: ClassVar[type[Options]] = HogOptions
    emits = NO_EVENTS

    def __init__(self, options: HogOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Search each picture by itself."""
        return [self._detect(picture) for picture in pictures]

    def _detect(self, picture: Picture) -> Detections:
        width = max(round(picture.width * self.options.height / picture.height), 1)
        if width < _WINDOW_WIDTH:
            return Detections.empty()
        found, margin = self._hog.detectMultiScale(
            picture.fit(width, self.options.height),
            hitThreshold=self.options.hit_threshold,
            winStride=(self.options.stride_px, self.options.stride_px),
            padding=(self.options.stride_px, self.options.stride_px),
            scale=self.options.scale,
            groupThreshold=0,
        )
        if len(found) == 0:
            return Detections.empty()
        left, top, wide, high = np.asarray(found, np.float32).T
        xyxy = np.column_stack(
            [
                left + _INSET_X * wide,
                top + _INSET_Y * high,
                left + (1 - _INSET_X) * wide,
                top + (1 - _INSET_Y) * high,
            ]
        )
        score = (1 / (1 + np.exp(-np.ravel(margin)))).astype(np.float32)
        kept = suppress(xyxy, score, np.zeros(len(xyxy), np.int64), self.options.nms_iou)
        unscale = np.array([picture.width / width, picture.height / self.options.height] * 2, np.float32)
        edges = np.array([picture.width, picture.height] * 2, np.float32)
        boxes = np.clip(xyxy[kept] * unscale, 0, edges)
        return Detections(boxes, score[kept], np.full(len(kept), self.options.label))
