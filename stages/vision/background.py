"""Moving objects against a learned background, on luma alone and with time in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from stages.vision.exposure import Exposure, coarse, fit_exposure

U8Array = npt.NDArray[np.uint8]

Method = Literal["mog2", "knn"]

EXPOSURE_SHARE = 0.95
"""How much of a change of exposure is undone: a background learns the rest, and follows dusk and dawn."""
# From here on a picture clips: what is brighter cannot be told apart (white of limited-range video).
_SATURATED_LEVEL = 235

_SHAKE_LEVELS = 5
_SPECK_PX = 5
# A shadow leaves so much of the light: less is a dark object, more is noise. The ground's texture stays, so
# what differs is smooth: its deviation within 5 x 5 px is below the roughness.
_SHADOW_RATIO = (0.45, 0.97)
_SHADOW_ROUGHNESS_LEVELS = 4.0

# Objects neither hide nearly everything nor come to fill much of the picture from one picture to the next.
_MIN_SUPPORT = 0.2
_MAX_SHARE = 0.8
_MAX_JUMP = 0.4
_SCENE_CHANGE_S = 0.4

# One picture teaches at most so much, however long the time before it or however young the background.
_LONGEST_STEP_S = 0.5
_FASTEST_RATE = 0.5
_FRESH_AGE_S = 1.0
_REFRESH = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Foreground:
    """What differs from the background in one picture.

    Attributes:
        mask: (H, W) uint8, 255 on objects, else 0.
        picture: (H, W) uint8 luma under the background's exposure.
        background: (H, W) uint8 luma of the background.
    """

    mask: U8Array
    picture: U8Array
    background: U8Array


class BackgroundModel:
    """Per-pixel background made fit for cameras (MOG2: Zivkovic 2004; KNN: Zivkovic, van der Heijden 2006).

    Before a picture is compared, the change of the camera's exposure since the background was learned is
    estimated and undone, so that auto-exposure is not taken for motion. The background follows slow changes
    of light. Cast shadows are removed: darker than the background by a plain factor, with its texture.

    Args:
        method: "mog2" or "knn".
        history_s: time constant of learning; a thing that stops is background after about a third of it.
        shadows: True to remove cast shadows.
    """

    def __init__(self, method: Method = "mog2", history_s: float = 30.0, *, shadows: bool = True) -> None:
        self._method: Method = method
        self._history_s = history_s
        self._shadows = shadows
        self._subtractor = _subtractor(method)
        self._exposure = Exposure()
        self._image: U8Array | None = None
        self._started = False
        self._seed = 0
        self._age_s = 0.0
        self._since_s = 0.0
        self._lost_s = 0.0
        self._share = 0.0

    def distrust(self, seconds: float) -> None:
        """Say that the background was not seen for a while: it is learned faster until it is as old again."""
        self._age_s = min(self._age_s, max(self._age_s - seconds, _FRESH_AGE_S))

    def apply(self, luma: U8Array, dt_s: float) -> Foreground | None:
        """Compare a picture with the background, then learn from it.

        Args:
            luma: (H, W) uint8, always the same size.
            dt_s: seconds of media time since the picture before; at most half a second of them is learned.

        Returns:
            The foreground, or None while nothing can be said: at the first picture, and when so much has
            changed that it cannot be objects (the camera was turned, the light switched).
        """
        if not self._started:
            self._started = True
            self._learn(luma, 1.0)
            return None
        if dt_s > _LONGEST_STEP_S:
            self.distrust(dt_s - _LONGEST_STEP_S)
        step_s = min(max(dt_s, 0.0), _LONGEST_STEP_S)
        background = self._refreshed(step_s)
        self._exposure = fit_exposure(coarse(luma), coarse(background), self._exposure)
        picture = self._exposure.undo(luma, EXPOSURE_SHARE)
        if self._exposure.gain > 1.0:
            restore_clipped(picture, luma, background)
        self._age_s = min(self._age_s + step_s, self._history_s)
        rate = min(step_s / self._age_s, _FASTEST_RATE) if self._age_s > 0 else 0.0
        mask = self._learn(picture, rate)
        share = cv2.countNonZero(mask) / mask.size
        if self._exposure.support < _MIN_SUPPORT or share > min(_MAX_SHARE, self._share + _MAX_JUMP):
            self._lost_s += step_s
            if self._lost_s > _SCENE_CHANGE_S:
                self._forget()
            return None
        self._lost_s = 0.0
        self._share = share
        forgive_shake(mask, picture, background)
        mask = np.asarray(cv2.medianBlur(mask, _SPECK_PX), dtype=np.uint8)
        if self._shadows:
            _remove_shadows(mask, picture, background)
        return Foreground(mask, picture, background)

    def _learn(self, picture: U8Array, rate: float) -> U8Array:
        """Return the raw mask of what is no background, and learn the picture."""
        if self._method == "knn":
            # It draws from OpenCV's generator of this thread: the same pictures shall give the same mask.
            self._seed = (self._seed + 1) % (1 << 31)
            cv2.setRNGSeed(self._seed)
        return np.asarray(self._subtractor.apply(picture, None, rate), dtype=np.uint8)

    def _refreshed(self, step_s: float) -> U8Array:
        """Return the background; it is read anew at every hundredth of its age, so slowly does it change."""
        self._since_s += step_s
        if self._image is None or self._since_s >= _REFRESH * self._age_s:
            image = self._subtractor.getBackgroundImage()
            # KNN returns one sample per pixel, MOG2 the mean of the main mode.
            self._image = np.asarray(cv2.medianBlur(image, 5) if self._method == "knn" else image, np.uint8)
            self._since_s = 0.0
        return self._image

    def _forget(self) -> None:
        self._subtractor = _subtractor(self._method)
        self._exposure = Exposure()
        self._image = None
        self._started = False
        self._age_s = self._since_s = self._lost_s = self._share = 0.0


def _subtractor(method: Method) -> Any:
    if method == "knn":
        return cv2.createBackgroundSubtractorKNN(history=500, dist2Threshold=100.0, detectShadows=False)
    mog2 = cv2.createBackgroundSubtractorMOG2(history=500, varThreshold=16.0, detectShadows=False)
    # The default 0.9 takes whatever was seen in a tenth of the time for background: busy roads get holes.
    mog2.setBackgroundRatio(0.7)
    mog2.setVarInit(9.0)
    mog2.setVarMax(16.0)
    return mog2


def restore_clipped(picture: U8Array, luma: U8Array, background: U8Array) -> None:
    """Where the brighter exposure clips, the background may be as bright as ever: take it for that."""
    clipped = (luma >= _SATURATED_LEVEL) & (picture < background)
    np.copyto(picture, background, where=clipped)


def forgive_shake(mask: U8Array, picture: U8Array, background: U8Array) -> None:
    """Clear the mask where the picture lies within what the background shows one pixel around."""
    kernel = np.ones((3, 3), np.uint8)
    low = np.maximum(cv2.erode(background, kernel), _SHAKE_LEVELS) - _SHAKE_LEVELS
    high = np.minimum(cv2.dilate(background, kernel), 255 - _SHAKE_LEVELS) + _SHAKE_LEVELS
    seen = np.minimum(picture, _SATURATED_LEVEL)
    mask[(seen >= low) & (seen <= high)] = 0


def _remove_shadows(mask: U8Array, picture: U8Array, background: U8Array) -> None:
    """Clear the mask where the picture is darker than the background by a locally constant factor."""
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    part = np.s_[top : top + height, left : left + width]
    mask, picture, background = mask[part], picture[part], background[part]
    difference = cv2.subtract(picture, background, dtype=cv2.CV_32F)
    mean = cv2.blur(difference, (5, 5))
    variance = cv2.subtract(cv2.blur(cv2.multiply(difference, difference), (5, 5)), cv2.multiply(mean, mean))
    darkest, lightest = (cv2.convertScaleAbs(background, alpha=factor) for factor in _SHADOW_RATIO)
    shadow = (picture > darkest) & (picture < lightest) & (variance < _SHADOW_ROUGHNESS_LEVELS**2)
    mask[shadow] = 0
