"""Whether a picture is new, or was shown before: what a camera that hangs sends again and again."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]

_SEGMENT_PX = 64
# A codec that is given the same picture again returns it to a level, at the same place of its group.
_LEVELS = 1
_REMEMBERED = 16


class Novelty:
    """Compares each picture with the latest 16 that it has seen.

    The same picture, encoded again, comes out the same as often as its place in the group of pictures comes
    round; a still scene never does, for each key frame has the noise of its own moment. So not the motion
    between two pictures is asked for, but whether one is new against all before it.

    Memory: 16 times the rows that are given.
    """

    def __init__(self) -> None:
        self._past: deque[U8Array] = deque(maxlen=_REMEMBERED)

    def update(self, rows: U8Array) -> float:
        """Return the share of the picture that is like in none of those before; 1 for the first.

        A clock that the camera writes into a frozen picture is a share of one or two hundredths.

        Args:
            rows: (N, W) uint8: some rows of the luma at full size, always the same ones; kept, not copied.
        """
        new = 1.0
        # The latest first: mostly it settles the question.
        for past in reversed(self._past):
            if past.shape == rows.shape:
                new = min(new, _changed(rows, past))
            if new == 0.0:
                break
        self._past.append(rows)
        return new

    def restart(self) -> None:
        """Forget all pictures."""
        self._past.clear()


def _changed(first: U8Array, second: U8Array) -> float:
    """Return the share of segments of the rows in which a pixel differs."""
    difference = cv2.absdiff(first, second)
    width = difference.shape[1] // _SEGMENT_PX * _SEGMENT_PX
    if width == 0:
        return float((difference > _LEVELS).any(axis=1).mean())
    segments = difference[:, :width].reshape(len(difference), -1, _SEGMENT_PX)
    return float((segments.max(axis=2) > _LEVELS).mean())
