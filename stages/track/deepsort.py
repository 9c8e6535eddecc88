"""DeepSORT (Wojke, Bewley, Paulus: Simple Online and Realtime Tracking with a Deep Association Metric, 2017).

All tracks are rows of arrays, and all times are seconds of the media clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.objects import Detections, Tracks
from stages.track.association import ROUNDING_S, Association, Measured
from stages.track.boxes import IntArray, xyah_to_xyxy
from stages.track.gallery import Gallery
from stages.track.kalman import REFERENCE_FRAME_S, ConstantVelocity
from stages.track.population import BoolArray, Population


@dataclass(frozen=True)
class Settings:
    """The tracker's settings; `Settings.published()` has those of the paper.

    Attributes:
        max_age_s: a confirmed track ends when nothing matched for longer.
        n_init: a track is confirmed by this many detections in successive frames.
        max_cosine_distance: limit of the appearance distance.
        max_iou_distance: limit of 1 - IoU.
        overlap_age_s: tracks missed for at most so long may continue by overlap alone; at least those missed
            in this frame only may. The paper's 0 loses an object for good as soon as its embeddings are off
            once.
        position_std: noise of a position as a share of the height. The paper's 1/20 suits tight boxes; 0.08
            forgives boxes that breathe, merge and split, and a camera that shakes.
        velocity_std: noise of a velocity as a share of the height, per 1/30 s.
        hold_size: a missed track keeps its size, where the paper lets it grow or shrink.
        label_change_cost: how much better, as a share of the limit, a pair must be when its labels differ.
            Labels never forbid a match (detectors waver between car and truck); the gate on the aspect ratio
            and the overlap keep cars and persons apart.
        gallery_budget: embeddings kept for each track; 30 are as good as the paper's 100 on all but the most
            crowded scenes, for a third of the time.
        report_predicted_s: confirmed tracks missed for at most so long are reported where they are predicted.
        min_score: smallest score of a detection that starts a track; all may continue one.
        max_tracks: bound of tracks alive. Above it tentative ones go first, then those missed longest.
    """

    max_age_s: float = 2.0
    n_init: int = 3
    max_cosine_distance: float = 0.2
    max_iou_distance: float = 0.7
    overlap_age_s: float = 1.0
    position_std: float = 0.08
    velocity_std: float = 1 / 160
    hold_size: bool = True
    label_change_cost: float = 0.2
    gallery_budget: int = 30
    report_predicted_s: float = 0.1
    min_score: float = 0.0
    max_tracks: int = 2000

    @classmethod
    def published(cls) -> Self:
        """Return the paper's settings; 30 frames of memory and one of prediction, at its 30 frames/s."""
        return cls(
            max_age_s=30 * REFERENCE_FRAME_S,
            overlap_age_s=0.0,
            position_std=1 / 20,
            hold_size=False,
            label_change_cost=0.0,
            gallery_budget=100,
            report_predicted_s=REFERENCE_FRAME_S,
        )


class DeepSort:
    """Gives the objects of one camera their ids, frame by frame.

    Detections without embeddings take the same way, with IoU in place of the appearance distance: the paper
    has no such mode, and its overlap stage alone would lose a track at the first missed detection.

    Memory is bounded by `max_tracks` and `gallery_budget`, however many objects pass.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._motion = ConstantVelocity(self.settings.position_std, self.settings.velocity_std)
        self._gallery = Gallery(self.settings.gallery_budget)
        self._tracks = Population.empty()
        self._next_id = 1
        self._pts_s: float | None = None

    def __len__(self) -> int:
        return len(self._tracks)

    def update(self, detections: Detections, pts_s: float) -> Tracks:
        """Take the next frame's detections, also when there are none, and return its confirmed tracks.

        A matched track is reported with its detection's own box, so that row, box and picture agree.
        Detections less than 1 px wide or high are passed over.

        Args:
            detections: N rows; embeddings of any length above 0, which they must keep. Rows of zeros resemble
                nothing.
            pts_s: media time, later than at the call before. Any gap is taken at its true length.

        Returns:
            Confirmed tracks in the order of their ids. Ids count from 1 and are never used again.

        Raises:
            ValueError: if time does not advance, or embeddings are not finite or changed their length. The
                tracker is as it was before.
        """
        dt_s = self._elapsed(pts_s)
        measured = Measured.of(detections)
        if measured.embedding is not None and len(measured):
            self._gallery.check(measured.embedding)

        self._predict(pts_s, dt_s)
        detection_of, unmatched = self._associate(measured, pts_s, dt_s)
        self._correct(detection_of, measured, pts_s)
        self._begin(unmatched, measured, pts_s)
        return self._report(detections, pts_s)

    def _elapsed(self, pts_s: float) -> float:
        before_s = pts_s - REFERENCE_FRAME_S if self._pts_s is None else self._pts_s
        if not (math.isfinite(pts_s) and pts_s > before_s):
            raise ValueError(f"time must advance: a frame at {pts_s} s after one at {before_s} s")
        return pts_s - before_s

    def _predict(self, pts_s: float, dt_s: float) -> None:
        """End the tracks that were missed for too long, and move the others on."""
        tracks = self._tracks
        self._keep(pts_s - tracks.seen_s <= self.settings.max_age_s + ROUNDING_S)
        if self.settings.hold_size:
            tracks.state[1, tracks.seen_s < pts_s - dt_s - ROUNDING_S, 2:] = 0.0
        tracks.state = self._motion.predict(tracks.state, dt_s)
        self._pts_s = pts_s

    def _associate(self, measured: Measured, pts_s: float, dt_s: float) -> tuple[IntArray, IntArray]:
        """Return each track's detection, -1 without one, and the detections that are left."""
        settings = self.settings
        if not len(self._tracks) or not len(measured):
            return np.full(len(self._tracks), -1), np.arange(len(measured))
        association = Association(self._tracks, measured, self._motion, settings.label_change_cost)
        association.cascade(self._gallery, settings.max_cosine_distance, settings.max_iou_distance)
        association.overlap(pts_s - max(dt_s, settings.overlap_age_s), settings.max_iou_distance)
        return association.detection_of, association.unmatched

    def _correct(self, detection_of: IntArray, measured: Measured, pts_s: float) -> None:
        """Update the matched tracks, confirm those with enough hits, and drop missed tentative ones."""
        tracks = self._tracks
        hit = np.flatnonzero(detection_of >= 0)
        seen = detection_of[hit]
        tracks.state[:, hit] = self._motion.update(tracks.state[:, hit], measured.xyah[seen])
        tracks.hit(hit, pts_s, measured.row[seen], measured.score[seen], measured.label[seen])
        if measured.embedding is not None:
            self._gallery.add(tracks.slot[hit], measured.embedding[seen])
        tracks.confirmed |= tracks.hits >= self.settings.n_init
        self._keep(tracks.confirmed | (detection_of >= 0))

    def _begin(self, unmatched: IntArray, measured: Measured, pts_s: float) -> None:
        """Start a tentative track for each detection that is left."""
        born = unmatched[measured.score[unmatched] >= self.settings.min_score]
        if not len(born):
            return
        slots = self._gallery.acquire(len(born))
        if measured.embedding is not None:
            self._gallery.add(slots, measured.embedding[born])
        state = self._motion.initiate(measured.xyah[born])
        columns = (measured.row[born], measured.score[born], measured.label[born], slots)
        self._tracks.append(Population.born(state, self._next_id, pts_s, *columns))
        self._next_id += len(born)
        self._tracks.confirmed |= self._tracks.hits >= self.settings.n_init
        self._keep(self._tracks.most_valuable(self.settings.max_tracks))

    def _keep(self, rows: BoolArray) -> None:
        if not rows.all():
            self._gallery.release(self._tracks.slot[~rows])
            self._tracks.keep(rows)

    def _report(self, detections: Detections, pts_s: float) -> Tracks:
        tracks = self._tracks
        missed_s = pts_s - tracks.seen_s
        rows = np.flatnonzero(tracks.confirmed & (missed_s <= self.settings.report_predicted_s + ROUNDING_S))
        detection = np.where(missed_s[rows] > 0, -1, tracks.detection[rows])
        xyxy = xyah_to_xyxy(tracks.state[0, rows]).astype(np.float32)
        matched = detection >= 0
        xyxy[matched] = detections.xyxy[detection[matched]]
        return Tracks(
            id=tracks.id[rows],
            xyxy=xyxy,
            score=tracks.score[rows],
            label=tracks.label[rows],
            detection=detection,
            missed_s=missed_s[rows].astype(np.float32),
        )
