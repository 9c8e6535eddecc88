"""What SORT, ByteTrack, OC-SORT and BoT-SORT are, as settings of one machine.

Frame counts of the papers are seconds here: counts / 30, their usual frame rate. At 30 frames/s that is the
published behaviour, at other rates the memory lasts as long. `n_init` and `start_frames` count pictures,
since it takes pictures, not time, to be sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from stages.track.kalman import REFERENCE_FRAME_S


@dataclass(frozen=True)
class Settings:
    """The tracker's settings; the four class methods have those that were published.

    The passes, in this order: detections from `high_score` on with all tracks; weak ones; last seen places;
    tentative tracks. A pass matches for the largest sum of similarity above its minimum. Labels play no part,
    as in the published codes: detections of different classes may continue one track, whose label is voted.

    Attributes:
        motion: measurement of the Kalman filter: `xysr`, `xyah` or `xywh` (see `filters`).
        high_score: from this score on a detection is a strong one.
        low_score: weak detections above this score may continue tracks; None passes weak ones over.
        new_score: smallest score of a detection that starts a track.
        match_overlap: smallest IoU, or IoU x score with `fuse_score`, in the first pass.
        low_overlap: smallest IoU of a weak detection.
        tentative_overlap: like `match_overlap`, for tentative tracks; None lets them take part in the first
            pass, and be missed, like all others.
        recover_overlap: smallest IoU of a detection with the place where a track was seen last, for those
            left over; None leaves this pass out (OC-SORT's recovery).
        fuse_score: the score weighs the overlap with strong detections.
        low_recent_only: weak detections continue only tracks that were seen in the frame before.
        direction_weight: similarity gained, at most half of it, by keeping the direction of motion, and lost
            by turning round (OC-SORT's momentum).
        direction_s: the direction is taken over so long.
        re_update: a track found again gets its filter run anew along the straight line between the places
            where it was seen (OC-SORT's re-update).
        hold_size: an unseen track keeps its size, as far as the filter's `held` says.
        appearance: least cosine similarity, as 1 - distance / 2, that stands in for the overlap; None ignores
            embeddings.
        proximity: smallest IoU of a pair whose appearance counts.
        camera: the motion of the camera is applied to the tracks when it is known.
        max_age_s: a track ends when it was missed for longer, though never by the first frame that misses it:
            so low a frame rate still makes tracks.
        max_gap_s: time between two frames up to which tracks seen in the first are looked for in the second.
        n_init: a track is confirmed by this many detections in successive frames.
        in_a_row: only detections since the last miss count, for a confirmed track too.
        start_frames: in so many first frames tracks are confirmed at once.
        duplicate_overlap: of a seen and an unseen track with more IoU the younger ends; None keeps both.
        report_predicted_s: confirmed tracks missed for at most so long are reported where they are predicted.
        report_filtered: matched tracks are reported with the filter's smoother box, as by the published SORT,
            ByteTrack and BoT-SORT; False reports the detection's own, as OC-SORT does.
        max_tracks: bound of tracks alive. Above it tentative ones go first, then those missed longest.
    """

    motion: Literal["xysr", "xyah", "xywh"] = "xyah"
    high_score: float = 0.6
    low_score: float | None = 0.1
    new_score: float = 0.7
    match_overlap: float = 0.2
    low_overlap: float = 0.5
    tentative_overlap: float | None = 0.3
    recover_overlap: float | None = None
    fuse_score: bool = True
    low_recent_only: bool = True
    direction_weight: float = 0.0
    direction_s: float = 3 * REFERENCE_FRAME_S
    re_update: bool = False
    hold_size: bool = True
    appearance: float | None = None
    proximity: float = 0.5
    camera: bool = False
    max_age_s: float = 30 * REFERENCE_FRAME_S
    max_gap_s: float = 1.0
    n_init: int = 2
    in_a_row: bool = False
    start_frames: int = 1
    duplicate_overlap: float | None = 0.85
    report_predicted_s: float = 0.0
    report_filtered: bool = True
    max_tracks: int = 2000

    @classmethod
    def sort(cls) -> Self:
        """Return SORT (Bewley, Ge, Ott, Ramos, Upcroft: Simple Online and Realtime Tracking, 2016).

        What differs from the published code: boxes below the IoU threshold are left out before the assignment
        rather than after it, so they cannot spoil it. max_age 1 frame, min_hits 3, and the paper's least
        score of 0.5.
        """
        return cls(
            motion="xysr",
            high_score=0.5,
            low_score=None,
            new_score=0.5,
            match_overlap=0.3,
            tentative_overlap=None,
            fuse_score=False,
            hold_size=False,
            max_age_s=REFERENCE_FRAME_S,
            n_init=4,
            in_a_row=True,
            start_frames=3,
            duplicate_overlap=None,
        )

    @classmethod
    def bytetrack(cls) -> Self:
        """Return ByteTrack (Zhang et al.: Multi-Object Tracking by Associating Every Detection Box, 2022).

        What differs from the published code: tentative tracks are predicted like all others, where the code
        leaves them in place for a frame. Thresholds are the paper's 0.6, 0.1 and 0.7; track_buffer 30
        frames.
        """
        return cls()

    @classmethod
    def ocsort(cls) -> Self:
        """Return OC-SORT (Cao et al.: Observation-Centric SORT, 2023); `low_score` 0.1 adds its BYTE pass.

        What differs from the published code: as in `sort`, boxes below the IoU threshold are left out before
        the assignment; a re-update shows the new observation to the filter once (as in the paper), not twice;
        one of more than 30 missed frames takes longer steps. max_age 30 frames, min_hits 3, delta_t 3 frames,
        inertia 0.2, threshold 0.6.
        """
        return cls(
            motion="xysr",
            low_score=None,
            new_score=0.6,
            match_overlap=0.3,
            low_overlap=0.3,
            tentative_overlap=None,
            recover_overlap=0.3,
            fuse_score=False,
            low_recent_only=False,
            direction_weight=0.2,
            re_update=True,
            hold_size=False,
            n_init=4,
            in_a_row=True,
            start_frames=3,
            duplicate_overlap=None,
            report_filtered=False,
        )

    @classmethod
    def botsort(cls) -> Self:
        """Return BoT-SORT (Aharon, Orfaig, Bobrovsky: Robust Associations Multi-Pedestrian Tracking, 2022).

        What differs from the published code: what it says of ByteTrack; the camera's motion is given, not
        estimated; sizes are scaled by its mean zoom and the covariances keep to their blocks (exact without
        rotation), where the code turns (w, h) like (x, y). proximity_thresh 0.5, appearance_thresh 0.25 of
        half the cosine distance, smoothing 0.9. Without embeddings it is the paper's BoT-SORT, with them
        BoT-SORT-ReID.
        """
        return cls(motion="xywh", appearance=0.75, camera=True)

    @property
    def observation_centric(self) -> bool:
        """Whether the tracks must remember where they were seen."""
        return self.re_update or self.direction_weight > 0 or self.recover_overlap is not None
