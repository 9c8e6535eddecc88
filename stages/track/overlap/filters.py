"""The constant-velocity Kalman filters of the overlap trackers, for all tracks at once.

SORT, ByteTrack and BoT-SORT differ in what they measure of a box and in their noises, not in the filter. None
of them couples one component with another, so each state is four independent (position, velocity) pairs, as
in `stages.track.kalman`, and has the same form: (5, N, 4) float64 with the rows position, velocity, variance
of the position, covariance of both, variance of the velocity. Velocities are per reference frame of 1/30 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stages.track.boxes import FloatArray

# Noises that are shares of a size need a size.
_MIN_SIDE_PX = 1.0


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """What is measured of a box, how noisy that is, and the filter's three steps.

    All variances are (4,), one for each component, in units of `unit`.

    Attributes:
        measure: (N, 4) `xyxy` to (N, 4) measurements; the first two components are the centre.
        box: (N, 4) measurements to (N, 4) `xyxy`; sizes that are not positive become 0.
        unit: (N, 4) measurements to the squared size, (N, 4), that variances are multiples of.
        measured: variance of a measurement.
        moving: variance that a position gains in a reference frame.
        changing: variance that a velocity gains in a reference frame.
        first: variance of the first position.
        first_velocity: variance of the velocity of an object seen once.
        scaling: power of a zoom's factor by which the last two components grow.
        held: columns of the sizes; an unseen object can be made to keep them.
    """

    measure: Callable[[FloatArray], FloatArray]
    box: Callable[[FloatArray], FloatArray]
    unit: Callable[[FloatArray], FloatArray]
    measured: FloatArray
    moving: FloatArray
    changing: FloatArray
    first: FloatArray
    first_velocity: FloatArray
    scaling: FloatArray
    held: slice

    def initiate(self, measured: FloatArray) -> FloatArray:
        """Return the (5, N, 4) state of objects seen once, at (N, 4) `measured`."""
        unit = self.unit(measured)
        state = np.zeros((5, *measured.shape))
        state[0] = measured
        state[2] = unit * self.first
        state[4] = unit * self.first_velocity
        return state

    def predict(self, state: FloatArray, frames: float | FloatArray) -> FloatArray:
        """Return the state so many reference frames later; one number for all tracks, or (N, 1).

        Noise grows in proportion to time: a step of one reference frame is the published step exactly.
        """
        unit = self.unit(state[0])
        ahead = state.copy()
        gained = frames * state[4]
        ahead[0] += frames * state[1]
        ahead[3] += gained
        ahead[2] += frames * (state[3] + ahead[3])
        ahead[2] += unit * (frames * self.moving)
        ahead[4] += unit * (frames * self.changing)
        return ahead

    def update(self, state: FloatArray, measured: FloatArray) -> FloatArray:
        """Return the state corrected by (N, 4) `measured`, row by row."""
        spread = self.unit(state[0]) * self.measured
        spread += state[2]
        gain = state[2:4] / spread
        after = state.copy()
        after[:2] += gain * (measured - state[0])
        after[2:4] -= gain * state[2]
        after[4] -= gain[1] * state[3]
        return after

    def shrink_no_further(self, state: FloatArray, frames: float) -> None:
        """Stop, in place, areas from shrinking that would vanish within `frames` (SORT's code does)."""
        vanishing = state[0, :, 2] + frames * state[1, :, 2] <= 0
        if vanishing.any():
            state[1, vanishing, 2] = 0.0

    def warp(self, state: FloatArray, camera: FloatArray) -> None:
        """Move the state, in place, into the picture of a camera that moved by the (2, 3) affine.

        Centres and their velocities are mapped as they are, sizes scaled by the affine's mean zoom. Of the
        mapped covariance the blocks are kept; what a rotation would couple between x and y is left out.
        """
        linear = camera[:, :2]
        squared = linear * linear
        state[:2, :, :2] = state[:2, :, :2] @ linear.T
        state[0, :, :2] += camera[:, 2]
        state[2:, :, :2] = state[2:, :, :2] @ squared.T
        zoom = zoom_of(camera) ** self.scaling
        state[:2, :, 2:] *= zoom
        state[2:, :, 2:] *= zoom * zoom


def zoom_of(camera: FloatArray) -> float:
    """Return how much larger everything becomes under the (2, 3) affine, as a factor of lengths."""
    return float(np.sqrt(np.abs(camera[0, 0] * camera[1, 1] - camera[0, 1] * camera[1, 0])))


def warp_boxes(xyxy: FloatArray, camera: FloatArray) -> FloatArray:
    """Return (N, 4) boxes as seen after the camera moved: centres mapped, sizes scaled by the mean zoom."""
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2 @ camera[:, :2].T + camera[:, 2]
    half = (xyxy[:, 2:] - xyxy[:, :2]) * (zoom_of(camera) / 2)
    return np.concatenate([centre - half, centre + half], axis=1)


def xyxy_to_xywh(xyxy: FloatArray) -> FloatArray:
    """Convert (N, 4) corners to centre, width and height."""
    xywh = np.empty_like(xyxy)
    np.subtract(xyxy[:, 2:], xyxy[:, :2], out=xywh[:, 2:])
    np.add(xyxy[:, 2:], xyxy[:, :2], out=xywh[:, :2])
    xywh[:, :2] *= 0.5
    return xywh


def xywh_to_xyxy(xywh: FloatArray) -> FloatArray:
    """Convert (N, 4) centre, width and height to corners; negative sizes become 0."""
    half = np.maximum(xywh[:, 2:], 0.0)
    half *= 0.5
    xyxy = np.empty_like(xywh)
    np.subtract(xywh[:, :2], half, out=xyxy[:, :2])
    np.add(xywh[:, :2], half, out=xyxy[:, 2:])
    return xyxy


def _to_xysr(xyxy: FloatArray) -> FloatArray:
    xysr = xyxy_to_xywh(xyxy)
    width, height = xysr[:, 2].copy(), xysr[:, 3].copy()
    np.multiply(width, height, out=xysr[:, 2])
    np.divide(width, height, out=xysr[:, 3])
    return xysr


def _from_xysr(xysr: FloatArray) -> FloatArray:
    area, ratio = np.maximum(xysr[:, 2:], 0.0).T
    xywh = xysr.copy()
    xywh[:, 2] = np.sqrt(area * ratio)
    xywh[:, 3] = np.sqrt(np.divide(area, ratio, out=np.zeros_like(area), where=ratio > 0))
    return xywh_to_xyxy(xywh)


def _to_xyah(xyxy: FloatArray) -> FloatArray:
    xyah = xyxy_to_xywh(xyxy)
    xyah[:, 2] /= xyah[:, 3]
    return xyah


def _from_xyah(xyah: FloatArray) -> FloatArray:
    xywh = xyah.copy()
    xywh[:, 2] *= np.maximum(xyah[:, 3], 0.0)
    return xywh_to_xyxy(xywh)


def _pixels(xysr: FloatArray) -> FloatArray:
    return np.ones((len(xysr), 1))


def _heights(xyah: FloatArray) -> FloatArray:
    unit = np.empty_like(xyah)
    height = np.maximum(xyah[:, 3:], _MIN_SIDE_PX)
    unit[:] = height * height
    unit[:, 2] = 1.0
    return unit


def _sides(xywh: FloatArray) -> FloatArray:
    side = np.maximum(xywh[:, 2:], _MIN_SIDE_PX)
    side *= side
    return np.concatenate([side, side], axis=1)


_P, _V = (1 / 20) ** 2, (1 / 160) ** 2

XYSR = BoxFilter(
    measure=_to_xysr,
    box=_from_xysr,
    unit=_pixels,
    measured=np.array([1.0, 1.0, 10.0, 10.0]),
    moving=np.ones(4),
    changing=np.array([0.01, 0.01, 0.0001, 0.0]),
    first=np.full(4, 10.0),
    first_velocity=np.array([1e4, 1e4, 1e4, 0.0]),
    scaling=np.array([2.0, 0.0]),
    held=slice(2, 3),
)
"""SORT and OC-SORT: centre, area, aspect ratio; noises in pixels; the ratio has no velocity."""

XYAH = BoxFilter(
    measure=_to_xyah,
    box=_from_xyah,
    unit=_heights,
    measured=np.array([_P, _P, 1e-2, _P]),
    moving=np.array([_P, _P, 1e-4, _P]),
    changing=np.array([_V, _V, 1e-10, _V]),
    first=np.array([4 * _P, 4 * _P, 1e-4, 4 * _P]),
    first_velocity=np.array([100 * _V, 100 * _V, 1e-10, 100 * _V]),
    scaling=np.array([0.0, 1.0]),
    held=slice(3, 4),
)
"""DeepSORT and ByteTrack: centre, aspect ratio, height; noises as shares of the height."""

XYWH = BoxFilter(
    measure=xyxy_to_xywh,
    box=xywh_to_xyxy,
    unit=_sides,
    measured=np.full(4, _P),
    moving=np.full(4, _P),
    changing=np.full(4, _V),
    first=np.full(4, 4 * _P),
    first_velocity=np.full(4, 100 * _V),
    scaling=np.array([1.0, 1.0]),
    held=slice(2, 4),
)
"""BoT-SORT: centre, width, height; noises as shares of the width for x and w, of the height for y and h."""

FILTERS = {"xysr": XYSR, "xyah": XYAH, "xywh": XYWH}
"""Name of the measurement -> its filter."""
