"""DeepSORT's constant-velocity Kalman filter for all tracks at once, in closed form.

Wojke, Bewley, Paulus: Simple Online and Realtime Tracking with a Deep Association Metric (2017), section 2.1.
Transition, process noise, measurement noise and initial covariance never couple u, v, a and h. The 8 x 8
covariance therefore stays four independent 2 x 2 blocks for ever, one for each (position, velocity) pair, and
inverting the innovation covariance is a division.

A state is one (5, N, 4) float64 array: for N tracks and the components (u, v, a, h) the rows are
position, velocity, variance of the position, covariance of both, variance of the velocity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.track.boxes import FloatArray

REFERENCE_FRAME_S = 1 / 30
"""The frame time for which the paper's noises were chosen; velocities are per reference frame."""

# Standard deviations of the aspect ratio, which do not scale with the height (reference implementation).
_ASPECT_STD, _ASPECT_VELOCITY_STD, _ASPECT_MEASURED_STD = 1e-2, 1e-5, 1e-1


@dataclass(frozen=True, slots=True)
class ConstantVelocity:
    """The filter's two weights; all its methods are pure functions of states.

    Attributes:
        position_std: standard deviation of a position, as a share of the object's height.
        velocity_std: standard deviation of a velocity per reference frame, as a share of the height.
    """

    position_std: float = 1 / 20
    velocity_std: float = 1 / 160

    def initiate(self, xyah: FloatArray) -> FloatArray:
        """Return the (5, N, 4) state of objects seen once, at (N, 4) `xyah`, with unknown velocity."""
        state = np.zeros((5, *xyah.shape))
        state[0] = xyah
        state[2] = self._variance(xyah[:, 3], 2 * self.position_std, _ASPECT_STD)
        state[4] = self._variance(xyah[:, 3], 10 * self.velocity_std, _ASPECT_VELOCITY_STD)
        return state

    def predict(self, state: FloatArray, dt_s: float) -> FloatArray:
        """Return the state `dt_s` seconds later.

        The process noise grows in proportion to the elapsed time, so that a step of one reference frame is
        the paper's step exactly.
        """
        frames = dt_s / REFERENCE_FRAME_S
        position, velocity, variance, covariance, velocity_variance = state
        height = position[:, 3]
        ahead: FloatArray = np.empty_like(state)
        ahead[0] = position + frames * velocity
        ahead[1] = velocity
        ahead[2] = variance + frames * (2 * covariance + frames * velocity_variance)
        ahead[3] = covariance + frames * velocity_variance
        ahead[4] = velocity_variance
        ahead[2] += frames * self._variance(height, self.position_std, _ASPECT_STD)
        ahead[4] += frames * self._variance(height, self.velocity_std, _ASPECT_VELOCITY_STD)
        return ahead

    def update(self, state: FloatArray, xyah: FloatArray) -> FloatArray:
        """Return the state corrected by the measurement `xyah`, (N, 4), row by row."""
        position, velocity, variance, covariance, velocity_variance = state
        innovation = xyah - position
        spread = self.innovation_variance(state)
        gain, velocity_gain = variance / spread, covariance / spread
        after: FloatArray = np.empty_like(state)
        after[0] = position + gain * innovation
        after[1] = velocity + velocity_gain * innovation
        after[2] = variance - gain * variance
        after[3] = covariance - gain * covariance
        after[4] = velocity_variance - velocity_gain * covariance
        return after

    def innovation_variance(self, state: FloatArray) -> FloatArray:
        """Return (N, 4): how far, as a variance, a measurement may lie from the position."""
        noise = self._variance(state[0, :, 3], self.position_std, _ASPECT_MEASURED_STD)
        noise += state[2]
        return noise

    def gating_distance(self, state: FloatArray, xyah: FloatArray) -> FloatArray:
        """Return the squared Mahalanobis distance of row k of `xyah` to row k of `state` (equation 1)."""
        innovation = xyah - state[0]
        distance: FloatArray = (innovation * innovation / self.innovation_variance(state)).sum(axis=1)
        return distance

    @staticmethod
    def _variance(height: FloatArray, weight: float, aspect_std: float) -> FloatArray:
        """Return (N, 4) variances of (u, v, a, h): (weight x height)^2, but a constant for the aspect."""
        variance = np.empty((len(height), 4))
        variance[:] = np.square(weight * height)[:, None]
        variance[:, 2] = aspect_std * aspect_std
        return variance
