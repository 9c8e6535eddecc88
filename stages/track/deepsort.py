"""DeepSORT (Wojke, Bewley, Paulus: Simple Online and Realtime Tracking with a Deep Association Metric, 2017).

The published algorithm, in the form of its reference implementation. All tracks are rows of arrays, and all
times are seconds of the media clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.objects import Detections, Tracks
from stages.track.affine import checked_camera, warp_xyah_state
from stages.track.association import ROUNDING_S, Association, Measured
from stages.track.boxes import FloatArray, IntArray, xyah_to_xyxy
from stages.track.gallery import Gallery
from stages.track.kalman import REFERENCE_FRAME_S, ConstantVelocity
from stages.track.population import BoolArray, Population


@dataclass(frozen=True)
class Settings:
    """The tracker's settings; the defaults are the published ones, their frames taken at 30 frames/s.

    Attributes:
        max_age_s: a confirmed track ends when nothing matched for longer.
        n_init: a track is confirmed by this many detections in successive frames; 1 confirms at once, where
            the reference implementation waits for a second.
        max_cosine_distance: limit of the appearance distance.
        max_iou_distance: limit of 1 - IoU; boxes that do not overlap never match.
        position_std: noise of a position as a share of the height.
        velocity_std: noise of a velocity as a share of the height, per 1/30 s.
        gallery_budget: embeddings kept for each track.
        report_predicted_s: confirmed tracks missed for at most so long are reported where they are predicted.
        min_score: smallest score of a detection that starts a track; all may continue one.
        max_tracks: bound of tracks alive. Above it tentative ones go first, then those missed longest.
    """

    max_age_s: float = 30 * REFERENCE_FRAME_S
    n_init: int = 3
    max_cosine_distance: float = 0.2
    max_iou_distance: float = 0.7
    position_std: float = 1 / 20
    velocity_std: float = 1 / 160
    gallery_budget: int = 100
    report_predicted_s: float = REFERENCE_FRAME_S
    min_score: float = 0.0
    max_tracks: int = 2000


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

    def update(self, detections: Detections, pts_s: float, *, camera: FloatArray | None = None) -> Tracks:
        """Take the next frame's detections, also when there are none, and return its confirmed tracks.

        A matched track is reported with its detection's own box, so that row, box and picture agree.
        Detections less than 1 px wide or high are passed over.

        Args:
            detections: N rows; embeddings of one length above 0, or none. Rows of zeros resemble nothing.
            pts_s: media time, later than at the call before. Any gap is taken at its true length.
            camera: (2, 3) affine that takes a position in the previous frame's pixels to this frame's; the
                tracks are moved by it. None when unknown or still, which is what the paper knows.

        Returns:
            Confirmed tracks in the order of their ids. Ids count from 1 and are never used again.

        Raises:
            ValueError: if time does not advance, the affine is none, or embeddings are not finite or changed
                their length. The tracker is as it was before.
        """
        before_s = self._checked_time(pts_s)
        if camera is not None:
            camera = checked_camera(camera)
        measured = Measured.of(detections)
        if measured.embedding is not None and len(measured):
            self._gallery.check(measured.embedding)

        self._predict(pts_s, before_s, camera)
        if len(self._tracks) and len(measured):
            unmatched = self._match(measured, pts_s, before_s)
        else:
            self._keep(self._tracks.confirmed)
            unmatched = np.arange(len(measured))
        self._begin(unmatched, measured, pts_s)
        return self._report(detections, pts_s)

    def _checked_time(self, pts_s: float) -> float:
        """Return the time of the frame before."""
        before_s = pts_s - REFERENCE_FRAME_S if self._pts_s is None else self._pts_s
        if not (math.isfinite(pts_s) and pts_s > before_s):
            raise ValueError(f"time must advance: a frame at {pts_s} s after one at {before_s} s")
        return before_s

    def _predict(self, pts_s: float, before_s: float, camera: FloatArray | None) -> None:
        """Move the tracks on; those missed for too long are no longer confirmed, and so end in this frame."""
        self._pts_s = pts_s
        tracks, oldest_s = self._tracks, pts_s - self.settings.max_age_s - ROUNDING_S
        if before_s < oldest_s:
            self._keep(np.zeros(len(tracks), np.bool_))
        if not len(tracks):
            return
        tracks.confirmed &= tracks.seen_s >= oldest_s
        state = tracks.state
        if camera is not None:
            state[...] = warp_xyah_state(state, camera)
        self._motion.predict(state, pts_s - before_s, out=state)

    def _match(self, measured: Measured, pts_s: float, before_s: float) -> IntArray:
        """Match, correct the tracks, and return the detections that are left."""
        settings, tracks = self.settings, self._tracks
        spread = self._motion.innovation_variance(tracks.state)
        association = Association(tracks, measured, before_s)
        cosine, iou = settings.max_cosine_distance, settings.max_iou_distance
        association.cascade(spread, self._gallery, cosine, iou)
        association.overlap(iou)
        self._correct(association.detection_of, spread, measured, pts_s)
        return association.unmatched

    def _correct(self, detection_of: IntArray, spread: FloatArray, measured: Measured, pts_s: float) -> None:
        """Update the matched tracks, confirm those with enough hits, and drop missed tentative ones."""
        tracks = self._tracks
        seen = detection_of >= 0
        hits = np.count_nonzero(seen)
        rows: IntArray | slice = slice(None)
        chosen = detection_of
        if hits < len(tracks):
            rows = seen.nonzero()[0]
            chosen = detection_of.take(rows)
        if hits:
            xyah = measured.xyah.take(detection_of, axis=0)
            missing = None if hits == len(tracks) else seen
            self._motion.update(tracks.state, xyah, seen=missing, spread=spread, out=tracks.state)
            columns = measured.row.take(chosen), measured.score.take(chosen), measured.label.take(chosen)
            tracks.hit(rows, pts_s, *columns)
            if measured.embedding is not None:
                self._gallery.add(tracks.slot[rows], measured.embedding.take(chosen, axis=0))
        if np.count_nonzero(tracks.confirmed) < len(tracks):
            tracks.confirmed |= seen & (tracks.hits >= self.settings.n_init)
            self._keep(tracks.confirmed | seen)

    def _begin(self, unmatched: IntArray, measured: Measured, pts_s: float) -> None:
        """Start a tentative track for each detection that is left."""
        settings, tracks = self.settings, self._tracks
        if settings.min_score > 0:
            unmatched = unmatched[measured.score.take(unmatched) >= settings.min_score]
        if not len(unmatched):
            return
        slots = self._gallery.acquire(len(unmatched))
        if measured.embedding is not None:
            self._gallery.add(slots, measured.embedding.take(unmatched, axis=0))
        state = self._motion.initiate(measured.xyah.take(unmatched, axis=0))
        columns = measured.row.take(unmatched), measured.score.take(unmatched), measured.label.take(unmatched)
        tracks.begin(state, self._next_id, pts_s, *columns, slots)
        self._next_id += len(unmatched)
        if settings.n_init <= 1:
            tracks.confirmed[:] = True
        if len(tracks) > settings.max_tracks:
            self._keep(tracks.most_valuable(settings.max_tracks))

    def _keep(self, rows: BoolArray) -> None:
        if np.count_nonzero(rows) < len(rows):
            self._gallery.release(self._tracks.slot[~rows])
            self._tracks.keep(rows)

    def _report(self, detections: Detections, pts_s: float) -> Tracks:
        tracks = self._tracks
        missed_s = pts_s - tracks.seen_s
        shown = missed_s <= self.settings.report_predicted_s + ROUNDING_S
        shown &= tracks.confirmed
        rows = shown.nonzero()[0]
        missed_s, detection = missed_s.take(rows), tracks.detection.take(rows)
        predicted = missed_s.nonzero()[0]
        if len(detections):
            xyxy = detections.xyxy.take(detection, axis=0, mode="clip")
        else:
            xyxy = np.zeros((len(rows), 4), np.float32)
        if len(predicted):
            detection[predicted] = -1
            xyxy[predicted] = xyah_to_xyxy(tracks.state[0].take(rows.take(predicted), axis=0))
        return Tracks.unchecked(
            id=tracks.id.take(rows),
            xyxy=xyxy,
            score=tracks.score.take(rows),
            label=tracks.label.take(rows),
            detection=detection,
            missed_s=missed_s.astype(np.float32),
        )
