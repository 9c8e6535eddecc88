"""Trying settings one at a time, then the best together, and believing only what chance does not explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from stages.track.boxes import FloatArray
from stages.track.tune.knobs import Knob, Value

Changes = Mapping[str, Value]

SURE = 2.0
"""A gain counts from this many standard errors on,"""
LEAST_GAIN = 1.0
"""and from this many points of 100 on."""


class Judged(Protocol):
    """What is known of one set of settings."""

    @property
    def total(self) -> float:
        """The one figure, 0 to 100."""
        ...

    @property
    def leave_one_out(self) -> FloatArray:
        """(K,) the figure without each of K groups of the evidence."""
        ...


@dataclass(frozen=True, eq=False)
class Try:
    """One set of settings that was tried.

    Attributes:
        changes: what differs from the defaults.
        judged: what came of it.
        gain: its figure less that of the defaults.
        noise: standard error of the gain.
    """

    changes: dict[str, Value]
    judged: Judged
    gain: float = 0.0
    noise: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether it is better than the defaults, beyond chance."""
        return self.gain > max(LEAST_GAIN, SURE * self.noise)


@dataclass(frozen=True, eq=False)
class Sweep:
    """All that was tried.

    Attributes:
        base: the defaults.
        singles: one setting changed, in the order tried.
        together: the best of several settings at once; None where at most one was better.
        chosen: the best of all; None for the defaults.
        confirmed: `chosen` on fresh draws; None without any.
    """

    base: Try
    singles: list[Try] = field(default_factory=list)
    together: Try | None = None
    chosen: Try | None = None
    confirmed: Try | None = None

    @property
    def recommended(self) -> dict[str, Value]:
        """The changes to make; empty when the defaults should be kept."""
        if self.chosen is None or (self.confirmed is not None and not self.confirmed.holds):
            return {}
        return self.chosen.changes


def standard_error(one: FloatArray, other: FloatArray) -> float:
    """Return the standard error of the difference of two figures, by the jackknife (Quenouille, Tukey 1958).

    Args:
        one: (K,) a figure without each of K groups of the evidence.
        other: (K,) another one, of the same groups.
    """
    differences = one - other
    count = len(differences)
    if count < 2:
        return float("inf")
    return float(np.sqrt((count - 1) / count * np.square(differences - differences.mean()).sum()))


def sweep(
    knobs: tuple[Knob, ...],
    judge: Callable[[Changes], Judged],
    again: Callable[[Changes], Judged] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Sweep:
    """Try each value of each knob with the others at their defaults, then what was better together.

    Args:
        knobs: what is tried.
        judge: judges changes of the defaults.
        again: judges them by fresh draws; the best must hold there too, or else the luckiest would win.
        progress: told what is tried next.
    """

    def attempt(changes: dict[str, Value], base: Try | None, by: Callable[[Changes], Judged]) -> Try:
        if progress:
            progress(", ".join(f"{key} {value:g}" for key, value in changes.items()) or "defaults")
        judged = by(changes)
        if base is None:
            return Try(changes, judged)
        noise = standard_error(judged.leave_one_out, base.judged.leave_one_out)
        return Try(changes, judged, judged.total - base.judged.total, noise)

    base = attempt({}, None, judge)
    singles: list[Try] = []
    better: list[Try] = []
    for knob in knobs:
        tries = [attempt({knob.name: value}, base, judge) for value in knob.values if value != knob.default]
        singles += tries
        if (best := _modest(knob, tries)) is not None:
            better.append(best)
    together = None
    if len(better) > 1:
        changes = {key: value for each in better for key, value in each.changes.items()}
        together = attempt(changes, base, judge)
    found = [*better, *([together] if together is not None and together.holds else [])]
    chosen = _simplest(found)
    confirmed = None
    if chosen is not None and again is not None:
        confirmed = attempt(chosen.changes, attempt({}, None, again), again)
    return Sweep(base, singles, together, chosen, confirmed)


def _as_good(one: Try, best: Try) -> bool:
    """Return whether one is no worse than the best by more than one standard error."""
    noise = standard_error(best.judged.leave_one_out, one.judged.leave_one_out)
    return best.gain - one.gain <= noise


def _simplest(found: list[Try]) -> Try | None:
    """Return what changes fewest settings among those that are as good as the best, or None."""
    if not found:
        return None
    best = max(found, key=lambda each: each.gain)
    return min(
        (each for each in found if _as_good(each, best)), key=lambda each: (len(each.changes), -each.gain)
    )


def _modest(knob: Knob, tries: list[Try]) -> Try | None:
    """Return the value nearest to the default among those that are as good as the best, or None."""
    good = [each for each in tries if each.holds]
    if not good:
        return None
    best = max(good, key=lambda each: each.gain)
    default = knob.values.index(knob.default)

    def steps(each: Try) -> int:
        return abs(knob.values.index(each.changes[knob.name]) - default)

    return min((each for each in good if _as_good(each, best)), key=lambda each: (steps(each), -each.gain))
