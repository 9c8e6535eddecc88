"""How right counts are, with the intervals in which the truth lies; from what a person has marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import hypot, sqrt
from typing import Any

from stages.count.audit.marks import Marks
from stages.count.audit.windows import Window

Interval = tuple[float, float]
HourOf = Callable[[int], str]

_Z = 1.959963984540054
"""The normal distribution's quantile for 95 %."""


def wilson(successes: int, trials: int) -> Interval | None:
    """Return the 95 % score interval of a share (E. B. Wilson, JASA 22, 1927); None without trials.

    It holds for few trials and for shares near 0 and 1, where the usual one (p +- 1.96 s) does not.
    """
    if not trials:
        return None
    share, z2 = successes / trials, _Z * _Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return (max(0.0, middle - half), min(1.0, middle + half))


def poisson(events: int) -> Interval:
    """Return the exact 95 % interval of a mean, having seen so many (F. Garwood, Biometrika 28, 1936)."""
    from scipy.stats import chi2

    low = float(chi2.ppf(0.025, 2 * events)) / 2 if events else 0.0
    return (low, float(chi2.ppf(0.975, 2 * events + 2)) / 2)


def difference(one: int, other: int) -> Interval:
    """Return the 95 % interval of the difference of two Poisson means, having seen `one` and `other`.

    Made from the exact intervals of both (MOVER: G. Zou and A. Donner, Stat. Med. 27, 2008).
    """
    (low, high), (other_low, other_high) = poisson(one), poisson(other)
    return (
        one - other - hypot(one - low, other_high - other),
        one - other + hypot(high - one, other - other_low),
    )


@dataclass(slots=True)
class Accuracy:
    """What was marked in one group (a line, a class, an hour).

    Attributes:
        counts: counted at all, marked or not.
        right: marked so.
        wrong: marked so, for whatever reason.
        reviewed: counts in windows that were looked through; of them
        reviewed_right: right, and
        reviewed_wrong: wrong, and
        misassigned: of those that did cross, but the other way or of another class.
        missed: crossings in these windows that were not counted.
    """

    counts: int = 0
    right: int = 0
    wrong: int = 0
    reviewed: int = 0
    reviewed_right: int = 0
    reviewed_wrong: int = 0
    misassigned: int = 0
    missed: int = 0

    @property
    def true(self) -> int:
        """What did cross in the windows that were looked through."""
        return self.reviewed_right + self.misassigned + self.missed

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: the figures above, `true`, and three shares, each with its 95 % interval.

        `precision`: share of the marked counts that are right (Wilson). `recall`: share of what truly
        crossed, in the windows that were looked through, that was counted rightly (Wilson). `count_error`:
        (counted - true) / true in these windows; its interval takes superfluous and missing counts as
        independent Poisson numbers. None where nothing was marked.
        """
        superfluous = self.reviewed_wrong - self.misassigned
        error = error_interval = None
        if self.true:
            error = (superfluous - self.missed) / self.true
            low, high = difference(superfluous, self.missed)
            error_interval = (max(low / self.true, -1.0), high / self.true)  # nobody counts less than nothing
        return {
            "counts": self.counts,
            "right": self.right,
            "wrong": self.wrong,
            "reviewed": self.reviewed,
            "missed": self.missed,
            "true": self.true,
            "precision": _share(self.right, self.right + self.wrong),
            "precision_interval": _rounded(wilson(self.right, self.right + self.wrong)),
            "recall": _share(self.reviewed_right, self.true),
            "recall_interval": _rounded(wilson(self.reviewed_right, self.true)),
            "count_error": None if error is None else round(error, 6),
            "count_error_interval": _rounded(error_interval),
        }


@dataclass(slots=True)
class Report:
    """The accuracy of all counts, and by group: `line`, `direction`, `class`, `hour`."""

    total: Accuracy = field(default_factory=Accuracy)
    groups: dict[str, dict[str, Accuracy]] = field(default_factory=dict)
    windows: int = 0
    reviewed_windows: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "windows": self.windows,
            "reviewed_windows": self.reviewed_windows,
            "total": self.total.to_dict(),
            "by": {
                kind: {name: one.to_dict() for name, one in sorted(members.items())}
                for kind, members in self.groups.items()
            },
        }


def judge(windows: Iterable[Window], marks: Marks, hour_of: HourOf) -> Report:
    """Return how right the counts are.

    A window counts as looked through when it is marked so and each of its counts is marked. All that belongs
    to a window belongs to the hour in which the window begins.

    Args:
        windows: of the run.
        marks: of a person.
        hour_of: UTC ns -> name of the hour.
    """
    report = Report(groups={"line": {}, "direction": {}, "class": {}, "hour": {}})
    missed_in: dict[str, list[tuple[str, str]]] = {}
    for missed in marks.missed:
        missed_in.setdefault(missed.window, []).append((missed.direction, missed.label))
    windows = list(windows)
    several = len({window.stream for window in windows}) > 1
    for window in windows:
        line = f"{window.stream}/{window.line}" if several else window.line
        hour = hour_of(window.begin_ns)
        verdicts = [marks.counts.get(count.id) for count in window.counts]
        done = window.id in marks.reviewed and None not in verdicts
        report.windows += 1
        report.reviewed_windows += done
        for count, verdict in zip(window.counts, verdicts, strict=True):
            for one in _groups(report, line, count.direction, count.label, hour):
                one.counts += 1
                if verdict is None:
                    continue
                right = verdict.verdict == "right"
                one.right += right
                one.wrong += not right
                if done:
                    one.reviewed += 1
                    one.reviewed_right += right
                    one.reviewed_wrong += not right
                    one.misassigned += verdict.is_misassigned
        for direction, label in missed_in.get(window.id, ()) if done else ():
            for one in _groups(report, line, direction, label, hour):
                one.missed += 1
    return report


def _groups(report: Report, line: str, direction: str, label: str, hour: str) -> list[Accuracy]:
    names: Mapping[str, str] = {
        "line": line,
        "direction": f"{line}: {direction}",
        "class": label or "(none)",
        "hour": hour,
    }
    found = [report.groups[kind].setdefault(name, Accuracy()) for kind, name in names.items()]
    return [report.total, *found]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _rounded(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(side, 6) for side in interval]
