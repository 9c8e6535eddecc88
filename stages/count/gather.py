"""Makes what the counting parts see of a frame: who is observed, and who is gone for good."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.frame import Frame
from pipeline.objects import Detections, Tracks
from stages.count.handover import Handover
from stages.count.seen import Seen
from stages.count.votes import Votes
from stages.count.zones.masks import Masks

_NO_BOXES = np.empty((0, 4))


class Gatherer:
    """Makes the `Seen` of each frame; remembers the objects as long as they may come back.

    Args:
        forget_s: an object unobserved for longer has ended.
        masks: what lies in them is not observed.
        handover_s: see `Handover`; 0 takes each track for an object of its own.
    """

    def __init__(self, forget_s: float, masks: Masks, handover_s: float = 0.0) -> None:
        self._masks = masks
        self._forget_s = forget_s
        self._handover_s = handover_s
        self._size = (0, 0)
        self._handover: Handover | None = None
        self._last_s: dict[int, float] = {}  # by object, in the order of their latest observation
        self._votes: dict[int, Votes] = {}

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._last_s)

    def open(self, width: int, height: int) -> None:
        """Forget all objects; pictures have another size, px."""
        self._size = (width, height)
        self.forget()

    def seen(self, frame: Frame, tracks: Tracks) -> Seen:
        """Return what is observed at this frame; rows that are merely predicted or masked are passed over."""
        time_s = frame.moment.pts_s
        if not len(tracks):  # as on most pictures of most cameras
            return self._nobody_seen(frame)
        rows = np.flatnonzero((tracks.detection >= 0) & ~self._masks.hide(tracks.xyxy.astype(np.float64)))
        observed = tracks[rows] if len(rows) < len(tracks) else tracks
        tracks_seen: list[int] = observed.id.tolist()
        xyxy, labels = observed.xyxy.astype(np.float64), observed.label.tolist()
        ids = tracks_seen
        if self._handover is not None:
            ids = self._handover.update(time_s, tracks_seen, xyxy, labels)
        ended = self._ended(time_s)
        for object_id in ids:
            self._last_s.pop(object_id, None)
            self._last_s[object_id] = time_s
        return Seen(
            frame,
            time_s,
            ids=ids,
            tracks=list(tracks_seen),
            rows=rows.tolist(),
            xyxy=xyxy,
            labels=labels,
            attributes=self._vote(frame.detections, observed, ids),
            votes=self._votes,
            ended=ended,
            continued={} if self._handover is None else self._handover.continued,
        )

    def _nobody_seen(self, frame: Frame) -> Seen:
        """Return what is observed where nobody is; objects are forgotten in time all the same."""
        if self._handover:  # remembers tracks
            self._handover.update(frame.moment.pts_s, [], _NO_BOXES, [])
        ended = self._ended(frame.moment.pts_s)
        seen = self.nobody(frame)
        seen.ended = ended
        return seen

    def nobody(self, frame: Frame) -> Seen:
        """Return what parts are told when nothing more will be seen after this frame."""
        continued = {} if self._handover is None else self._handover.continued
        return Seen.of_nobody(frame, votes=self._votes, continued=continued)

    def forget(self) -> None:
        """Forget all objects."""
        self._last_s = {}
        self._votes = {}
        if self._handover_s:
            self._handover = Handover(self._handover_s, self._forget_s, self._size)

    def _vote(
        self, detections: Detections | None, observed: Tracks, ids: list[int]
    ) -> list[Mapping[str, str]] | None:
        """Take the votes of the detections that the tracks matched; return the attributes that lead.

        Where the detections are not at hand, as when the past is shown again, there is no vote: what the
        tracks tell holds.
        """
        if not ids:
            return None
        told = [{}] * len(ids) if observed.attributes is None else observed.attributes.tolist()
        matched = observed.detection
        if detections is None or matched.item(matched.argmax()) >= len(detections):
            return None if observed.attributes is None else told
        labels = detections.label[matched].tolist()
        votes = []
        for object_id, label, attributes in zip(ids, labels, told, strict=True):
            mine = self._votes.get(object_id)
            if mine is None:
                mine = self._votes[object_id] = Votes()
            mine.add(label, attributes)
            votes.append(mine)
        return None if observed.attributes is None else [mine.attributes for mine in votes]

    def _ended(self, time_s: float) -> list[int]:
        """Forget who was not observed for long, also one that is back only now; return their ids."""
        ended = []
        for object_id, last_s in self._last_s.items():
            if time_s - last_s <= self._forget_s:
                break
            ended.append(object_id)
        for object_id in ended:
            del self._last_s[object_id]
            self._votes.pop(object_id, None)
            if self._handover is not None:
                self._handover.drop(object_id)
        return ended
