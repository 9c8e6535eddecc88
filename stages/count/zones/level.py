"""A number that changes in steps: its peak and mean over media time, and when it is too high."""

from __future__ import annotations

from collections.abc import Callable

from stages.count.zones.scene import Report
from stages.count.zones.spells import Data, Spells


class Course:
    """Peak and mean of a number that keeps its value until the next is given.

    Args:
        time_s: media time of the first value.
        value: the first value.
    """

    def __init__(self, time_s: float, value: float) -> None:
        self.value = self.peak = value
        self._begin_s = self._time_s = time_s
        self._sum = 0.0

    def add(self, time_s: float, value: float) -> None:
        """Take the next value."""
        self._sum += self.value * (time_s - self._time_s)
        self.value, self._time_s = value, time_s
        self.peak = max(self.peak, value)

    def mean(self, time_s: float) -> float:
        """Return the mean over media time up to now."""
        seconds = time_s - self._begin_s
        whole = self._sum + self.value * (time_s - self._time_s)
        return whole / seconds if seconds > 0 else self.value


class Threshold:
    """Tells when a number has reached a limit, and when it has fallen below another one.

    Args:
        reach: it begins when the number has been this high,
        below: and ends when it has been lower than this,
        steady_s: for so long without a break.
        update_s: seconds between two updates.
    """

    def __init__(self, reach: float, below: float, steady_s: float, update_s: float) -> None:
        self._reach, self._below, self._steady_s = reach, below, steady_s
        self._spells = Spells(update_s)
        self._since_s: float | None = None
        self.course: Course | None = None

    @property
    def reached(self) -> bool:
        """Whether it is going on."""
        return len(self._spells) > 0

    @property
    def is_open(self) -> bool:
        """Whether it is going on, or about to begin."""
        return self.course is not None

    def look(self, time_s: float, value: float, data: Callable[[], Data]) -> list[Report]:
        """Take the number at this moment; `data` gives the particulars of a report, if one is due."""
        if self.course is None:
            if value < self._reach:
                return []
            self.course = Course(time_s, value)
        else:
            self.course.add(time_s, value)
        if not self.reached:
            if value < self._reach:
                self.course = self._since_s = None
                return []
            if self._since_s is None:
                self._since_s = time_s
            if time_s - self._since_s < self._steady_s:
                return []
            began_s, self._since_s = self._since_s, None
            return self._spells.begin(0, began_s, time_s, data())
        if value >= self._below:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = time_s
        if self._since_s is None:
            return self._spells.update(0, time_s, data())
        return self._ended(self._since_s, "over", data) if time_s - self._since_s >= self._steady_s else []

    def end(self, time_s: float, reason: str, data: Callable[[], Data]) -> list[Report]:
        """Return its end, if it is going on, and begin anew."""
        return self._ended(time_s, reason, data)

    def _ended(self, time_s: float, reason: str, data: Callable[[], Data]) -> list[Report]:
        reports = self._spells.end(0, time_s, reason, data()) if self.reached else []
        self.course = self._since_s = None
        return reports
