"""Our trackers as candidates for tracker_speed.py, identity_stress.py and tracker_accuracy.py of the bench.

    export PYTHONPATH=/path/to/this/project
    python tracker_speed.py --trackers none --candidate benchmarks.tracker_candidate:Sightline

All run at their default settings. Like their peers there `deepsort` and `sort` get detections with a score
of at least 0.3; the others handle scores themselves and get all.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.objects import Detections
from stages.track.methods import make_tracker

_LABELS = np.array([f"class {number}" for number in range(100)])


class Sightline:
    """The default method, with embeddings."""

    method: ClassVar[str] = "sightline"
    uses_embeddings: ClassVar[bool] = True
    min_score: ClassVar[float] = 0.0

    def __init__(self, fps: float = 30.0, patience_s: float | None = None) -> None:
        settings = {} if patience_s is None else {"max_age_s": patience_s}
        self._tracker = make_tracker(self.method, **settings)
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
        looks = embeddings if self.uses_embeddings else None
        if self.min_score > 0:
            keep = np.flatnonzero(scores >= self.min_score)
            boxes_xyxy, scores, classes = boxes_xyxy.take(keep, axis=0), scores.take(keep), classes.take(keep)
            looks = None if looks is None else looks.take(keep, axis=0)
        detections = Detections(boxes_xyxy, scores, _LABELS.take(classes), looks)
        tracks = self._tracker.update(detections, frame_index / self._fps)
        rows = np.empty((len(tracks), 5))
        rows[:, :4] = tracks.xyxy
        rows[:, 4] = tracks.id
        return rows


class SightlineMotion(Sightline):
    """The default method, without appearance."""

    uses_embeddings: ClassVar[bool] = False


class DeepSortPublished(Sightline):
    """The DeepSORT paper's, with embeddings."""

    method: ClassVar[str] = "deepsort"
    min_score: ClassVar[float] = 0.3


class SightlinePublished(DeepSortPublished):
    """The same under its earlier name."""


class Sort(Sightline):
    """SORT."""

    method: ClassVar[str] = "sort"
    uses_embeddings: ClassVar[bool] = False
    min_score: ClassVar[float] = 0.3


class ByteTrack(Sightline):
    """ByteTrack."""

    method: ClassVar[str] = "bytetrack"
    uses_embeddings: ClassVar[bool] = False


class OcSort(Sightline):
    """OC-SORT."""

    method: ClassVar[str] = "ocsort"
    uses_embeddings: ClassVar[bool] = False


class BotSort(Sightline):
    """BoT-SORT, with embeddings (BoT-SORT-ReID)."""

    method: ClassVar[str] = "botsort"


CANDIDATES: dict[str, type[Sightline]] = {
    "sightline": Sightline,
    "sightline (motion)": SightlineMotion,
    "deepsort": DeepSortPublished,
    "sort": Sort,
    "bytetrack": ByteTrack,
    "ocsort": OcSort,
    "botsort": BotSort,
}
"""What is measured, by the name that the tables have."""
