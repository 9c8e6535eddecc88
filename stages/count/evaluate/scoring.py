"""Counts against truth, as figures; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from pipeline.pairing import paired
from stages.count.evaluate.truth import Event, Watched

HOUR_S = 3600.0
SHORTEST_FOR_GEH_S = 900.0
"""Below a quarter of an hour the volume of an hour is a guess, and a GEH of it would say nothing."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Score:
    """Counted against true, for a line, a direction, a class or all.

    Attributes:
        true: crossings that happened.
        counted: crossings that were counted.
        right: counted ones that belong to a true one: same line and direction, in the tolerance, one to one.
        geh: of hourly volumes, the worst of the hours; None where the time is too short or nothing passed.
        hours: how many hourly volumes `geh` is of.
        hours_below_5: how many of them have a GEH below 5, the usual demand.
    """

    true: int
    counted: int
    right: int
    geh: float | None = None
    hours: int = 0
    hours_below_5: int = 0

    @property
    def missed(self) -> int:
        """True crossings that were not counted."""
        return self.true - self.right

    @property
    def extra(self) -> int:
        """Counted crossings that did not happen."""
        return self.counted - self.right

    @property
    def error(self) -> int:
        """How many too many were counted; misses and extras may cancel out."""
        return self.counted - self.true

    @property
    def error_share(self) -> float | None:
        """The error as a share of the truth; None where nothing happened."""
        return self.error / self.true if self.true else None

    @property
    def precision(self) -> float | None:
        """Share of the counted that is right; None where nothing was counted."""
        return self.right / self.counted if self.counted else None

    @property
    def recall(self) -> float | None:
        """Share of the true that was counted; None where nothing happened."""
        return self.right / self.true if self.true else None

    @property
    def precision_95(self) -> Interval | None:
        """Wilson's 95 % interval of the precision (Wilson 1927)."""
        return _wilson(self.right, self.counted)

    @property
    def recall_95(self) -> Interval | None:
        """Wilson's 95 % interval of the recall."""
        return _wilson(self.right, self.true)


@dataclass(frozen=True, slots=True)
class Scores:
    """All figures of one comparison.

    Attributes:
        total: of everything that was watched.
        lines: by line.
        directions: by line and direction.
        classes: by class; right here means the right class too. Empty where truth and run share no class.
        late_s: median of (counted - true) moments of the pairs, seconds; None without pairs.
        apart_s: median of their absolute values.
        missed: true events that no counted one belongs to.
        extra: places of counted events that belong to no true one.
        misnamed: pairs of two classes: (class that it is, class that was counted) -> how many.
        left_out: counted events outside of what was watched.
    """

    total: Score
    lines: Mapping[str, Score]
    directions: Mapping[tuple[str, str], Score]
    classes: Mapping[str, Score]
    late_s: float | None
    apart_s: float | None
    missed: tuple[Event, ...]
    extra: tuple[int, ...]
    misnamed: Mapping[tuple[str, str], int]
    left_out: int


def score(
    counted: Sequence[Event],
    true: Sequence[Event],
    watched: Watched,
    directions: Mapping[str, Sequence[str]],
    tolerance_s: float,
    from_s: float,
    to_s: float,
) -> Scores:
    """Compare counted with true crossings.

    Args:
        counted: of the run.
        true: of the truth, within `from_s` and `to_s`.
        watched: what of the run is judged.
        directions: the names of each line's directions.
        tolerance_s: how far apart in time a counted and a true crossing may be.
        from_s: when watching began, on the clock of the events.
        to_s: when it ended.
    """
    gates = [
        (line, direction)
        for line, chosen in watched.items()
        for direction in directions[line]
        if chosen is None or direction in chosen
    ]
    pairs: list[tuple[int, int]] = []
    kept: list[int] = []
    left_out = 0
    for gate in gates:
        of_truth = [at for at, event in enumerate(true) if (event.line, event.direction) == gate]
        of_count = [at for at, event in enumerate(counted) if (event.line, event.direction) == gate]
        matches = paired(
            [counted[at].time_s for at in of_count],
            [true[at].time_s for at in of_truth],
            tolerance_s,
            found_labels=[counted[at].label for at in of_count],
            true_labels=[true[at].label for at in of_truth],
        )
        pairs += ((of_count[one], of_truth[other]) for one, other in matches)
        matched = {of_count[one] for one, _ in matches}
        # What was counted just outside of the watched time may belong to a crossing just within it.
        within = [at for at in of_count if at in matched or from_s <= counted[at].time_s <= to_s]
        kept += within
        left_out += len(of_count) - len(within)
    found_all = [counted[at] for at in kept]

    def figures(of: Callable[[Event], bool], *, named: bool = False) -> Score:
        found_s = [event.time_s for event in found_all if of(event)]
        true_s = [event.time_s for event in true if of(event)]
        right = sum(of(true[j]) and (not named or of(counted[i])) for i, j in pairs)
        volumes = zip(hourly(found_s, from_s, to_s), hourly(true_s, from_s, to_s), strict=True)
        gehs = [geh(found, truth) for found, truth in volumes if found or truth]
        below = sum(each < 5 for each in gehs)
        return Score(len(true_s), len(found_s), right, max(gehs, default=None), len(gehs), below)

    def of_line(line: str) -> Score:
        return figures(lambda event: event.line == line)

    def of_gate(gate: tuple[str, str]) -> Score:
        return figures(lambda event: (event.line, event.direction) == gate)

    def of_class(name: str) -> Score:
        return figures(lambda event: event.label == name, named=True)

    classes = sorted({event.label for event in true if event.label is not None})
    if not any(event.label in classes for event in found_all):
        classes = []  # the run has other classes altogether
    late = [counted[i].time_s - true[j].time_s for i, j in pairs]
    hit, found = {j for _, j in pairs}, {i for i, _ in pairs}
    misnamed: dict[tuple[str, str], int] = {}
    for i, j in pairs:
        is_a, said = true[j].label, counted[i].label
        if is_a is not None and said is not None and is_a != said:
            misnamed[is_a, said] = misnamed.get((is_a, said), 0) + 1
    return Scores(
        total=figures(lambda _: True),
        lines={line: of_line(line) for line in watched},
        directions={gate: of_gate(gate) for gate in gates},
        classes={name: of_class(name) for name in classes},
        late_s=float(np.median(late)) if late else None,
        apart_s=float(np.median(np.abs(late))) if late else None,
        missed=tuple(event for at, event in enumerate(true) if at not in hit),
        extra=tuple(sorted(at for at in kept if at not in found)),
        misnamed=misnamed,
        left_out=left_out,
    )


def geh(counted: float, true: float) -> float:
    """Return the GEH statistic of two hourly volumes: sqrt(2 (m - c)^2 / (m + c)), 0 where nothing passed.

    Source: Design Manual for Roads and Bridges, Volume 12, Section 2, Part 1, 4.4 (1996).
    """
    both = counted + true
    return sqrt(2 * (counted - true) ** 2 / both) if both else 0.0


def hourly(times_s: Iterable[float], from_s: float, to_s: float) -> list[float]:
    """Return the volumes of an hour each: of the full hours from `from_s` on, or of a shorter time scaled up.

    A remainder after the last full hour is left out. Empty for a time too short, see `SHORTEST_FOR_GEH_S`.
    """
    seconds = to_s - from_s
    times = np.fromiter(times_s, np.float64)
    if seconds < SHORTEST_FOR_GEH_S:
        return []
    if seconds < HOUR_S:
        return [len(times) * HOUR_S / seconds]
    hours = int(seconds // HOUR_S)
    edges = from_s + HOUR_S * np.arange(hours + 1)
    return [float(volume) for volume in np.histogram(times, edges)[0]]


def _wilson(successes: int, trials: int) -> Interval | None:
    if not trials:
        return None
    from scipy.stats import binomtest  # half a second of imports, for the report alone

    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
