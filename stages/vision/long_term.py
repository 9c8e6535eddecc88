"""What a place looks like over minutes, and what has come to rest in it: two backgrounds at two speeds."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from stages.vision.background import EXPOSURE_SHARE, forgive_shake, restore_clipped
from stages.vision.exposure import Exposure, coarse, fit_exposure

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# The first background is the median of so many pictures: what passes is in the minority everywhere.
_SAMPLES = 15
_ROUNDING_S = 1e-6
# What differs by more is something else. Noise of a night camera reaches 4 levels.
_DIFFERENT_LEVELS = 14
_ALIKE_LEVELS = 8
_DRIFT_S = 2.0
# Where the background shows, something else wins the vote after so long, or a quarter of `after_s`.
_BACK_LEAD_S = 2.0
# One picture counts for at most so much time, however long the pause before it.
_LONGEST_STEP_S = 1.0

# A scene of which so little is explained, or which is different in so many places, is another one: soon for a
# cut, and when it lasts for what came bit by bit (a lorry stops before the camera). A place is one of 16 x 9
# cells of which a tenth is different: things hide some cells wholly, a cut changes a little of all.
_MIN_SUPPORT = 0.2
_PLACES = (16, 9)
_TENTH = 25
_MOST_PLACES = 0.7
_CUT_JUMP = 0.5
_CUT_S = 2.0


class LongTermBackground:
    """A slow background, and a fast one that tells what has come to rest against it.

    The slow one is a mean over `history_s` that leaves out whatever differs. The fast one is a vote of each
    pixel over time (majority vote of Boyer and Moore, 1981): the level that is there most of the time wins,
    whatever passes before it. Where the two differ for `after_s`, something was left, or taken away. The
    camera's exposure is undone first.

    Memory: about 14 bytes a pixel, and 15 pictures while it begins.

    Attributes:
        ready: False while the first background is being gathered.
        back: (H, W) uint8 the slow background.
        picture: (H, W) uint8 the latest picture under its exposure.
        held: (H, W) uint8 what each pixel shows most of the time.
        seen_s: (H, W) float32 seconds by which it was there more than not, at most 1.5 `after_s`; for what
            is the background at most a fraction of it, so that something new soon wins.
        since_s: (H, W) float64 media time at which it first was.
        restless: (H, W) float32 share of the recent time in which the pixel showed something else.

    Args:
        learn_s: seconds over which the first background is gathered.
        after_s: seconds from which on what rests is told.
        history_s: time constant at which the slow background follows the light.
    """

    def __init__(self, learn_s: float, after_s: float, history_s: float) -> None:
        self._learn_s = learn_s
        self._after_s = after_s
        self._history_s = history_s
        self.restart()

    def restart(self) -> None:
        """Forget everything and gather a background anew."""
        self.ready = False
        self._samples: list[U8Array] = []
        self._sampled_s = 0.0
        self._exposure = Exposure()
        self._lost_s = self._drift_s = self._share = 0.0
        self._cut = False
        self.back = self.picture = self.held = np.zeros((0, 0), np.uint8)
        self._mean: F32Array = np.zeros((0, 0), np.float32)

    def update(self, luma: U8Array, pts_s: float, dt_s: float) -> bool | None:
        """Take the next picture.

        Args:
            luma: (H, W) uint8, always the same size until `restart`.
            pts_s: media time.
            dt_s: seconds since the picture before; at most 1 counts.

        Returns:
            True when the picture was compared and learned. False while there is nothing to compare with, or
            too much is different. None when the scene is another one, and is now being learned.
        """
        step_s = min(max(dt_s, 0.0), _LONGEST_STEP_S)
        if not self.ready:
            self._gather(luma, pts_s, step_s)
            return False
        exposure = fit_exposure(coarse(luma), coarse(self.back), self._exposure)
        picture = exposure.undo(luma, EXPOSURE_SHARE)
        if exposure.gain > 1.0:
            restore_clipped(picture, luma, self.back)
        differs = different(picture, self.back)
        places = cv2.resize(differs, _PLACES, interpolation=cv2.INTER_AREA)
        share = float(np.mean(places > _TENTH))
        if exposure.support < _MIN_SUPPORT or share > _MOST_PLACES:
            self._cut = self._cut or share - self._share > _CUT_JUMP
            self._lost_s += step_s
            if self._lost_s < (_CUT_S if self._cut else max(self._after_s, _CUT_S)):
                return False
            self.restart()
            self._gather(luma, pts_s, 0.0)
            return None
        self._exposure, self._share, self._lost_s, self._cut = exposure, share, 0.0, False
        self.picture = picture
        self._vote(picture, pts_s, step_s)
        self._follow_the_light(picture, differs, step_s)
        return True

    def resting(self) -> U8Array:
        """Return (H, W) uint8, 255 where something has rested for `after_s` that the background has not."""
        mask = different(self.held, self.back)
        mask[self.seen_s < self._after_s] = 0
        return mask

    def accept(self, where: BoolArray) -> None:
        """Take what rests there for background."""
        self._mean[where] = self.held[where]
        self.back[where] = self.held[where]

    def give_up(self, where: BoolArray) -> None:
        """Take the background for what is there: what rested on it is gone."""
        self.held[where] = self.back[where]
        self.seen_s[where] = self.restless[where] = 0.0

    def _gather(self, luma: U8Array, pts_s: float, step_s: float) -> None:
        self._sampled_s += step_s
        if self._samples:
            if self._sampled_s < self._learn_s * len(self._samples) / (_SAMPLES - 1) - _ROUNDING_S:
                return
            # Of two scenes no median is a background.
            if fit_exposure(coarse(luma), coarse(self._samples[-1]), Exposure()).support < _MIN_SUPPORT:
                self._samples, self._sampled_s = [], 0.0
        self._samples.append(luma.copy())
        if len(self._samples) < _SAMPLES:
            return
        self.back = np.median(np.stack(self._samples), axis=0).astype(np.uint8)
        self._samples = []
        self._mean = self.back.astype(np.float32)
        self.picture, self.held = self.back, self.back.copy()
        self.seen_s = np.zeros(luma.shape, np.float32)
        self.since_s = np.full(luma.shape, pts_s)
        self.restless = np.zeros(luma.shape, np.float32)
        self.ready = True

    def _vote(self, picture: U8Array, pts_s: float, step_s: float) -> None:
        alike = cv2.absdiff(picture, self.held) <= _ALIKE_LEVELS
        # About e^-2 of the commotion of arriving is left after `after_s`.
        share = np.float32(min(2 * step_s / self._after_s, 1.0))
        self.restless += share * (~alike - self.restless)
        self.seen_s += np.where(alike, np.float32(step_s), np.float32(-step_s))
        lead_s = min(_BACK_LEAD_S, self._after_s / 4)
        is_back = cv2.absdiff(self.held, self.back) <= _DIFFERENT_LEVELS
        most_s = np.where(is_back, np.float32(lead_s), np.float32(1.5 * self._after_s))
        np.minimum(self.seen_s, most_s, out=self.seen_s)
        lost = self.seen_s < 0
        self.held[lost] = picture[lost]
        self.seen_s[lost] = lead_s
        self.since_s[lost] = pts_s - lead_s
        self._drift_s += step_s
        if self._drift_s >= _DRIFT_S:
            # One level at a time (sigma-delta, Manzanera and Richefeu, 2004): light changes, things do not.
            self._drift_s = 0.0
            self.held[alike & (picture > self.held)] += 1
            self.held[alike & (picture < self.held)] -= 1

    def _follow_the_light(self, picture: U8Array, differs: U8Array, step_s: float) -> None:
        rate = min(step_s / self._history_s, 1.0)
        cv2.accumulateWeighted(picture, self._mean, rate, mask=cv2.bitwise_not(differs))
        self.back = cv2.convertScaleAbs(self._mean).astype(np.uint8, copy=False)


def different(picture: U8Array, background: U8Array) -> U8Array:
    """Return (H, W) uint8, 255 where a picture shows what its background does not show within a pixel."""
    mask = (cv2.absdiff(picture, background) > _DIFFERENT_LEVELS).astype(np.uint8) * np.uint8(255)
    forgive_shake(mask, picture, background)
    return np.asarray(cv2.medianBlur(mask, 3), np.uint8)
