"""What is noted of an object while it is in sight."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from stages.count.history.path import BoolArray, Path
from stages.count.history.verify import Account

MOST_POSITIONS = 6000
"""Of one row; the path of an object that is there for longer is kept in parts."""

LONGEST_S = 1800.0
"""Of one row; so a row's day tells within half an hour when it began."""


@dataclass(slots=True)
class Sighting:
    """All positions of an object since it came, or since the last part of its path was kept.

    Attributes:
        run: see `Row`.
        part: see `Row`.
        began_us: media time of the first sighting of all.
        offset_ns: UTC less media time at that.
        start_ns: UTC of the first position.
        end_ns: UTC of the latest position.
        times_s: media time of each position.
        boxes: xyxy px of each, one after the other.
        vanished: numbers of the positions before which it had vanished.
        kept: numbers of the positions that must stay points.
        labels: classes, each with the media time from which on it was that.
        account: what was counted of it.
    """

    run: str
    part: int
    began_us: int
    offset_ns: int
    start_ns: int
    end_ns: int
    times_s: array[float] = field(default_factory=lambda: array("d"))
    boxes: array[float] = field(default_factory=lambda: array("f"))
    vanished: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    labels: list[tuple[float, str]] = field(default_factory=list)
    account: Account = field(default_factory=Account)

    def add(self, time_s: float, time_ns: int, box: list[float], label: str) -> None:
        """Note a position."""
        if not self.labels or self.labels[-1][1] != label:
            self.labels.append((time_s, label))
            self.kept.append(len(self.times_s))
        self.times_s.append(time_s)
        self.boxes.extend(box)
        self.end_ns = time_ns

    def return_after(self, vanished: bool) -> None:
        """Note that the next position comes after a long time without sight.

        Args:
            vanished: there was a frame in that time at which it counted as vanished.
        """
        number = len(self.times_s)
        self.kept += [number - 1, number]
        if vanished:
            self.vanished.append(number)

    def is_long(self, time_s: float) -> bool:
        """Whether its path should be kept before it goes on at `time_s`."""
        return len(self.times_s) >= MOST_POSITIONS or time_s - self.times_s[0] > LONGEST_S

    def next_part(self) -> Sighting:
        """Return what goes on where this ends: the latest position is the next part's first."""
        after = Sighting(self.run, self.part + 1, self.began_us, self.offset_ns, self.end_ns, self.end_ns)
        after.account = self.account
        after.add(self.times_s[-1], self.end_ns, self.boxes[-4:].tolist(), self.labels[-1][1])
        return after

    def path(self) -> Path:
        """Return all positions."""
        boxes = np.frombuffer(self.boxes, np.float32).astype(np.float64).reshape(-1, 4)
        return Path(np.array(self.times_s), boxes, self._marks(self.vanished))

    def must_stay(self) -> BoolArray:
        """Return (N,) bool, True for positions that must stay points."""
        return self._marks(self.kept)

    def changes(self) -> tuple[tuple[int, str], ...]:
        """Return the classes before the latest one, each with the microsecond up to which it was that."""
        ends = [round(since_s * 1e6) for since_s, _ in self.labels[1:]]
        return tuple((end, label) for end, (_, label) in zip(ends, self.labels, strict=False))

    def _marks(self, numbers: list[int]) -> BoolArray:
        marks = np.zeros(len(self.times_s), bool)
        marks[numbers] = True
        return marks
