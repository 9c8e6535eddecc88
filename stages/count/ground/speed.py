"""Speeds on the ground from positions over time, with honest errors: a library without the engine.

A straight line is fitted to the positions of the last second, so the speed is the mean over it, whatever the
frame rate and whatever is missing in between. Its error comes from

- the box: how far its anchor strays, as the residuals of the fit tell. Boxes err alike for a while, which a
  fit's residuals cannot show, so the errors are taken as correlated in time;
- the calibration, which is the same error at all positions and does not average out;
- boxes that grow or shrink more than perspective makes them: of an object that comes into the picture or from
  behind another, or that turns, no point of the box moves as the object does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.count.geometry import F64Array
from stages.count.ground.plane import Reading
from stages.count.seen import Speed

BoolArray = npt.NDArray[np.bool_]

MOST_SAMPLES = 32
"""Positions that are kept of an object, evenly over the window; more say little that is new."""
LEAST_SAMPLES = 3

_SLOW_SHARE = 0.5
"""Share of a box's error (variance) that lasts for the correlation time; the rest is new in every picture.

Of Faster R-CNN's boxes on the six MOTChallenge 2015 sequences, 0.3 to 0.6.
"""
_PRIOR_FREEDOM = 8.0
"""The stated error counts like so many residuals."""
_HUBER = 2.0
_TREMBLING = 1.0
"""Growth counts as far as it exceeds so many variances of what chance makes of it."""
_LOOKS = 10
"""Speeds are worked out so many times in a window: they are means over it and hardly change in between."""
_KMH = 3.6
_CERTAIN = 3.0
"""From so many standard deviations on an object surely moves."""
_ROUND = 2.448 / 1.960
"""95 % of a round cloud in the plane, over 95 % in one direction: where the direction is unknown."""


class Estimate(NamedTuple):
    """The velocity of M objects.

    Attributes:
        kmh: (M,) speed, NaN where there are too few positions.
        error_kmh: (M,) half width of its 95 % interval.
        heading_deg: (M,) degrees clockwise from the y axis, 0..360.
    """

    kmh: F64Array
    error_kmh: F64Array
    heading_deg: F64Array


class Speedometer:
    """Keeps the latest positions of each object and tells speeds.

    Args:
        parameters: (8, 8) covariance of the calibration, `Plane.parameters`.
        window_s: seconds of media time over which a speed is the mean.
        correlation_s: for how long a box errs in the same direction.
    """

    def __init__(self, parameters: F64Array, *, window_s: float = 1.0, correlation_s: float = 0.4) -> None:
        self._parameters = parameters
        self._window_s = window_s
        self._correlation_s = correlation_s
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._samples = _Samples(16)
        self._looked_s = -np.inf
        self._speeds: dict[int, Speed] = {}

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._slots)

    def update(
        self, time_s: float, ids: Sequence[int], reading: Reading, error_px: F64Array, sides_px: F64Array
    ) -> dict[int, Speed]:
        """Take positions observed at `time_s` and return these objects' speeds.

        Args:
            time_s: media time, never less than before.
            ids: (N,) of the objects whose position is known now, each once.
            reading: their positions, `Plane.read`; finite.
            error_px: (N,) standard deviation of their points in the picture, px.
            sides_px: (N, 2) width and height of their boxes, px.

        Returns:
            By id; without those that were seen too seldom.
        """
        if not ids:
            return {}
        slots = np.array([self._slot(object_id) for object_id in ids])
        self._samples.add(slots, time_s, reading, error_px, sides_px, self._window_s / MOST_SAMPLES)
        if time_s - self._looked_s >= self._window_s / _LOOKS * (1 - 1e-6):
            self._looked_s = time_s
            self._speeds = self._told(ids, self._estimate(slots, time_s))
        return {object_id: self._speeds[object_id] for object_id in ids if object_id in self._speeds}

    def _told(self, ids: Sequence[int], found: Estimate) -> dict[int, Speed]:
        return {
            object_id: Speed(kmh, error, heading)
            for object_id, kmh, error, heading in zip(
                ids, *(column.tolist() for column in found), strict=True
            )
            if kmh == kmh
        }

    def forget(self, ids: Iterable[int]) -> None:
        """Drop what is known of these objects; unknown ids do not matter."""
        for object_id in ids:
            slot = self._slots.pop(object_id, None)
            if slot is not None:
                self._free.append(slot)
            self._speeds.pop(object_id, None)

    def clear(self) -> None:
        """Drop everything; media time may begin anew."""
        self.forget(list(self._slots))
        self._looked_s = -np.inf

    def _slot(self, object_id: int) -> int:
        slot = self._slots.get(object_id)
        if slot is None:
            if not self._free:
                first, size = len(self._slots), self._samples.size
                if first == size:
                    self._samples.grow()
                self._free = list(range(self._samples.size - 1, first - 1, -1))
            slot = self._slots[object_id] = self._free.pop()
            self._samples.empty(slot)
        return slot

    def _estimate(self, slots: npt.NDArray[np.int64], time_s: float) -> Estimate:
        samples = self._samples
        since = time_s - samples.time_s[slots]
        valid = since <= self._window_s * (1 + 1e-9)
        since = np.where(valid, since, 0.0)
        number = valid.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = self._fitted(slots, -since, valid, number)
        estimate.kmh[number < LEAST_SAMPLES] = np.nan
        return estimate

    def _fitted(
        self, slots: npt.NDArray[np.int64], time_s: F64Array, valid: BoolArray, number: npt.NDArray[np.int64]
    ) -> Estimate:
        samples = self._samples
        metres, spread = samples.metres[slots], samples.spread[slots]
        weight = np.where(valid, samples.weight[slots], 0.0)
        narrow = samples.narrow[slots]
        for again in range(3):
            share, slope, lag = _line(weight, time_s)
            velocity = np.einsum("mk,mkc->mc", slope, metres)
            middle = np.einsum("mk,mkc->mc", share, metres)
            off = metres - middle[:, None] - lag[..., None] * velocity[:, None]
            strayed = np.hypot(*np.moveaxis(narrow @ off[..., None], 2, 0)[..., 0]) * valid
            if again < 2:
                weight = weight * _trust(strayed, valid, number)
        alike = np.exp(-np.abs(time_s[:, :, None] - time_s[:, None]) / max(self._correlation_s, 1e-9))
        alike *= valid[:, :, None] & valid[:, None]
        scale2, freedom = _scale(strayed, share, slope, lag, alike, number)
        by_box = slope[..., None, None] * spread
        slow = (alike @ by_box.reshape(*by_box.shape[:2], 4)).reshape(by_box.shape)
        mixed = (1 - _SLOW_SHARE) * by_box + _SLOW_SHARE * slow
        covariance = scale2[:, None, None] * (by_box @ mixed.swapaxes(2, 3)).sum(axis=1)
        by_fit = np.einsum("mk,mkcp->mcp", slope, samples.by_fit[slots])
        covariance += by_fit @ self._parameters @ by_fit.swapaxes(1, 2)
        growth = np.einsum("mk,mkc->mc", slope, samples.sides_m[slots])
        covariance += _by_growth(growth, np.einsum("mk,mkcp->mcp", share, spread), covariance)
        return _summed_up(velocity, covariance, freedom)


class _Samples:
    """Rings of the latest positions of each slot, as arrays."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.time_s: F64Array = np.full((size, MOST_SAMPLES), -np.inf)
        self.metres: F64Array = np.zeros((size, MOST_SAMPLES, 2))
        self.spread: F64Array = np.tile(np.eye(2), (size, MOST_SAMPLES, 1, 1))
        self.narrow: F64Array = self.spread.copy()
        self.weight: F64Array = np.zeros((size, MOST_SAMPLES))
        self.sides_m: F64Array = np.zeros((size, MOST_SAMPLES, 2))
        self.by_fit: F64Array = np.zeros((size, MOST_SAMPLES, 2, 8))
        self.latest_s: F64Array = np.full(size, -np.inf)
        self.place: npt.NDArray[np.int64] = np.zeros(size, np.int64)

    def grow(self) -> None:
        more = _Samples(self.size)
        for name, column in vars(more).items():
            if name != "size":
                setattr(self, name, np.concatenate([getattr(self, name), column]))
        self.size *= 2

    def empty(self, slot: int) -> None:
        self.time_s[slot] = self.latest_s[slot] = -np.inf

    def add(
        self,
        slots: npt.NDArray[np.int64],
        time_s: float,
        reading: Reading,
        error_px: F64Array,
        sides_px: F64Array,
        spacing_s: float,
    ) -> None:
        due = time_s - self.latest_s[slots] >= spacing_s * (1 - 1e-6)
        chosen = slots[due]
        place = self.place[chosen]
        spread = reading.by_px[due] * error_px[due, None, None]
        self.time_s[chosen, place] = self.latest_s[chosen] = time_s
        self.metres[chosen, place] = reading.metres[due]
        self.spread[chosen, place] = spread
        self.narrow[chosen, place] = np.linalg.inv(spread)
        self.weight[chosen, place] = 1 / (spread**2).sum(axis=(1, 2))
        across = np.hypot(*reading.by_px[due, :, 0].T)  # m per px, sideways, where the object stands
        self.sides_m[chosen, place] = sides_px[due] * across[:, None]
        self.by_fit[chosen, place] = reading.by_fit[due]
        self.place[chosen] = (place + 1) % MOST_SAMPLES


def _line(weight: F64Array, time_s: F64Array) -> tuple[F64Array, F64Array, F64Array]:
    """Return each position's share in the mean position and in the velocity, and its time from the mean."""
    share = weight / weight.sum(axis=1, keepdims=True)
    lag = time_s - (share * time_s).sum(axis=1, keepdims=True)
    slope = share * lag
    slope /= (slope * lag).sum(axis=1, keepdims=True)
    return share, slope, lag


def _trust(strayed: F64Array, valid: BoolArray, number: npt.NDArray[np.int64]) -> F64Array:
    """Return weights after Huber (1964), the scale taken from the median of the residuals' lengths."""
    ordered = np.sort(np.where(valid, strayed, np.inf), axis=1)
    middle = np.take_along_axis(ordered, (number // 2)[:, None].clip(max=strayed.shape[1] - 1), axis=1)
    limit = _HUBER * middle / np.sqrt(2 * np.log(2)) + 1e-12
    return np.asarray(np.minimum(1.0, limit / np.maximum(strayed, 1e-12)))


def _scale(
    strayed: F64Array,
    share: F64Array,
    slope: F64Array,
    lag: F64Array,
    alike: F64Array,
    number: npt.NDArray[np.int64],
) -> tuple[F64Array, F64Array]:
    """Return (true error / stated error)^2 as the residuals tell, and the degrees of freedom behind it.

    A fit takes up a part of the errors, more of those that are alike for a while: of the residuals' sum of
    squares n - tr(H R) is left, H being the hat matrix and R the errors' correlation.
    """
    own = (share + lag * slope).sum(axis=1)
    shared = np.einsum("mij,mj->m", alike, share) + np.einsum("mi,mij,mj->m", lag, alike, slope)
    taken = (1 - _SLOW_SHARE) * own + _SLOW_SHARE * shared
    freedom = 2 * (number - taken).clip(min=0.0)
    squares = (strayed**2).sum(axis=1)
    return (_PRIOR_FREEDOM + squares) / (_PRIOR_FREEDOM + freedom), _PRIOR_FREEDOM + freedom


def _by_growth(growth: F64Array, spread: F64Array, covariance: F64Array) -> F64Array:
    """Return the covariance (M, 2, 2) of velocities because of boxes that grow more than they tremble.

    When one side of a box moves by itself, its middle moves by half of that, and the side by all of it or not
    at all.

    Args:
        growth: (M, 2) m/s, of width and height as they would be where the object stands.
        spread: (M, 2, 2) m, how positions move with errors to the right and down in the picture.
        covariance: (M, 2, 2) of the velocities, without this.
    """
    added = np.zeros_like(covariance)
    across = np.hypot(spread[:, 0, 0], spread[:, 1, 0])
    for side in range(2):
        way = spread[:, :, side] / across[:, None]
        reach = (way**2).sum(axis=1)
        trembling = np.einsum("mi,mij,mj->m", way, covariance, way) / reach**2
        excess = ((growth[:, side] / 2) ** 2 - _TREMBLING * trembling).clip(min=0.0)
        added += excess[:, None, None] * way[:, :, None] * way[:, None]
    return added


def _summed_up(velocity: F64Array, covariance: F64Array, freedom: F64Array) -> Estimate:
    """Return speeds and their errors from velocities in m/s and their covariances."""
    length = np.hypot(*velocity.T)
    ahead = velocity / np.where(length > 0, length, 1.0)[:, None]
    ahead[length == 0] = (0.0, 1.0)
    along = np.sqrt(np.einsum("mi,mij,mj->m", ahead, covariance, ahead).clip(min=0.0))
    across2 = (np.trace(covariance, axis1=1, axis2=2) - along**2).clip(min=0.0)
    # Errors across the way only ever add to its length.
    speed = np.sqrt((length**2 - across2).clip(min=0.0))
    from scipy.special import stdtrit  # some MB, where speeds are wanted

    quantile = stdtrit(freedom, 0.975)
    moving = speed > _CERTAIN * np.sqrt(along**2 + across2)
    error = quantile * np.where(moving, along, _ROUND * np.sqrt(np.maximum(along**2, across2)))
    heading = np.degrees(np.arctan2(velocity[:, 0], velocity[:, 1])) % 360.0
    return Estimate(speed * _KMH, error * _KMH, heading)
