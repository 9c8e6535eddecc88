"""Which boxes of a frame must be hidden: those of some classes, or the heads in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.objects import Detections, Tracks
from pipeline.privacy.options import PrivacyOptions

F64Array = npt.NDArray[np.float64]

GROWTH = 0.1
"""A box of which nothing is known widens by this share of its size at each side in a second."""

HEAD_OF_HEIGHT = 0.25
HEAD_OF_WIDTH = 0.6
"""A head takes an eighth of a standing body's height, but more of one that bends, sits or is cut off by the
picture's edge, whose box is wide for its height."""

_FACE_POINTS = 5
"""COCO's first key points: nose, eyes, ears."""
_COCO_POINTS = 17
_SEEN = 0.3
_FACE_REACH = 0.12
"""How far a head may reach beyond its key points, as a share of the body's longer side."""
_MOST_LABELS = 1024


class Chooser:
    """Finds the boxes that are to be hidden.

    Args:
        options: `labels` and `heads`.
    """

    def __init__(self, options: PrivacyOptions) -> None:
        self._is_whole = _matcher(options.labels)
        self._is_head = _matcher(options.heads)

    def seen(self, detections: Detections | None, tracks: Tracks | None) -> F64Array:
        """Return the boxes (N, 4) xyxy px of what is seen in this frame.

        A detection and the track that it belongs to may be of different classes: either is enough.
        """
        found = []
        if detections is not None:
            found += self._of(detections.xyxy, detections.label, detections.keypoints)
        if tracks is not None:
            matched = tracks.detection >= 0
            found += self._of(tracks.xyxy[matched], tracks.label[matched])
        return np.unique(np.array(found, np.float64).reshape(-1, 4), axis=0)

    def predicted(self, tracks: Tracks | None) -> F64Array:
        """Return the boxes (N, 4) xyxy px of tracks that are not seen now, wider as time goes by."""
        if tracks is None:
            return np.empty((0, 4))
        gone = tracks.detection < 0
        reach = tracks.xyxy[gone].astype(np.float64)
        reach = widened(reach, GROWTH * tracks.missed_s[gone].astype(np.float64))
        return np.array(self._of(reach, tracks.label[gone]), np.float64).reshape(-1, 4)

    def _of(
        self,
        xyxy: npt.NDArray[np.floating],
        label: npt.NDArray[np.str_],
        keypoints: npt.NDArray[np.float32] | None = None,
    ) -> list[npt.NDArray[np.floating]]:
        boxes = []
        for row, name in enumerate(label.tolist()):
            if self._is_whole(name):
                boxes.append(xyxy[row])
            elif self._is_head(name):
                boxes.append(head_of(xyxy[row], None if keypoints is None else keypoints[row]))
        return boxes


def head_of(xyxy: npt.NDArray[np.floating], keypoints: npt.NDArray[np.floating] | None = None) -> F64Array:
    """Return where in a body's box the head may be, (4,) float64 xyxy px: all of its upper part.

    Args:
        xyxy: (4,) px, the body's box.
        keypoints: (K, 3) px and score, of a pose; where K is COCO's 17 and the face is seen, what lies
            around it is added: a head need not be on top.
    """
    left, top, right, bottom = (float(side) for side in xyxy)
    width, height = right - left, bottom - top
    box = [left, top, right, top + min(height, max(HEAD_OF_HEIGHT * height, HEAD_OF_WIDTH * width))]
    if keypoints is not None and len(keypoints) == _COCO_POINTS:
        face = keypoints[:_FACE_POINTS]
        face = face[face[:, 2] >= _SEEN, :2]
        if len(face):
            reach = _FACE_REACH * max(width, height)
            low, high = face.min(axis=0) - reach, face.max(axis=0) + reach
            box = [*np.minimum(box[:2], low).tolist(), *np.maximum(box[2:], high).tolist()]
    return np.array(box, np.float64)


def widened(boxes: F64Array, share: float | F64Array) -> F64Array:
    """Return boxes (N, 4) xyxy px, wider at each side by a share, a number or (N,), of their own size."""
    size = (boxes[:, 2:] - boxes[:, :2]) * np.reshape(share, (-1, 1))
    return np.concatenate([boxes[:, :2] - size, boxes[:, 2:] + size], axis=1)


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    @lru_cache(maxsize=_MOST_LABELS)
    def matches(label: str) -> bool:
        return any(fnmatchcase(label, pattern) for pattern in patterns)

    return matches
