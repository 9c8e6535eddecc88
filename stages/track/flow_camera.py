"""How the camera moved, from the optical flow that a stage before has put on the frame."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError
from pipeline.motion import MotionField
from stages.track.affine import BoolArray, SimilarityFit, fit_similarity, identity, largest_shift
from stages.track.boxes import FloatArray
from stages.track.landmarks import inside

# As in `camera`, but as shares of the picture's diagonal, since the field is in px of the full picture.
_AGREE = 0.7 / 551
_STILL = 0.1 / 551
_SURE = 4.0
_AGREE_SHARE = 0.2
_MIN_POINTS = 8
_MIN_SPREAD = 0.4

# For so long no flow may come before it is taken to be missing; across longer steps there is none.
_PATIENCE_S = 5.0
_LONGEST_STEP_S = 1.0
# The flow is that of the whole step when its time differs by no more.
_SAME_STEP = 0.1


class FlowCamera:
    """The motion of one camera from the flow of its pictures. One instance serves one stream.

    It saves the search of `CameraMotion` where a stage `flow` runs anyway; slow motion, below a tenth of a
    pixel of the reduced picture between two pictures, is not seen, where `CameraMotion` adds it up.
    """

    def __init__(self) -> None:
        self._pts_s: float | None = None
        self._without_s = 0.0

    def update(
        self,
        field: MotionField | None,
        pts_s: float,
        size: tuple[int, int],
        moving: npt.NDArray[np.floating],
    ) -> FloatArray | None:
        """Return the (2, 3) map from the previous picture to this one, px; None where nothing is known.

        Args:
            field: the frame's flow, None where it was not measured.
            pts_s: media time in seconds.
            size: (width, height) of the picture, px.
            moving: (M, 4) xyxy boxes, px, of objects that may move by themselves.

        Raises:
            ConfigError: if the flow skips pictures, or none comes for 5 s.
        """
        step_s = 0.0 if self._pts_s is None else pts_s - self._pts_s
        self._pts_s = pts_s
        if field is None:
            self._without_s += step_s if 0 < step_s <= _LONGEST_STEP_S else 0.0
            if self._without_s > _PATIENCE_S:
                raise ConfigError("'camera_motion: flow' needs a stage 'flow' before 'track'")
            return None
        self._without_s = 0.0
        if field.dt_s > 1.5 * step_s > 0:
            raise ConfigError("'camera_motion: flow' needs the flow of all pictures; leave its 'every_s' out")
        # Of a picture that was lost on the way, another stage has seen more than the tracker.
        if abs(field.dt_s - step_s) > _SAME_STEP * step_s:
            return None
        return camera_of(field, size, moving)


def camera_of(
    field: MotionField, size: tuple[int, int], moving: npt.NDArray[np.floating]
) -> FloatArray | None:
    """Return the similarity that most points outside the boxes agree on, the identity if it is chance.

    Args:
        field: the flow.
        size: (width, height) of the picture, px.
        moving: (M, 4) xyxy boxes, px, of objects that may move by themselves.

    Returns:
        The (2, 3) float64 map from the earlier picture to the later one, None when too few points agree.
    """
    use = ~inside(field.points, np.asarray(moving, np.float64))
    count = int(use.sum())
    if count < _MIN_POINTS:
        return None
    diagonal = math.hypot(*size)
    fit = fit_similarity(field.origins, field.points.astype(np.float64), use, _AGREE * diagonal)
    if fit is None or not _trustworthy(fit, field, size, count):
        return None
    error = math.hypot(fit.shift_error, fit.linear_error * diagonal / 2)
    moves = largest_shift(fit.affine, *size) > max(_STILL * diagonal, _SURE * error)
    return fit.affine if moves else identity()


def _trustworthy(fit: SimilarityFit, field: MotionField, size: tuple[int, int], count: int) -> bool:
    """Return whether enough points agree, and from all over the picture."""
    inliers: BoolArray = fit.inliers
    if inliers.sum() < max(_AGREE_SHARE * count, _MIN_POINTS):
        return False
    deviation = math.hypot(*field.points[inliers].std(axis=0))
    return deviation >= _MIN_SPREAD * math.hypot(*size) / math.sqrt(12)
