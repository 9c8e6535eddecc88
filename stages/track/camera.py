"""How the camera moved since the picture before, from sparse optical flow on reduced luma."""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from pipeline.picture import Picture, U8Array
from stages.track.affine import (
    BoolArray,
    SimilarityFit,
    fit_all,
    fit_similarity,
    largest_shift,
    zoom,
)
from stages.track.boxes import FloatArray
from stages.track.landmarks import Landmarks, View, halved, inside

# Pictures are halved until they have no more pixels than this: 480 x 270 of 1080p, 320 x 180 of 720p.
_MAX_PIXELS = 480 * 270

# All lengths below are px of the reduced picture.
# A camera stands still while no corner of its picture moved this far from where it last stood, or no further
# than chance may show, at four standard errors.
_STILL_PX = 0.1
_SURE = 4.0
# It also does when this share of the landmarks, from all over the picture, is where it was: what else moves
# is traffic. A dashcam on a motorway sees up to 0.30 of its landmarks (far ones) move less than `_NEAR_PX`.
_STILL_SHARE = 0.35
_NEAR_PX = 0.25
_MIN_SPREAD = 0.4
# Landmarks that agree on a motion lie so near to it, and are at least this share and number. Of 308 pairs of
# unrelated pictures none had more than 4, or a share of 0.18, that agreed.
_AGREE_PX = 0.7
_AGREE_SHARE = 0.2
_MIN_LANDMARKS = 8
# How many groups of landmarks are compared; a smaller group is the camera's when it has this share of the
# largest one's number and moved this much less.
_GROUPS = 3
_CALM_SHARE = 0.4
_CALMER = 0.25

# Landmarks are looked for anew so often while the camera moves and while it stands, and when fewer agree than
# this share of what did at first: those of the ground leave a moving picture, those of followed cars stay.
_RENEW_MOVING_S = 0.5
_RENEW_STILL_S = 5.0
_RENEW_SHARE = 0.85
# Across longer gaps in time only "still" can be told.
_MAX_GAP_S = 1.0
# No camera does more than this from one picture to the next: it was a cut.
_MAX_ZOOM, _MAX_TURN = 1.25, math.radians(20)


class Verdict(StrEnum):
    """What became known of the camera between two pictures; all but STILL and MOVING mean: nothing."""

    STILL = "still"
    MOVING = "moving"
    START = "start"
    """The first picture, or the first of another size."""
    BLANK = "blank"
    """Too little structure outside the boxes: a blackout, fog, a lens that is covered."""
    LOST = "lost"
    """The landmarks disagree or are gone: a cut, or more motion than can be followed."""
    GAP = "gap"
    """The camera moved while no picture came for over a second."""


class CameraMotion:
    """Measures the motion of one camera, picture by picture. One instance serves one stream.

    A camera that stands costs one look at about a hundred patches. Only when these have left their places are
    they searched for (pyramidal Lucas-Kanade), and a shift, turn and zoom fitted on which most of them agree.
    A standing camera is compared with where it last stood, not with the picture before, so that slow motion
    adds up until it shows, and noise does not.

    Equal pictures give equal bytes, in any thread.

    Attributes:
        verdict: what the latest `update` found.
        confidence: share of the landmarks, 0..1, that agree with it; 0 when nothing is known.
    """

    def __init__(self) -> None:
        self.verdict = Verdict.START
        self.confidence = 0.0
        self._reference: Landmarks | None = None
        self._agreed_first = 0
        self._renewed_s = 0.0
        self._pts_s = -math.inf

    def update(
        self, picture: Picture, pts_s: float, moving: npt.NDArray[np.floating] | None = None
    ) -> FloatArray | None:
        """Take the next picture and return how the camera moved.

        Args:
            picture: of any size; only its luma is read.
            pts_s: media time in seconds, later than at the call before.
            moving: (M, 4) xyxy boxes, px, of objects that may move by themselves.

        Returns:
            The (2, 3) float64 map that takes a position in the previous picture to this one, in px of the
            full picture; None when the camera stands still or nothing is known, see `verdict`.

        Raises:
            ValueError: if time does not advance, or the boxes have another shape. The state is as before.
        """
        if not (math.isfinite(pts_s) and pts_s > self._pts_s):
            raise ValueError(f"time must advance: a picture at {pts_s} s after one at {self._pts_s} s")
        if moving is not None and (moving.ndim != 2 or moving.shape[1] != 4):
            raise ValueError(f"boxes are (M, 4) xyxy, got {moving.shape}")
        view, scale = _reduced(picture.luma())
        boxes = np.zeros((0, 4)) if moving is None else np.asarray(moving, np.float64) / scale - 0.5
        dt_s, self._pts_s = pts_s - self._pts_s, pts_s
        affine = self._follow(view, boxes, dt_s)
        return None if affine is None else _full_size(affine, scale)

    def _follow(self, view: View, boxes: FloatArray, dt_s: float) -> FloatArray | None:
        """Return the motion in reduced px, or None, and set the verdict."""
        reference = self._reference
        if reference is None or reference.view.luma.shape != view.luma.shape:
            self._begin(Verdict.START, view, boxes)
            return None
        use = ~inside(reference.points, boxes)
        if use.sum() < _MIN_LANDMARKS:
            self._begin(Verdict.BLANK, view, boxes)
            return None
        if (self.verdict is not Verdict.MOVING or dt_s > _MAX_GAP_S) and self._stands(
            reference, view, boxes, use
        ):
            return None
        if dt_s > _MAX_GAP_S:
            self._begin(Verdict.GAP, view, boxes)
            return None
        return self._moved(reference, view, boxes, use)

    def _stands(self, reference: Landmarks, view: View, boxes: FloatArray, use: BoolArray) -> bool:
        """Return whether enough landmarks are where they were, and set the verdict then."""
        shifts, there = reference.small_shifts(view)
        near = use & there & (np.hypot(*shifts.T) <= _NEAR_PX)
        count = int(near.sum())
        if count < max(_STILL_SHARE * use.sum(), _MIN_LANDMARKS) or not _spread(reference, near):
            return False
        if _significant(fit_all(reference.points, reference.points + shifts, near), view):
            return False
        self.verdict, self.confidence = Verdict.STILL, float(count / use.sum())
        if self._is_worn(count, _RENEW_STILL_S):
            self._renew(view, boxes)
        return True

    def _moved(
        self, reference: Landmarks, view: View, boxes: FloatArray, use: BoolArray
    ) -> FloatArray | None:
        """Search for the landmarks and return the motion most of them agree on."""
        positions, found = reference.search(view, use)
        fit = _agreed(reference, positions, found, int(use.sum()))
        if fit is None:
            positions, found = reference.search(view, use, reference.view.shift_to(view))
            fit = _agreed(reference, positions, found, int(use.sum()))
        if fit is None:
            self._begin(Verdict.LOST, view, boxes)
            return None
        count = int(fit.inliers.sum())
        moves = _significant(fit, view)
        self.verdict = Verdict.MOVING if moves else Verdict.STILL
        self.confidence = float(count / use.sum())
        if self._is_worn(count, _RENEW_MOVING_S):
            self._renew(view, boxes)
        elif moves:
            self._reference = Landmarks(view, np.rint(positions[found]).astype(np.intp), boxes)
        return fit.affine if moves else None

    def _is_worn(self, agreed: int, age_s: float) -> bool:
        """Return whether landmarks of which `agreed` were of use now should be replaced."""
        self._agreed_first = self._agreed_first or agreed
        return agreed < _RENEW_SHARE * self._agreed_first or self._pts_s - self._renewed_s >= age_s

    def _begin(self, verdict: Verdict, view: View, boxes: FloatArray) -> None:
        """Note that nothing is known, and begin again at this picture."""
        self._renew(view, boxes)
        self.verdict, self.confidence = verdict, 0.0

    def _renew(self, view: View, boxes: FloatArray) -> None:
        self._reference = Landmarks(view, avoid_xyxy=boxes)
        self._agreed_first, self._renewed_s = 0, self._pts_s


def _reduced(luma: U8Array) -> tuple[View, int]:
    """Return the picture small enough, without gaps between its rows, and by how much it was reduced."""
    scale = 1
    while luma.size > _MAX_PIXELS and min(luma.shape) > 1:
        luma, scale = halved(luma), 2 * scale
    # A picture that needs no reduction may be the decoder's own buffer, which must not be held.
    return View(luma if scale > 1 else luma.copy()), scale


def _full_size(affine: FloatArray, scale: int) -> FloatArray:
    """Return the map between reduced pictures as one between full ones.

    Pixel x of the reduced picture has its middle at scale * (x + 1/2) of the full one.
    """
    full = affine.copy()
    full[:, 2] = scale * (affine[:, 2] + 0.5 - affine[:, :2] @ np.array([0.5, 0.5]))
    return full


def _agreed(
    landmarks: Landmarks, positions: FloatArray, found: BoolArray, count: int
) -> SimilarityFit | None:
    """Return the camera's motion when enough of `count` landmarks agree on it, or None.

    The largest group that agrees is taken for the ground, unless a group not much smaller moves far less:
    cars can show more landmarks than the road they drive on.
    """
    size = landmarks.view.width, landmarks.view.height
    best, largest, left = None, 0, found
    for _ in range(_GROUPS):
        enough = max(_AGREE_SHARE * count, _CALM_SHARE * largest)
        fit = fit_similarity(landmarks.points, positions, left, _AGREE_PX) if left.sum() >= enough else None
        if fit is None:
            break
        members = int(fit.inliers.sum())
        largest, left = max(largest, members), left & ~fit.inliers
        if members < enough or not _possible(fit, landmarks):
            continue
        if best is None or largest_shift(fit.affine, *size) < _CALMER * largest_shift(best.affine, *size):
            best = fit
    return best


def _significant(fit: SimilarityFit, view: View) -> bool:
    """Return whether the fitted motion is neither too small to matter nor chance."""
    width, height = view.width, view.height
    error = math.hypot(fit.shift_error, fit.linear_error * math.hypot(width, height) / 2)
    return largest_shift(fit.affine, width, height) > max(_STILL_PX, _SURE * error)


def _possible(fit: SimilarityFit, landmarks: Landmarks) -> bool:
    """Return whether a camera can have done this between two pictures, and enough landmarks show it."""
    if fit.inliers.sum() < _MIN_LANDMARKS or not _spread(landmarks, fit.inliers):
        return False
    width, height = landmarks.view.width, landmarks.view.height
    middle = np.array([width / 2, height / 2, 1.0])
    shift = np.abs(fit.affine @ middle - middle[:2])
    turn = abs(math.atan2(fit.affine[1, 0], fit.affine[0, 0]))
    return bool(
        (shift < middle[:2]).all() and turn < _MAX_TURN and 1 / _MAX_ZOOM < zoom(fit.affine) < _MAX_ZOOM
    )


def _spread(landmarks: Landmarks, rows: BoolArray) -> bool:
    """Return whether the landmarks `rows` come from all over the picture rather than from one place.

    Their root mean square distance from their middle is compared with that of the whole picture's pixels.
    """
    width, height = landmarks.view.width, landmarks.view.height
    deviation = math.hypot(*landmarks.points[rows].std(axis=0))
    return deviation >= _MIN_SPREAD * math.hypot(width, height) / math.sqrt(12)
