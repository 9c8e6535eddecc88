"""Our tracker as a candidate for tracker_speed.py, identity_stress.py and tracker_accuracy.py of the bench.

    export PYTHONPATH=/path/to/this/project
    python tracker_speed.py --trackers none --candidate benchmarks.tracker_candidate:Sightline

Like its peers there it runs at its default settings and gets detections with a score of at least 0.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.objects import Detections
from stages.track.deepsort import DeepSort, Settings

_LABELS = np.array([f"class {number}" for number in range(100)])


class Sightline:
    """The default settings."""

    uses_embeddings: ClassVar[bool] = True
    settings: ClassVar[Settings] = Settings()

    def __init__(self, fps: float = 30.0, patience_s: float | None = None) -> None:
        settings = self.settings if patience_s is None else replace(self.settings, max_age_s=patience_s)
        self._tracker = DeepSort(settings)
        self._fps = fps

    def update(
        self,
        frame_index: int,
        boxes_xyxy: npt.NDArray[np.floating],
        scores: npt.NDArray[np.floating],
        classes: npt.NDArray[np.integer],
        embeddings: npt.NDArray[np.floating] | None,
    ) -> npt.NDArray[np.float64]:
        """Return (K, 5) rows of left, top, right, bottom, id."""
        keep = scores >= 0.3
        labels = _LABELS[classes[keep]]
        looks = embeddings[keep] if self.uses_embeddings and embeddings is not None else None
        detections = Detections(boxes_xyxy[keep], scores[keep], labels, looks)
        tracks = self._tracker.update(detections, frame_index / self._fps)
        return np.column_stack([tracks.xyxy, tracks.id])


class SightlinePublished(Sightline):
    """The settings of the DeepSORT paper."""

    settings: ClassVar[Settings] = Settings.published()


class SightlineMotion(Sightline):
    """The default settings, without appearance."""

    uses_embeddings: ClassVar[bool] = False
