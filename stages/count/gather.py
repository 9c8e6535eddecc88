"""Makes what the counting parts see of a frame: who is observed, and who is gone for good."""

from __future__ import annotations

import numpy as np

from pipeline.frame import Frame
from pipeline.objects import Tracks
from stages.count.seen import Seen


class Gatherer:
    """Makes the `Seen` of each frame; remembers of each object when it was last observed.

    Args:
        forget_s: an object unobserved for longer has ended.
    """

    def __init__(self, forget_s: float) -> None:
        self._forget_s = forget_s
        self._last_s: dict[int, float] = {}  # by object, in the order of their latest observation

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._last_s)

    def seen(self, frame: Frame, tracks: Tracks) -> Seen:
        """Return what is observed at this frame; rows that are merely predicted are passed over."""
        time_s = frame.moment.pts_s
        rows = np.flatnonzero(tracks.detection >= 0)
        observed = tracks[rows] if len(rows) < len(tracks) else tracks
        ids: list[int] = observed.id.tolist()
        for object_id in ids:
            self._last_s.pop(object_id, None)
            self._last_s[object_id] = time_s
        return Seen(
            frame,
            time_s,
            ids=ids,
            tracks=list(ids),
            rows=rows.tolist(),
            xyxy=observed.xyxy.astype(np.float64),
            labels=observed.label.tolist(),
            ended=self._ended(time_s),
        )

    def forget(self) -> None:
        """Forget all objects."""
        self._last_s.clear()

    def _ended(self, time_s: float) -> list[int]:
        ended = []
        for object_id, last_s in self._last_s.items():
            if time_s - last_s <= self._forget_s:
                break
            ended.append(object_id)
        for object_id in ended:
            del self._last_s[object_id]
        return ended
