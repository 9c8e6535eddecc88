"""Where tracks were really seen: what OC-SORT trusts more than the filter's guess while nothing was seen.

Cao, Pang, Weng, Khirodkar, Kitani: Observation-Centric SORT (2023), section 4:
re-update (ORU), momentum (OCM) and, in `association`, recovery (OCR).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray, IntArray
from stages.track.kalman import REFERENCE_FRAME_S
from stages.track.overlap.filters import BoxFilter, warp_boxes, xywh_to_xyxy, xyxy_to_xywh
from stages.track.population import BoolArray

# Places kept of a track: its latest and enough to go back by `direction_s`, a third of it apart at least.
_PLACES = 4
# Virtual observations of one re-update; longer absences take longer steps.
_MAX_STEPS = 30
_ROUNDING_S = 1e-6
# Added to lengths, so that what stands still has no direction.
_STILL_PX = 1e-6


class Observations:
    """The latest observations of N tracks, row for row with their population.

    Args:
        direction_s: the direction of motion is taken over so long.
    """

    def __init__(self, direction_s: float) -> None:
        self._direction_s = direction_s
        self._columns = _born(np.zeros((0, 4)), np.zeros((5, 0, 4)), 0.0)

    def __len__(self) -> int:
        return len(self.box)

    @property
    def box(self) -> FloatArray:
        """(N, 4) `xyxy` of the latest observation."""
        return self._columns["box"]

    def keep(self, rows: BoolArray) -> None:
        """Drop all other tracks."""
        self._columns = {name: column[rows] for name, column in self._columns.items()}

    def append(self, xyxy: FloatArray, state: FloatArray, pts_s: float) -> None:
        """Add tracks that are seen for the first time."""
        born = _born(xyxy, state, pts_s)
        self._columns = {name: np.concatenate([column, born[name]]) for name, column in self._columns.items()}

    def agreement(self, track: IntArray, xyxy: FloatArray, pts_s: float) -> FloatArray:
        """Return how well going to box k, (P, 4), keeps the direction of `track[k]`.

        0.5 goes straight on, -0.5 back, 0 across or without a known direction (momentum).
        """
        ahead = _direction(self._earlier(pts_s)[track], xyxy)
        cosine = np.einsum("pk,pk->p", ahead, self._columns["direction"][track])
        agreement: FloatArray = 0.5 - np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi
        return agreement

    def re_update(
        self, rows: IntArray, state: FloatArray, xyxy: FloatArray, pts_s: float, motion: BoxFilter
    ) -> None:
        """Run the filter of `rows` anew, in place, over the frames that missed them.

        It starts from the state at the latest observation and is shown a virtual observation for every
        missed frame, on the straight line (of centre, width and height) to the new box, (K, 4) `xyxy`.
        The state is left predicted to `pts_s`, for the new observation to correct.
        """
        missed = self._columns["missed"][rows]
        found = missed.nonzero()[0]
        if not len(found):
            return
        rows, steps = rows[found], np.minimum(missed[found], _MAX_STEPS) + 1
        before, after = xyxy_to_xywh(self.box[rows]), xyxy_to_xywh(xyxy[found])
        frames = (pts_s - self._columns["seen_s"][rows, -1]) / REFERENCE_FRAME_S / steps
        again = self._columns["state"][rows].transpose(1, 0, 2)
        for step in range(1, int(steps.max())):
            on = (step < steps).nonzero()[0]
            share = (step / steps[on])[:, None]
            virtual = xywh_to_xyxy(before[on] + share * (after[on] - before[on]))
            moved = motion.predict(again[:, on], frames[on, None])
            again[:, on] = motion.update(moved, motion.measure(virtual))
        state[:, rows] = motion.predict(again, frames[:, None])

    def hit(self, rows: IntArray, state: FloatArray, xyxy: FloatArray, pts_s: float) -> None:
        """Note that the tracks `rows` were seen at (K, 4) `xyxy`; all tracks are now in `state`."""
        columns = self._columns
        columns["missed"] += 1
        if not len(rows):
            return
        columns["direction"][rows] = _direction(self._earlier(pts_s)[rows], xyxy)
        seen_s, place = columns["seen_s"], columns["place"]
        # A faster camera fills the places no faster, or they would not reach back far enough.
        full = rows[seen_s[rows, -1] - seen_s[rows, -2] >= self._direction_s / (_PLACES - 1) - _ROUNDING_S]
        seen_s[full, :-1], place[full, :-1] = seen_s[full, 1:], place[full, 1:]
        seen_s[rows, -1], place[rows, -1] = pts_s, (xyxy[:, :2] + xyxy[:, 2:]) / 2
        columns["box"][rows] = xyxy
        columns["state"][rows] = state[:, rows].transpose(1, 0, 2)
        columns["missed"][rows] = 0

    def warp(self, camera: FloatArray, motion: BoxFilter) -> None:
        """Move everything into the picture of a camera that moved by the (2, 3) affine."""
        columns, linear = self._columns, camera[:, :2]
        columns["box"] = warp_boxes(self.box, camera)
        columns["place"] = columns["place"] @ linear.T + camera[:, 2]
        columns["direction"] = _unit(columns["direction"] @ linear.T)
        motion.warp(columns["state"].transpose(1, 0, 2), camera)

    def _earlier(self, pts_s: float) -> FloatArray:
        """Return each track's earliest place within `direction_s`, else its latest, (N, 2)."""
        recent = self._columns["seen_s"] >= pts_s - self._direction_s - _ROUNDING_S
        recent[:, -1] = True
        earlier: FloatArray = self._columns["place"][np.arange(len(recent)), recent.argmax(axis=1)]
        return earlier


def _born(xyxy: FloatArray, state: FloatArray, pts_s: float) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of N tracks that were seen once, at (N, 4) `xyxy`.

    box: (N, 4) latest observation. state: (N, 5, 4) the filter's state after it. missed: (N,) frames since.
    place: (N, 4, 2) centres of the latest observations, newest last; seen_s: (N, 4) their times.
    direction: (N, 2) of motion, length 1 or 0.
    """
    n = len(xyxy)
    place, seen_s = np.zeros((n, _PLACES, 2)), np.full((n, _PLACES), -np.inf)
    place[:, -1], seen_s[:, -1] = (xyxy[:, :2] + xyxy[:, 2:]) / 2, pts_s
    return {
        "box": xyxy,
        "state": state.transpose(1, 0, 2),
        "missed": np.zeros(n, np.int64),
        "place": place,
        "seen_s": seen_s,
        "direction": np.zeros((n, 2)),
    }


def _direction(place: FloatArray, xyxy: FloatArray) -> FloatArray:
    """Return the direction, (N, 2), from each place, (N, 2), to the centre of its box."""
    return _unit((xyxy[:, :2] + xyxy[:, 2:]) / 2 - place)


def _unit(vector: FloatArray) -> FloatArray:
    length = np.sqrt(np.einsum("nk,nk->n", vector, vector))
    unit: FloatArray = vector / (length + _STILL_PX)[:, None]
    return unit
