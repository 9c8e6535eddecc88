"""Counts at many lines at once: keeps the objects' paths, and tells each line of the steps near it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from stages.count.geometry import F64Array
from stages.count.lines.crossing import TRAIL_POINTS, Crossing, TimedPoint
from stages.count.lines.near import Near
from stages.count.lines.watch import LineWatch, Sight

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


class Counted(NamedTuple):
    """A crossing that became final, and the number of its line."""

    line: int
    crossing: Crossing


class Met(NamedTuple):
    """A step that met a line, counted or not: the number of the line and the object's row."""

    line: int
    row: int


@dataclass(slots=True)
class _Path:
    """Where an object was.

    Attributes:
        last_s: when it was observed last.
        at: where that was, (x, y) px; None when places are not to be trusted any more.
        recent: its latest positions, since they are to be trusted.
    """

    last_s: float
    at: list[float] | None = None
    recent: deque[TimedPoint] = field(default_factory=lambda: deque(maxlen=TRAIL_POINTS // 2))


class LineCounters:
    """Finds the crossings of several lines by many objects; see `LineCounter` for what counts.

    Args:
        watches: the lines.
        forget_s: an object unobserved for longer is forgotten; should its id return, it is new here.

    Attributes:
        met: which lines were met at the latest update, whether that counts or not.
    """

    def __init__(self, watches: Sequence[LineWatch], forget_s: float) -> None:
        self._watches = tuple(watches)
        self._near = Near([watch.line for watch in watches], [watch.band_px for watch in watches])
        self._forget_s = forget_s
        self._paths: dict[int, _Path] = {}  # in the order of their latest observation
        self.met: list[Met] = []

    def __len__(self) -> int:
        """Return the number of objects that are remembered."""
        return len(self._paths)

    def update(
        self,
        time_s: float,
        ids: Sequence[int],
        points: F64Array,
        labels: Sequence[str],
        attributes: Sequence[Mapping[str, str]] | None = None,
    ) -> list[Counted]:
        """Take the positions observed at `time_s`; call it for every frame, also without any.

        Args:
            time_s: media time, never less than before.
            ids: (N,) ids, each once.
            points: (N, 2) float64 px.
            labels: (N,) classes.
            attributes: (N,) what else is known of each.

        Returns:
            The crossings that became final: line by line, in the order of `ids`, then of vanished objects.
        """
        self.met = []
        final = self._advance(time_s, ids, points, labels, attributes) if ids and self._watches else []
        for number, watch in enumerate(self._watches):
            if watch.stays:
                final += [Counted(number, crossing) for crossing in watch.retire(time_s)]
        while self._paths:
            oldest = next(iter(self._paths))
            if time_s - self._paths[oldest].last_s <= self._forget_s:
                break
            self._forget(oldest)
        return sorted(final, key=lambda counted: counted.line) if len(final) > 1 else final

    def finish(self) -> list[Counted]:
        """Return the crossings that are final because nothing more will be seen; forget all objects."""
        self._paths.clear()
        final = [
            Counted(number, crossing)
            for number, watch in enumerate(self._watches)
            for crossing in watch.finish()
        ]
        for watch in self._watches:
            watch.clear()
        return final

    def suspend(self) -> None:
        """Forget where all objects are, as places cannot be trusted, but not how often each was counted."""
        for path in self._paths.values():
            path.at = None
            path.recent.clear()
        for watch in self._watches:
            watch.suspend()

    def _advance(
        self,
        time_s: float,
        ids: Sequence[int],
        points: F64Array,
        labels: Sequence[str],
        attributes: Sequence[Mapping[str, str]] | None,
    ) -> list[Counted]:
        places = points.tolist()
        paths = [self._path(track_id, time_s) for track_id in ids]
        origins = [path.at or place for path, place in zip(paths, places, strict=True)]
        rows, lines = self._near.pairs(np.array(origins), points).nonzero()
        told = set(zip(lines.tolist(), rows.tolist(), strict=True))
        row_of: dict[int, int] | None = None
        for number, watch in enumerate(self._watches):
            if watch.stays:
                row_of = row_of or {track_id: row for row, track_id in enumerate(ids)}
                told.update((number, row_of[followed]) for followed in watch.stays if followed in row_of)
        final: list[Counted] = []
        for number, row in sorted(told):
            (x, y), recent = places[row], paths[row].recent
            sight = Sight(
                ids[row],
                (time_s, x, y),
                labels[row],
                _NO_ATTRIBUTES if attributes is None else attributes[row],
            )
            if recent:
                outcome = self._watches[number].step(recent[-1], sight, recent)
                final += [Counted(number, crossing) for crossing in outcome.final]
                if outcome.met:
                    self.met.append(Met(number, row))
            else:
                self._watches[number].begin(sight)
        for path, place in zip(paths, places, strict=True):
            path.at = place
            path.recent.append((time_s, place[0], place[1]))
        return final

    def _path(self, track_id: int, time_s: float) -> _Path:
        """Return an object's path, as the latest in order."""
        path = self._paths.pop(track_id, None)
        if path is not None and time_s - path.last_s > self._forget_s:
            self._drop(track_id)
            path = None
        if path is None:
            path = _Path(time_s)
        path.last_s = time_s
        self._paths[track_id] = path
        return path

    def _forget(self, track_id: int) -> None:
        del self._paths[track_id]
        self._drop(track_id)

    def _drop(self, track_id: int) -> None:
        for watch in self._watches:
            watch.forget(track_id)
