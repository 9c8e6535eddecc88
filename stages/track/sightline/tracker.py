"""The default method, frame by frame."""

from __future__ import annotations

import math

import numpy as np

from pipeline.objects import Detections, F32Array, StrArray, Tracks
from stages.track.affine import checked_camera
from stages.track.boxes import FloatArray, IntArray
from stages.track.sightline import evidence, lifecycle, motion
from stages.track.sightline.association import Association
from stages.track.sightline.evidence import Scores
from stages.track.sightline.frame import Measured
from stages.track.sightline.looks import Embed, FrameLooks, Looks
from stages.track.sightline.rows import (
    CONFIRMED,
    COUNTS,
    DETECTION,
    EVIDENCE,
    HITS,
    ID,
    LEAD,
    SCORE,
    SCORES,
    SEEN_S,
    SLOT,
    BoolArray,
    Rows,
)
from stages.track.sightline.settings import Settings

# Media times are sums of rounded frame times: two times closer than this are one.
_ROUNDING_S = 1e-6
_FIRST_STEP_S = 1 / 30
# A tentative track may be missed for so long, beyond one frame.
_TENTATIVE_S = 0.15
# A longer time without frames is a gap.
_LONGEST_STEP_S = 1.0
# A missing object gives evidence against itself for so long, and for one frame at least.
_NOTICED_S = 0.1
# Between two looks of a detector, a track that the first of them saw is reported for so long, where optical
# flow has lost it: a prediction over half a second errs by 0.08 heights.
_UNTIL_NEXT_LOOK_S = 0.5
# A track is looked at in its first detections, and later whenever statistics are learned; what others hide by
# more than this is not looked at, what they hide by less teaches nothing.
_FIRST_LOOKS, _COVERED, _UNCOVERED = 10, 0.5, 0.7
# The scene's statistics are learned so often, from tracks with at least and at most so many detections.
_LEARN_EVERY_S, _LONG_HITS, _SHORT_HITS = 0.1, 10, 2


class Sightline:
    """Gives the objects of one camera their ids, frame by frame.

    Each pair of a track and a detection near it has one log likelihood ratio: of the motion, the overlap or
    the looks, and of how likely it was to be seen at all, against a new or false detection in its place. The
    assignment with the largest sum wins. What an object looks like counts as much as it tells in this scene.

    Memory is bounded by `max_tracks`, however many objects pass.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._rows = Rows()
        self._looks = Looks(self.settings.look_limit)
        self._scores = Scores()
        self._next_id = 1
        self._pts_s: float | None = None
        self._learn_at_s = -math.inf

    def __len__(self) -> int:
        return len(self._rows)

    def update(
        self,
        detections: Detections,
        pts_s: float,
        *,
        camera: FloatArray | None = None,
        embed: Embed | None = None,
        carried_s: float = 0.0,
    ) -> Tracks:
        """Take the next frame's detections, also when there are none, and return its confirmed tracks.

        A matched track is reported with its smoothed box; its `detection` says which row it matched.
        Detections less than 1 px wide or high are passed over.

        Args:
            detections: N rows; embeddings of one length, or none. Rows of zeros have no looks.
            pts_s: media time in seconds, later than at the call before; any gap at its true length.
            camera: (2, 3) affine that takes a position in the previous frame's pixels to this frame's. When
                None, a common shift of all objects is sought in the boxes.
            embed: makes embeddings of rows of `detections` that have none; asked only for those that need it
                (new, ambiguous, or not looked at for a while).
            carried_s: so long ago a detector looked; since then its boxes were carried on. What got lost on
                the way was not missed by any look, so it is reported until the next one, for up to 0.5 s.

        Returns:
            Confirmed tracks in the order of their ids. Ids count from 1 and are never used again.

        Raises:
            ValueError: if time does not advance, `camera` cannot be undone, or embeddings are not finite or
            changed
                their length. The tracker is as it was before; only when it is `embed` that made such
                embeddings, the frame has passed as one without detections.
        """
        dt_s = self._elapsed(pts_s)
        measured = Measured(detections)
        if camera is not None:
            camera = checked_camera(camera)
        looks = self._looks_of(measured, detections, embed)
        self._pts_s = pts_s
        absent_s = self._forget(pts_s, dt_s)
        rows, found = self._rows, None
        if len(rows):
            motion.predict(rows.number, dt_s)
            if camera is not None:
                motion.warp(rows.number, camera)
            if len(measured):
                memory = None if looks is None else (self._looks, looks)
                found = Association(rows, measured, memory, absent_s, dt_s, self.settings.min_score)
                found.solve(seek_shift=camera is None)
                hit = (found.detection_of >= 0).nonzero()[0]
                if len(hit):
                    self._correct(measured, looks, found, hit, pts_s)
                    absent_s[hit] = 0.0
            self._miss(absent_s, dt_s)
        free = np.arange(len(measured)) if found is None else found.left
        if len(free):
            absent_s = self._begin(measured, looks, free, pts_s, absent_s)
        return self._report(absent_s, carried_s)

    def _elapsed(self, pts_s: float) -> float:
        before_s = pts_s - _FIRST_STEP_S if self._pts_s is None else self._pts_s
        if not (math.isfinite(pts_s) and pts_s > before_s):
            raise ValueError(f"time must advance: a frame at {pts_s} s after one at {before_s} s")
        return pts_s - before_s

    def _looks_of(self, measured: Measured, detections: Detections, embed: Embed | None) -> FrameLooks | None:
        given = detections.embedding
        if not len(measured):
            return None
        if given is not None:
            looks = FrameLooks(given if len(measured) == len(given) else given[measured.row], len(measured))
            self._looks.check(given.shape[1])
            return looks
        if embed is None:
            return None

        def make(rows: IntArray) -> F32Array:
            made = embed(measured.row[rows])
            if made.ndim != 2 or len(made) != len(rows):
                raise ValueError(f"embed must return ({len(rows)}, D) embeddings, got {made.shape}")
            self._looks.check(made.shape[1])
            return made

        return FrameLooks(make, len(measured))

    def _forget(self, pts_s: float, dt_s: float) -> FloatArray:
        """End the tracks that were missed for too long; return (N,) for how many seconds the others were."""
        rows = self._rows
        # Nobody is missed for as long as no frame came, unless that was for long.
        step_s = dt_s if dt_s <= _LONGEST_STEP_S else 0.0
        tentative_s = _TENTATIVE_S + step_s + _ROUNDING_S
        confirmed_s = max(self.settings.max_age_s, step_s) + _ROUNDING_S
        absent_s, ended = lifecycle.overdue(rows.number, rows.count, pts_s, tentative_s, confirmed_s)
        if not len(ended):
            return absent_s
        short = ended[(rows.count[CONFIRMED, ended] == 0) & (rows.count[HITS, ended] <= _SHORT_HITS)]
        if len(short):
            self._scores.of_false.learn(rows.number[SCORES, short] / rows.count[HITS, short])
        stays = np.ones(len(rows), np.bool_)
        stays[ended] = False
        kept = stays.nonzero()[0]
        self._keep(kept, ended)
        return absent_s.take(kept)

    def _keep(self, kept: IntArray, ended: IntArray) -> None:
        self._looks.release(self._rows.count[SLOT].take(ended))
        self._rows.keep(kept)

    def _correct(
        self, measured: Measured, looks: FrameLooks | None, found: Association, hit: IntArray, pts_s: float
    ) -> None:
        """Update the tracks that were detected."""
        rows, seen = self._rows, found.detection_of.take(hit)
        n_init, terms = self.settings.n_init, self._scores.terms()
        lifecycle.absorb(
            rows.number, rows.count, hit, measured.table, seen, measured.row, pts_s, n_init, terms
        )
        if found.one_label:
            rows.number[LEAD, hit] += rows.number[SCORE, hit]
        else:
            self._vote(hit, measured.label[seen])
        if looks is not None:
            self._look(looks, found, hit, pts_s)
        if pts_s >= self._learn_at_s:
            self._learn_at_s = pts_s + _LEARN_EVERY_S - _ROUNDING_S
            known = rows.count[CONFIRMED, hit] > 0
            known &= rows.count[HITS, hit] >= _LONG_HITS
            self._scores.of_objects.learn(rows.number[SCORE, hit[known]])

    def _vote(self, hit: IntArray, label: StrArray) -> None:
        """Let each detection vote for its track's label.

        A majority vote in constant memory (Boyer and Moore, 1981) with scores as weights and older votes
        fading: another label takes over once it outweighs the lead of the present one.
        """
        number = self._rows.number
        score, same = number[SCORE, hit], self._rows.label[hit] == label
        lead = number[LEAD, hit] + np.where(same, score, -score)
        lost = (lead < 0).nonzero()[0]
        number[LEAD, hit] = np.abs(lead)
        self._rows.relabel(hit[lost], label[lost])

    def _look(self, looks: FrameLooks, found: Association, hit: IntArray, pts_s: float) -> None:
        """Look at the matched tracks that are new, and now and then at all, and learn what likeness tells."""
        count = self._rows.count
        is_new = count[HITS].take(hit) <= _FIRST_LOOKS
        all_due = pts_s >= self._learn_at_s or not self._looks.has_learned
        track = hit if all_due else hit[is_new]
        if not len(track):
            return
        slots, unit = count[SLOT].take(track), looks.of(found.detection_of.take(track))
        trust = 1 - found.cover(track)
        if all_due:
            is_known = trust > _UNCOVERED
            is_known &= count[CONFIRMED].take(track) > 0
            is_known &= ~is_new
            known = is_known.nonzero()[0]
            self._looks.learn(slots.take(known), unit.take(known, axis=0))
        clear = (trust > 1 - _COVERED).nonzero()[0]
        if len(clear) < len(track):
            slots, unit, trust = slots.take(clear), unit.take(clear, axis=0), trust.take(clear)
        self._looks.add(slots, unit, trust)

    def _miss(self, absent_s: FloatArray, dt_s: float) -> None:
        """Count it against the tracks that were not detected, while it is news."""
        lifecycle.weaken(self._rows.number, absent_s, max(_NOTICED_S, dt_s) + _ROUNDING_S)

    def _begin(
        self, measured: Measured, looks: FrameLooks | None, free: IntArray, pts_s: float, absent_s: FloatArray
    ) -> FloatArray:
        """Start a tentative track for each detection left; return (N,) seconds since each was seen."""
        born = free[measured.score[free] >= self.settings.min_score]
        if not len(born):
            return absent_s
        number = lifecycle.newborn(measured.table.take(born, axis=1), pts_s, self._scores.terms())
        count = np.zeros((COUNTS, len(born)), np.int64)
        count[ID] = np.arange(self._next_id, self._next_id + len(born))
        self._next_id += len(born)
        count[HITS] = 1
        count[CONFIRMED] = (self.settings.n_init <= 1) & (number[EVIDENCE] >= evidence.CONFIRMED_AT_ONCE)
        count[DETECTION] = measured.row[born]
        count[SLOT] = self._looks.acquire(len(born))
        if looks is not None:
            self._looks.add(count[SLOT], looks.of(born), np.ones(len(born)))
        self._rows.append(number, count, measured.label[born])
        absent_s = np.concatenate([absent_s, np.zeros(len(born))])
        if len(self._rows) > self.settings.max_tracks:
            stays = self._most_valuable()
            kept = stays.nonzero()[0]
            self._keep(kept, (~stays).nonzero()[0])
            absent_s = absent_s.take(kept)
        return absent_s

    def _most_valuable(self) -> BoolArray:
        """Return (N,) bool: as many as may stay, confirmed first, then seen latest, then oldest."""
        rows = self._rows
        order = np.lexsort((-rows.count[ID], rows.number[SEEN_S], rows.count[CONFIRMED]))
        stays = np.zeros(len(rows), np.bool_)
        stays[order[-self.settings.max_tracks :]] = True
        return stays

    def _report(self, absent_s: FloatArray, carried_s: float) -> Tracks:
        rows, limit_s = self._rows, self.settings.report_predicted_s
        if limit_s > 0:
            limit_s = max(limit_s, min(carried_s, _UNTIL_NEXT_LOOK_S))
        row, id_, xyxy, score, detection, missed_s = lifecycle.shown(
            rows.number, rows.count, absent_s, limit_s + _ROUNDING_S
        )
        return Tracks.unchecked(
            id=id_, xyxy=xyxy, score=score, label=rows.label[row], detection=detection, missed_s=missed_s
        )
