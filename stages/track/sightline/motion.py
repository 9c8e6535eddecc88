"""Where objects will be: a constant-velocity Kalman filter for all at once, and the likelihood of a pair.

The state of a track is its centre (x, y) in px with a velocity in px/s, and the logarithm of its height.
Noises scale with the height, x and y share one variance, and the size drifts without a velocity, so that the
covariance is one 2 x 2 block (position, velocity) and one number (log height): closed form throughout.

The filter assumes calm motion, as that of people and cars is (measured on MOTChallenge 2015: a prediction
over one frame errs by 0.02 to 0.04 heights, over half a second by 0.08). What is not calm is left to two
things: the likelihood has heavy tails (Student's t), and a track that swerves gets a larger process noise for
a while (`RESTLESS`), so that it follows the next turn.
"""

from __future__ import annotations

import math

import numpy as np

from stages.track.boxes import FloatArray, IntArray
from stages.track.kernels import replaceable
from stages.track.sightline.rows import (
    COVARIANCE,
    HEIGHT,
    HEIGHT_VARIANCE,
    LOG_ASPECT,
    LOG_HEIGHT,
    NOISE,
    NUMBERS,
    RESTLESS,
    SHOWN,
    VARIANCE,
    VELOCITY_VARIANCE,
    VX,
    X,
)

# Standard deviations, as shares of the height: of a measured centre; of a height's logarithm; of an unknown
# velocity, per s; what a position, a velocity (per s) and a log height gain in 1 s.
_MEASURED, _MEASURED_SIZE, _UNKNOWN_VELOCITY = 0.04, 0.07, 1.5
_POSITION_DRIFT, _VELOCITY_DRIFT, _SIZE_DRIFT = 0.04, 0.20, 0.10
# Degrees of freedom of the likelihoods' t distributions.
_TAIL = 2.5
_CENTRE_POWER, _SIZE_POWER = (_TAIL + 2) / 2, (_TAIL + 1) / 2
_POWERS = np.array([_CENTRE_POWER, _SIZE_POWER])
# The log height of a detection that is not this object: its spread around this one's.
_SPREAD_OF_SIZES = 0.3
# RESTLESS follows the squared innovation, in variances, this quickly and up to these bounds.
_RESTLESS_GAIN, _RESTLESS_INNOVATION, _RESTLESS_LIMIT = 0.4, 20.0, 10.0
_ASPECT_GAIN = 0.1
# Share of the detection in a box that is shown; the rest is the filter's, which trembles less. The further
# the two are apart, in variances, the more the detection is shown: the filter lags behind who swerves.
_SHOWN_DETECTION, _SHOWN_HALF = 0.3, 4.0

LOG_DENSITY_OF_OTHERS = math.log(0.01)
"""False and newly appearing detections per frame and square of one height."""

# Everything in a pair's likelihood that is the same for all: t normalisers against the density of others.
_CONSTANT = math.log(_SPREAD_OF_SIZES * _TAIL**1.5 / (2 * math.pi)) - LOG_DENSITY_OF_OTHERS
# Bounds the logarithm of how far, in variances, a lost track is looked for.
_FURTHEST = 40.0


def initiate(measured: FloatArray) -> FloatArray:
    """Return (NUMBERS, N) rows of objects seen once at (4, N) `measured`: x, y, log height, log aspect."""
    number = np.zeros((NUMBERS, measured.shape[1]))
    number[X : LOG_ASPECT + 1] = measured
    height = np.exp(measured[LOG_HEIGHT])
    number[HEIGHT] = height
    number[NOISE] = number[VARIANCE] = (_MEASURED * height) ** 2
    number[VELOCITY_VARIANCE] = (_UNKNOWN_VELOCITY * height) ** 2
    number[HEIGHT_VARIANCE] = _MEASURED_SIZE**2
    number[RESTLESS] = 1.0
    return number


@replaceable
def predict(number: FloatArray, dt_s: float) -> None:
    """Move the rows `dt_s` seconds on, in place."""
    position, variance, size_variance = number[X:LOG_HEIGHT], number[VARIANCE], number[HEIGHT_VARIANCE]
    covariance, velocity_variance, noise = number[COVARIANCE], number[VELOCITY_VARIANCE], number[NOISE]
    position += dt_s * number[VX:HEIGHT]
    # The noise of a measured centre stands for the square of the height.
    swerve = np.minimum(number[RESTLESS], _RESTLESS_LIMIT)
    swerve *= swerve
    swerve *= noise
    swerve *= dt_s * (_VELOCITY_DRIFT / _MEASURED) ** 2
    velocity_variance += swerve
    gained = dt_s * velocity_variance
    spread = (_POSITION_DRIFT / _MEASURED) ** 2 * noise
    spread += covariance
    spread += covariance
    spread += gained
    spread *= dt_s
    variance += spread
    covariance += gained
    size_variance += dt_s * _SIZE_DRIFT**2


def expectation(number: FloatArray, log_odds: FloatArray) -> FloatArray:
    """Return (6, N): where the N tracks expect their detections, prepared for many pairs.

    The rows are x, y and log height; the variances of centre and log height, times the degrees of freedom;
    and what is the same in all pairs of a track.

    Args:
        number: (NUMBERS, N) predicted rows.
        log_odds: (N,) that each is detected at all.
    """
    expected = np.empty((6, number.shape[1]))
    expected[:3] = number[: LOG_HEIGHT + 1]
    spread, constant = expected[3:5], expected[5]
    np.add(number[VARIANCE], number[NOISE], out=expected[3])
    np.add(number[HEIGHT_VARIANCE], _MEASURED_SIZE**2, out=expected[4])
    spread *= _TAIL
    np.multiply(expected[3], expected[4], out=constant)
    np.log(constant, out=constant)
    constant *= _TAIL / 2
    constant += _CONSTANT
    constant += log_odds
    # The density of others is given per square of one height.
    constant += expected[LOG_HEIGHT]
    constant += expected[LOG_HEIGHT]
    return expected


@replaceable
def reach(expected: FloatArray, tracks: IntArray, bonus: float) -> FloatArray:
    """Return (K,) px: further from a track's centre, in x or y, no pair with `bonus` has a gain.

    Args:
        expected: (6 or more, N), as `expectation` returns it.
        tracks: (K,) of the N.
        bonus: what else may speak for a pair.
    """
    spread, size_spread, constant = expected[3:6].take(tracks, axis=1)
    best = constant - _SIZE_POWER * np.log(size_spread)
    best += bonus
    best *= 1 / _CENTRE_POWER
    best -= np.log(spread)
    np.minimum(best, _FURTHEST, out=best)
    np.maximum(best, 0.0, out=best)
    within: FloatArray = np.sqrt(np.expm1(best) * spread)
    return within


def log_ratio(expected: FloatArray, measured: FloatArray) -> FloatArray:
    """Return (P,): the log likelihood ratio of "it is this track" against "it is something else".

    Args:
        expected: (6, P) of the pairs' tracks, as `expectation` returns it.
        measured: (4, P) their detections: x, y, log height, log aspect.
    """
    squared = measured[:3] - expected[:3]
    squared *= squared
    centre_and_size, centre = squared[1:], squared[1]
    centre += squared[0]
    centre_and_size += expected[3:5]
    np.log(centre_and_size, out=centre_and_size)
    ratio: FloatArray = expected[5] - _POWERS @ centre_and_size
    return ratio


def correct(number: FloatArray, measured: FloatArray, corners: FloatArray) -> None:
    """Correct the K rows by their detections, in place.

    A detection far from its prediction gets the weight that the t distribution gives it, as an outlier's box
    is cut or merged more often than not; if the object did swerve, RESTLESS lets the next frames say so.

    Args:
        number: (NUMBERS, K) rows, a copy.
        measured: (4, K) x, y, log height, log aspect of the detections.
        corners: (4, K) their xyxy.
    """
    state, velocity, height = number[X : LOG_ASPECT + 1], number[VX:HEIGHT], number[HEIGHT]
    # Centre and size side by side: two rows at once.
    variance, covariance = number[VARIANCE : HEIGHT_VARIANCE + 1], number[COVARIANCE]
    velocity_variance, restless = number[VELOCITY_VARIANCE], number[RESTLESS]
    noise = np.empty_like(variance)
    noise[0] = number[NOISE]
    noise[1] = _MEASURED_SIZE**2
    innovation = measured - state
    squared = innovation * innovation
    off = squared[1:3]
    off_centre = off[0]
    off_centre += squared[0]
    off /= variance + noise
    distrust = off_centre + off[1]
    distrust += _TAIL
    distrust *= 1 / (_TAIL + 3)
    np.maximum(distrust, 1.0, out=distrust)

    noise *= distrust
    noise += variance
    gain = variance / noise
    velocity_gain = covariance / noise[0]
    velocity_variance -= velocity_gain * covariance
    kept = 1 - gain
    variance *= kept
    covariance *= kept[0]
    velocity += velocity_gain * innovation[:2]
    innovation[:2] *= gain[0]
    innovation[2] *= gain[1]
    innovation[3] *= _ASPECT_GAIN
    state += innovation
    np.exp(state[LOG_HEIGHT], out=height)
    np.multiply(height, height * _MEASURED**2, out=number[NOISE])

    # Of two dimensions: half of it is the squared innovation in variances.
    swerve = _RESTLESS_GAIN / 2 * off_centre
    np.minimum(swerve, _RESTLESS_GAIN * _RESTLESS_INNOVATION, out=swerve)
    restless *= 1 - _RESTLESS_GAIN
    restless += swerve
    np.maximum(restless, 1.0, out=restless)
    off_centre += 2 * _SHOWN_HALF
    filtered = corners_of(number)
    filtered -= corners
    filtered *= (1 - _SHOWN_DETECTION) * 2 * _SHOWN_HALF / off_centre
    np.add(filtered, corners, out=number[SHOWN : SHOWN + 4])


def corners_of(number: FloatArray) -> FloatArray:
    """Return the (4, N) xyxy of the rows' filtered boxes, px."""
    centre = number[X:LOG_HEIGHT]
    half = np.empty((2, number.shape[1]))
    half_width, half_height = half
    np.multiply(number[HEIGHT], 0.5, out=half_height)
    np.exp(number[LOG_ASPECT], out=half_width)
    half_width *= half_height
    corners = np.empty((4, number.shape[1]))
    np.subtract(centre, half, out=corners[:2])
    np.add(centre, half, out=corners[2:])
    return corners


def shift(number: FloatArray, by: FloatArray) -> None:
    """Move the rows by (2,) px, in place: the camera moved, and every object with it."""
    number[X:LOG_HEIGHT] += by[:, None]


def warp(number: FloatArray, affine: FloatArray) -> None:
    """Take the rows to the pixels of another picture by a (2, 3) affine, in place.

    Positions and velocities are mapped exactly; sizes and variances by the mean zoom, which is exact for
    similarities; a rotation leaves boxes upright.
    """
    number[X:LOG_HEIGHT] = affine[:, :2] @ number[X:LOG_HEIGHT] + affine[:, 2:]
    number[VX:HEIGHT] = affine[:, :2] @ number[VX:HEIGHT]
    zoom_squared = abs(affine[0, 0] * affine[1, 1] - affine[0, 1] * affine[1, 0])
    number[LOG_HEIGHT] += 0.5 * math.log(zoom_squared)
    number[HEIGHT] *= math.sqrt(zoom_squared)
    number[VELOCITY_VARIANCE : VARIANCE + 1] *= zoom_squared
    number[NOISE] *= zoom_squared
