"""DeepSORT's constant-velocity Kalman filter for all tracks at once, in closed form.

Wojke, Bewley, Paulus: Simple Online and Realtime Tracking with a Deep Association Metric (2017), section 2.1.
Transition, process noise, measurement noise and initial covariance never couple u, v, a and h. The 8 x 8
covariance therefore stays four independent 2 x 2 blocks for ever, one for each (position, velocity) pair, and
inverting the innovation covariance is a division.

A state is one (5, N, 4) float64 array: for N tracks and the components (u, v, a, h) the rows are
position, velocity, variance of the position, covariance of both, variance of the velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray
from stages.track.kernels import replaceable

REFERENCE_FRAME_S = 1 / 30
"""The frame time for which the paper's noises were chosen; velocities are per reference frame."""

# Standard deviations of the aspect ratio, which do not scale with the height (reference implementation).
_ASPECT_STD, _ASPECT_VELOCITY_STD, _ASPECT_MEASURED_STD = 1e-2, 1e-5, 1e-1
# Variances of (u, v, h) grow with the height squared, that of the aspect ratio a does not.
_SCALES = np.array([1.0, 1.0, 0.0, 1.0])
# What is known of an object seen once: a position to twice, a velocity to ten times the usual deviation.
_FIRST = np.array([4.0, 100.0])[:, None, None]


@dataclass(frozen=True, slots=True)
class ConstantVelocity:
    """The filter's two weights; all its methods are pure functions of states.

    Attributes:
        position_std: standard deviation of a position, as a share of the object's height.
        velocity_std: standard deviation of a velocity per reference frame, as a share of the height.
    """

    position_std: float = 1 / 20
    velocity_std: float = 1 / 160
    # Noise variances are the first of these two times the height squared, plus the second.
    _process: FloatArray = field(init=False, repr=False, compare=False)
    _measured: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        weights = np.square([[[self.position_std]], [[self.velocity_std]]])
        aspects = np.square([[[_ASPECT_STD]], [[_ASPECT_VELOCITY_STD]]])
        object.__setattr__(self, "_process", np.array([weights * _SCALES, aspects * (1 - _SCALES)]))
        measured = [self.position_std**2 * _SCALES, _ASPECT_MEASURED_STD**2 * (1 - _SCALES)]
        object.__setattr__(self, "_measured", np.array(measured))

    def initiate(self, xyah: FloatArray) -> FloatArray:
        """Return the (5, N, 4) state of objects seen once, at (N, 4) `xyah`, with unknown velocity."""
        state = np.zeros((5, *xyah.shape))
        state[0] = xyah
        scale, aspect = self._process
        state[2::2] = _squared_height(xyah) * (_FIRST * scale) + aspect
        return state

    def predict(self, state: FloatArray, dt_s: float, out: FloatArray | None = None) -> FloatArray:
        """Return the state `dt_s` seconds later.

        The process noise grows in proportion to the elapsed time, so that a step of one reference frame is
        the paper's step exactly.

        Args:
            state: (5, N, 4).
            dt_s: elapsed time.
            out: where to put the result; may be `state` itself.
        """
        frames = dt_s / REFERENCE_FRAME_S
        if out is None:
            out = state.copy()
        elif out is not state:
            out[...] = state
        advance(out, self._process, frames)
        return out

    def update(
        self,
        state: FloatArray,
        xyah: FloatArray,
        *,
        seen: npt.NDArray[np.bool_] | None = None,
        spread: FloatArray | None = None,
        out: FloatArray | None = None,
    ) -> FloatArray:
        """Return the state corrected by the measurement `xyah`, (N, 4), row by row.

        Args:
            state: (5, N, 4).
            xyah: the measurements.
            seen: (N,) the rows to correct; the others stay, and what `xyah` has there, finite, is not used.
                None corrects all.
            spread: `innovation_variance(state)`, where it is known already.
            out: where to put the result; may be `state` itself.
        """
        if out is None:
            out = state.copy()
        elif out is not state:
            out[...] = state
        rows = None if seen is None else seen.view(np.uint8)
        amend(out, xyah, self.innovation_variance(out) if spread is None else spread, rows)
        return out

    def innovation_variance(self, state: FloatArray) -> FloatArray:
        """Return (N, 4): how far, as a variance, a measurement may lie from the position."""
        return spread_of(state, self._measured)

    def gating_distance(self, state: FloatArray, xyah: FloatArray) -> FloatArray:
        """Return the squared Mahalanobis distance of row k of `xyah` to row k of `state` (equation 1)."""
        return squared_distance(state[0].T, self.innovation_variance(state).T, xyah.T)


@replaceable
def advance(state: FloatArray, process: FloatArray, frames: float) -> None:
    """Move (5, N, 4) states on by so many reference frames, in place.

    `process`, (2, 2, 1, 4): the noise variances of position and velocity in one frame are the first times the
    height squared plus the second.
    """
    scale, aspect = frames * process
    noise = _squared_height(state[0]) * scale
    noise += aspect
    # Rows 1 and 4, the velocity and its variance, move rows 0 and 3, the position and the covariance.
    moved = frames * state[1::3]
    growth = 2 * state[3]
    growth += moved[1]
    growth *= frames
    state[2] += growth
    state[::3] += moved
    state[2::2] += noise


@replaceable
def amend(
    state: FloatArray, xyah: FloatArray, spread: FloatArray, seen: npt.NDArray[np.uint8] | None
) -> None:
    """Correct (5, N, 4) states by (N, 4) measurements, in place.

    Args:
        state: what to correct.
        xyah: the measurements.
        spread: (N, 4) innovation variances.
        seen: (N,) 1 for the rows to correct and 0 for others, or None for all.
    """
    gains = state[2:4] / spread
    if seen is not None:
        gains *= seen[:, None]
    correction = gains * (xyah - state[0])
    less = gains * state[3]
    state[:2] += correction
    state[2] -= gains[0] * state[2]
    state[3:] -= less


@replaceable
def spread_of(state: FloatArray, measured: FloatArray) -> FloatArray:
    """Return the (N, 4) innovation variances of (5, N, 4) states.

    `measured`, (2, 4): the variances of measurements are the first times the height squared plus the second.
    """
    scale, aspect = measured
    spread: FloatArray = _squared_height(state[0]) * scale
    spread += aspect
    spread += state[2]
    return spread


def squared_distance(position: FloatArray, spread: FloatArray, xyah: FloatArray) -> FloatArray:
    """Return the squared Mahalanobis distance from a position with a variance `spread` to a measurement.

    Components come first, so that (4, N, 1) and (4, 1, M) give all (N, M) distances and (4, P) twice give P.
    """
    innovation = xyah - position
    innovation *= innovation
    innovation /= spread
    distance: FloatArray = np.add.reduce(innovation)
    return distance


def _squared_height(position: FloatArray) -> FloatArray:
    """Return (N, 1) the squared heights of (N, 4) positions."""
    height = position[:, 3:]
    return height * height
