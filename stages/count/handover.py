"""Finds which new track is the going on of one that was lost: the same object under another id."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot, log, sqrt

import numpy as np

from stages.count.geometry import F64Array

_RECENT_S = 0.5  # a velocity is fitted to the positions of so long
_LEAST_S = 0.15  # of fewer it is none
_MOST_POSITIONS = 32
_GATE = 0.3  # box sizes that a new track may be from where the lost one must be
_GATE_PER_S = 0.3  # and so many more for each second since
_LARGEST_GROWTH = 1.3  # of width or height
_CLEAR = 3.0  # the second best must be so many times further away
_NEAR = 0.3  # or so many box sizes

Box = Sequence[float]
"""Left, top, right, bottom, px."""


@dataclass(slots=True)
class _Track:
    """What is known of a track: its object, and when it was where lately, at least once."""

    object_id: int
    label: str
    recent: deque[tuple[float, Box]] = field(default_factory=lambda: deque(maxlen=_MOST_POSITIONS))
    continued: bool = False

    @property
    def last_s(self) -> float:
        return self.recent[-1][0]

    @property
    def box(self) -> Box:
        return self.recent[-1][1]


class Handover:
    """Gives tracks the ids of objects: a track that goes on for another has that one's.

    A new track goes on for a lost one if it begins within `within_s` of its last observation, at the place to
    which its velocity has carried it, as large as it, of the same class, and if no other lost or new track is
    nearly as near. Each goes on for one at most. What was lost at the picture's border has left, and what
    begins there has come: neither goes on.

    Args:
        within_s: longest time between a track's last observation and the first one of its successor.
        forget_s: a track unobserved for longer is forgotten.
        size: (width, height) of the picture, px.
    """

    def __init__(self, within_s: float, forget_s: float, size: tuple[int, int]) -> None:
        self._within_s = within_s
        self._forget_s = forget_s
        self._size = size
        self._tracks: dict[int, _Track] = {}  # in the order of their latest observation
        self.continued: dict[int, tuple[int, ...]] = {}
        """Ids of an object's tracks, oldest first, of those that have several."""

    def __len__(self) -> int:
        """Return the number of tracks that are remembered."""
        return len(self._tracks)

    def update(self, time_s: float, ids: Sequence[int], xyxy: F64Array, labels: Sequence[str]) -> list[int]:
        """Take the tracks observed at `time_s`; return the ids of their objects.

        Args:
            time_s: media time.
            ids: (N,) of the tracks, each once.
            xyxy: (N, 4) px.
            labels: (N,) classes.
        """
        boxes = xyxy.tolist()
        new = [row for row, track_id in enumerate(ids) if track_id not in self._tracks]
        heirs = self._heirs(time_s, ids, boxes, labels, new) if new and self._tracks else {}
        objects = []
        for row, (track_id, box, label) in enumerate(zip(ids, boxes, labels, strict=True)):
            track = self._tracks.pop(track_id, None)
            if track is None:
                lost_id = heirs.get(row)
                track = _Track(track_id if lost_id is None else self._inherit(lost_id, track_id), label)
            elif track.continued:  # it comes back although another goes on for it: then they were two
                track.object_id, track.continued = self._another(track_id), False
            track.label = label
            track.recent.append((time_s, box))
            self._tracks[track_id] = track
            objects.append(track.object_id)
        self._forget(time_s)
        return objects

    def drop(self, object_id: int) -> None:
        """Forget of which tracks an object was."""
        self.continued.pop(object_id, None)

    def _inherit(self, lost_id: int, track_id: int) -> int:
        """Return the object's id for a track that goes on for a lost one."""
        lost = self._tracks[lost_id]
        lost.continued = True
        self.continued[lost.object_id] = (*self.continued.get(lost.object_id, (lost_id,)), track_id)
        return lost.object_id

    def _another(self, track_id: int) -> int:
        """Return a free id for a track whose object has gone on without it: the first heir's own is free."""
        for chain in self.continued.values():
            if track_id in chain[:-1]:
                return chain[chain.index(track_id) + 1]
        return track_id

    def _heirs(
        self,
        time_s: float,
        ids: Sequence[int],
        boxes: Sequence[Box],
        labels: Sequence[str],
        new: Sequence[int],
    ) -> dict[int, int]:
        """Return for rows of new tracks the ids of the lost ones for which they go on."""
        present = set(ids)
        lost = [
            track_id
            for track_id, track in self._tracks.items()
            if time_s - track.last_s <= self._within_s
            and track_id not in present
            and not track.continued
            and not self._at_border(track.box)
        ]
        new = [row for row in new if not self._at_border(boxes[row])]
        if not lost or not new:
            return {}
        away = np.full((len(new), len(lost)), np.inf)
        for place, row in enumerate(new):
            for number, track_id in enumerate(lost):
                away[place, number] = _away(self._tracks[track_id], time_s, boxes[row], labels[row])
        return {
            new[place]: lost[number] for place, number in _nearest(away) if _is_clear(away, place, number)
        }

    def _at_border(self, box: Box) -> bool:
        left, top, right, bottom = box
        width, height = self._size
        margin = 0.1 * sqrt(max(0.0, right - left) * max(0.0, bottom - top))
        return left < margin or top < margin or right > width - margin or bottom > height - margin

    def _forget(self, time_s: float) -> None:
        while self._tracks:
            oldest = next(iter(self._tracks))
            if time_s - self._tracks[oldest].last_s <= self._forget_s:
                break
            del self._tracks[oldest]


def _away(lost: _Track, time_s: float, box: Box, label: str) -> float:
    """Return how many box sizes a new box is from where a lost track must be; infinite if it is not it."""
    left, top, right, bottom = box
    width, height = max(right - left, 1e-6), max(bottom - top, 1e-6)
    old_width, old_height = max(lost.box[2] - lost.box[0], 1e-6), max(lost.box[3] - lost.box[1], 1e-6)
    grown = max(abs(log(width / old_width)), abs(log(height / old_height)))
    if label != lost.label or grown > log(_LARGEST_GROWTH):
        return np.inf
    gap_s = time_s - lost.last_s
    x, y = (lost.box[0] + lost.box[2]) / 2, (lost.box[1] + lost.box[3]) / 2
    speed_x, speed_y = _velocity(lost.recent)
    size = sqrt(old_width * old_height)
    miss = hypot((left + right) / 2 - x - speed_x * gap_s, (top + bottom) / 2 - y - speed_y * gap_s) / size
    return miss if miss <= _GATE + _GATE_PER_S * gap_s else np.inf


def _velocity(recent: Sequence[tuple[float, Box]]) -> tuple[float, float]:
    """Return the velocity, px/s, of the straight line through the latest positions (least squares)."""
    spots = np.array(
        [
            (time_s, (left + right) / 2, (top + bottom) / 2)
            for time_s, (left, top, right, bottom) in recent
            if recent[-1][0] - time_s <= _RECENT_S
        ]
    )
    times = spots[:, 0] - spots[:, 0].mean()
    if spots[-1, 0] - spots[0, 0] < _LEAST_S:
        return 0.0, 0.0
    slope = times @ (spots[:, 1:] - spots[:, 1:].mean(axis=0)) / (times @ times)
    return float(slope[0]), float(slope[1])


def _nearest(away: F64Array) -> list[tuple[int, int]]:
    """Return pairs of a row and a column, each in one pair at most, with the least sum of distances.

    Args:
        away: (rows, columns) distances, infinite for what is no pair.
    """
    possible = np.isfinite(away)
    rows, columns = np.nonzero(possible)
    if possible.sum(axis=0).max() > 1 or possible.sum(axis=1).max() > 1:
        from scipy.optimize import linear_sum_assignment  # 35 MB that a stream without disputes never needs

        rows, columns = linear_sum_assignment(np.where(possible, away, 1e6))
    return [
        (row, column)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if possible[row, column]
    ]


def _is_clear(away: F64Array, row: int, column: int) -> bool:
    """Return whether no other pair with one of these two is nearly as near."""
    others = np.concatenate([np.delete(away[row], column), np.delete(away[:, column], row)])
    limit = max(_CLEAR * away[row, column], away[row, column] + _NEAR)
    return not len(others) or bool(others.min() > limit)
