"""The one machine behind SORT, ByteTrack, OC-SORT and BoT-SORT; `settings` says which of them it is.

All tracks are rows of arrays, and all times are seconds of the media clock.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.objects import Detections, Tracks
from stages.track.boxes import FloatArray, IntArray
from stages.track.kalman import REFERENCE_FRAME_S
from stages.track.overlap.association import Association, Measured, overlaps
from stages.track.overlap.filters import FILTERS, zoom_of
from stages.track.overlap.looks import Looks
from stages.track.overlap.observations import Observations
from stages.track.overlap.settings import Settings
from stages.track.population import BoolArray, Population

# Media times are sums of rounded frame times: two times closer than this are one.
_ROUNDING_S = 1e-6
# A picture that shrinks more from one frame to the next is a mistake of whoever estimated it.
_MIN_ZOOM = 1e-3


class OverlapTracker:
    """Gives the objects of one camera their ids, frame by frame, by the overlap of their boxes.

    Memory is bounded by `max_tracks`, however many objects pass.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._motion = FILTERS[self.settings.motion]
        self._tracks = Population.empty()
        self._born_s = np.zeros(0)
        self._observations: Observations | None = None
        if self.settings.observation_centric:
            self._observations = Observations(self.settings.direction_s)
        self._looks = Looks() if self.settings.appearance is not None else None
        self._next_id = 1
        self._frames = 0
        self._pts_s: float | None = None

    def __len__(self) -> int:
        return len(self._tracks)

    def update(self, detections: Detections, pts_s: float, *, camera: FloatArray | None = None) -> Tracks:
        """Take the next frame's detections, also when there are none, and return its confirmed tracks.

        A matched track is reported with the filter's box or its detection's own, as the settings say.
        Detections less than 1 px wide or high are passed over.

        Args:
            detections: N rows; embeddings, where the settings look at them, of one length above 0. Rows of
                zeros resemble nothing.
            pts_s: media time, later than at the call before. Any gap is taken at its true length.
            camera: (2, 3) affine that takes a position in the previous frame's pixels to this frame's; None
                when unknown or still.

        Returns:
            Confirmed tracks in the order of their ids. Ids count from 1 and are never used again.

        Raises:
            ValueError: if time does not advance, the affine is none, or embeddings are not finite or changed
                their length. The tracker is as it was before.
        """
        dt_s = self._elapsed(pts_s)
        affine = _checked(camera) if camera is not None and self.settings.camera else None
        measured = Measured.of(detections, self.settings, self._motion)
        if self._looks is not None and measured.embedding is not None and len(measured):
            self._looks.check(measured.embedding)

        self._predict(pts_s, dt_s, affine)
        association = self._associate(measured, pts_s, dt_s)
        self._correct(association.detection_of, measured, pts_s)
        self._end(association.detection_of, pts_s, dt_s)
        self._begin(association.free, measured, pts_s)
        return self._report(detections, pts_s)

    def _elapsed(self, pts_s: float) -> float:
        before_s = pts_s - REFERENCE_FRAME_S if self._pts_s is None else self._pts_s
        if not (math.isfinite(pts_s) and pts_s > before_s):
            raise ValueError(f"time must advance: a frame at {pts_s} s after one at {before_s} s")
        return pts_s - before_s

    def _predict(self, pts_s: float, dt_s: float, camera: FloatArray | None) -> None:
        """Move the tracks on to this frame, after a gap without those that are too old."""
        tracks, settings, motion = self._tracks, self.settings, self._motion
        if dt_s > settings.max_gap_s + _ROUNDING_S:
            self._keep(pts_s - tracks.seen_s <= settings.max_age_s + _ROUNDING_S)
        self._pts_s = pts_s
        self._frames += 1
        if not len(tracks):
            return
        if settings.hold_size:
            unseen = tracks.seen_s < pts_s - dt_s - _ROUNDING_S
            tracks.state[1, unseen, motion.held] = 0.0
        frames = dt_s / REFERENCE_FRAME_S
        if settings.motion == "xysr":
            motion.shrink_no_further(tracks.state, frames)
        tracks.state = motion.predict(tracks.state, frames)
        if camera is not None:
            motion.warp(tracks.state, camera)
            if self._observations is not None:
                self._observations.warp(camera, motion)

    def _associate(self, measured: Measured, pts_s: float, dt_s: float) -> Association:
        """Match tracks and detections, pass by pass."""
        tracks, settings, strong = self._tracks, self.settings, measured.strong
        association = Association(self._motion.box(tracks.state[0]), measured.xyxy)
        similarity = self._similarity(association, measured, pts_s)
        apart = settings.tentative_overlap is not None and not tracks.confirmed.all()
        # Turning round makes a pair worse, but only too little overlap forbids it.
        minimum = settings.match_overlap - settings.direction_weight / 2
        association.match(similarity, minimum, tracks.confirmed if apart else None, strong)
        if not association.free.any():
            return association

        free = association.detection_of < 0
        if strong is not None:
            late = free & tracks.confirmed if apart else free
            if settings.low_recent_only:
                late = late & (tracks.seen_s >= pts_s - dt_s - _ROUNDING_S)
            association.match(association.overlap, settings.low_overlap, late, ~strong)
        left = association.free if strong is None else association.free & strong
        if settings.recover_overlap is not None and self._observations is not None:
            unseen, unmatched = (association.detection_of < 0).nonzero()[0], left.nonzero()[0]
            boxes, minimum = self._observations.box, settings.recover_overlap
            association.match_boxes(boxes, unseen, measured.xyxy, unmatched, minimum)
        if apart and settings.tentative_overlap is not None:
            association.match(similarity, settings.tentative_overlap, ~tracks.confirmed, left)
        return association

    def _similarity(self, association: Association, measured: Measured, pts_s: float) -> FloatArray:
        """Return what the first pass maximises, for each pair of boxes that overlap."""
        settings, similarity = self.settings, association.overlap
        track, detection = association.track, association.detection
        if settings.fuse_score:
            similarity = similarity * measured.score[detection]
        if settings.direction_weight > 0 and self._observations is not None:
            agreement = self._observations.agreement(track, measured.xyxy[detection], pts_s)
            similarity = similarity + settings.direction_weight * agreement * measured.score[detection]
            similarity[association.overlap < settings.match_overlap] = -1.0
        if settings.appearance is not None and self._looks is not None and measured.embedding is not None:
            near = (association.overlap >= settings.proximity).nonzero()[0]
            likeness = self._looks.likeness(track[near], measured.embedding[detection[near]])
            likeness[likeness < settings.appearance] = 0.0
            similarity[near] = np.maximum(similarity[near], likeness)
        return similarity

    def _correct(self, detection_of: IntArray, measured: Measured, pts_s: float) -> None:
        """Update the matched tracks and confirm those with enough hits."""
        tracks = self._tracks
        hit = (detection_of >= 0).nonzero()[0]
        xyxy = measured.xyxy[:0]
        if len(hit):
            chosen = detection_of[hit]
            xyxy = measured.xyxy[chosen]
            if self._observations is not None and self.settings.re_update:
                self._observations.re_update(hit, tracks.state, xyxy, pts_s, self._motion)
            tracks.state[:, hit] = self._motion.update(tracks.state[:, hit], measured.measurement[chosen])
            tracks.hit(hit, pts_s, measured.row[chosen], measured.score[chosen], measured.label[chosen])
            if self._looks is not None and measured.embedding is not None:
                strong = slice(None) if measured.strong is None else measured.strong[chosen]
                self._looks.add(hit[strong], measured.embedding[chosen[strong]])
            tracks.confirmed |= tracks.hits >= self.settings.n_init
        if self._observations is not None:
            self._observations.hit(hit, tracks.state, xyxy, pts_s)

    def _end(self, detection_of: IntArray, pts_s: float, dt_s: float) -> None:
        """Drop tracks that were missed for too long, missed tentative ones, and those that follow another."""
        tracks, settings = self._tracks, self.settings
        missed = detection_of < 0
        if not missed.any():
            return
        if settings.in_a_row:
            tracks.hits[missed] = 1
        # However low the frame rate, the first frame that misses a track does not end it.
        allowed_s = max(settings.max_age_s, dt_s) + _ROUNDING_S
        stays = ~missed | (pts_s - tracks.seen_s <= allowed_s)
        if settings.tentative_overlap is not None:
            stays &= ~missed | tracks.confirmed
        if settings.duplicate_overlap is not None:
            stays[self._duplicates(missed & stays, ~missed, settings.duplicate_overlap)] = False
        self._keep(stays)

    def _duplicates(self, unseen: BoolArray, seen: BoolArray, overlap: float) -> IntArray:
        """Return the younger track of each pair of a seen and an unseen track that lie on each other."""
        a, b = unseen.nonzero()[0], seen.nonzero()[0]
        if not (len(a) and len(b)):
            return a[:0]
        boxes = self._motion.box(self._tracks.state[0])
        i, j, iou = overlaps(boxes[a], boxes[b])
        same = iou > overlap
        i, j = a[i[same]], b[j[same]]
        age_s = self._tracks.seen_s - self._born_s
        younger: IntArray = np.where(age_s[i] > age_s[j], j, i)
        return younger

    def _begin(self, free: BoolArray, measured: Measured, pts_s: float) -> None:
        """Start a track for each strong detection that is left."""
        born = (free & (measured.score >= self.settings.new_score)).nonzero()[0]
        if not len(born):
            return
        state = self._motion.initiate(measured.measurement[born])
        slots = np.zeros(len(born), np.intp)
        columns = (measured.row[born], measured.score[born], measured.label[born], slots)
        self._tracks.append(Population.born(state, self._next_id, pts_s, *columns))
        self._born_s = np.concatenate([self._born_s, np.full(len(born), pts_s)])
        if self._observations is not None:
            self._observations.append(measured.xyxy[born], state, pts_s)
        if self._looks is not None:
            self._looks.append(len(born), None if measured.embedding is None else measured.embedding[born])
        self._next_id += len(born)
        if self._frames <= self.settings.start_frames:
            self._tracks.confirmed[:] = True
        self._tracks.confirmed |= self._tracks.hits >= self.settings.n_init
        if len(self._tracks) > self.settings.max_tracks:
            self._keep(self._tracks.most_valuable(self.settings.max_tracks))

    def _keep(self, rows: BoolArray) -> None:
        if rows.all():
            return
        self._tracks.keep(rows)
        self._born_s = self._born_s[rows]
        if self._observations is not None:
            self._observations.keep(rows)
        if self._looks is not None:
            self._looks.keep(rows)

    def _report(self, detections: Detections, pts_s: float) -> Tracks:
        tracks, settings = self._tracks, self.settings
        missed_s = pts_s - tracks.seen_s
        shown = missed_s <= settings.report_predicted_s + _ROUNDING_S
        if not settings.in_a_row:
            shown &= tracks.confirmed
        elif self._frames > settings.start_frames:
            # A missed track has no hits in a row; its prediction is shown if it had been confirmed.
            shown &= (tracks.hits >= settings.n_init) | (tracks.confirmed & (missed_s > 0))
        rows = shown.nonzero()[0]
        missed_s = missed_s[rows]
        detection = tracks.detection[rows]
        unseen = (missed_s > 0).nonzero()[0]
        if len(unseen):
            detection[unseen] = -1
            xyxy = detections.xyxy[detection] if len(detections) else np.zeros((len(rows), 4), np.float32)
            xyxy[unseen] = self._motion.box(tracks.state[0, rows[unseen]])
        else:
            xyxy = detections.xyxy[detection]
        if settings.report_filtered:
            xyxy = self._motion.box(tracks.state[0, rows]).astype(np.float32)
        return Tracks(
            id=tracks.id[rows],
            xyxy=xyxy,
            score=tracks.score[rows],
            label=tracks.label[rows],
            detection=detection,
            missed_s=missed_s.astype(np.float32),
        )


def _checked(camera: FloatArray) -> FloatArray:
    affine = np.asarray(camera, np.float64)
    if affine.shape != (2, 3) or not np.isfinite(affine).all() or zoom_of(affine) < _MIN_ZOOM:
        raise ValueError(f"the camera's motion must be an invertible (2, 3) affine, got {affine.tolist()}")
    return affine
