"""Whether a picture is new, or was shown before: what a camera that hangs sends again and again."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]

_SEGMENT_PX = 64
_WORD_BYTES = 8
# A codec that is given the same picture again returns it to a level, at the same place of its group.
_LEVELS = 1
_REMEMBERED = 16
# A ninth of the rows settles most questions: where half of it is new, the picture is.
_SAMPLE = 9
_HALF = 0.5


class Novelty:
    """Compares each picture with the latest 16 that it has seen.

    The same picture, encoded again, comes out the same as often as its place in the group of pictures comes
    round; a still scene never does, for each key frame has the noise of its own moment. So not the motion
    between two pictures is asked for, but whether one is new against all before it.

    Memory: 16 times the rows that are given.
    """

    def __init__(self) -> None:
        self._past: deque[U8Array] = deque(maxlen=_REMEMBERED)
        self._samples: deque[U8Array] = deque(maxlen=_REMEMBERED)

    def update(self, rows: U8Array) -> float:
        """Return the share of the picture that is like in none of those before; 1 for the first.

        A clock that the camera writes into a frozen picture is a share of one or two hundredths. Where more
        than a twentieth is new, the answer is only a lower bound.

        Args:
            rows: (N, W) uint8: some rows of the luma at full size, always the same ones; W at least 64.
        """
        width = rows.shape[1] // _SEGMENT_PX * _SEGMENT_PX
        rows = np.ascontiguousarray(rows[:, :width])
        if self._past and self._past[0].shape != rows.shape:
            self.restart()
        sample = np.ascontiguousarray(rows[::_SAMPLE])
        new = 1.0
        if self._past:
            several = np.tile(sample, (len(self._samples), 1))
            changed = _changed(several, np.concatenate(self._samples))
            shares = changed.reshape(len(self._samples), -1).mean(axis=1)
            # The latest first: in a picture that hangs it settles the question.
            for past, share in zip(reversed(self._past), shares[::-1].tolist(), strict=True):
                settled = share > _HALF
                new = min(new, share * len(sample) / len(rows) if settled else _changed(rows, past).mean())
                if new == 0.0:
                    break
        self._past.append(rows)
        self._samples.append(sample)
        return float(new)

    def restart(self) -> None:
        """Forget all pictures."""
        self._past.clear()
        self._samples.clear()


def _changed(first: U8Array, second: U8Array) -> npt.NDArray[np.bool_]:
    """Return (N * W / 64,) whether a pixel differs in each segment of the rows."""
    _, differs = cv2.threshold(cv2.absdiff(first, second), _LEVELS, 1, cv2.THRESH_BINARY)
    words = np.ascontiguousarray(differs, np.uint8).view(np.uint64)
    return np.asarray((words.reshape(-1, _SEGMENT_PX // _WORD_BYTES) != 0).any(axis=1), np.bool_)
