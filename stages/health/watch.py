"""When a problem begins and ends: what single looks say, with hysteresis in time."""

from __future__ import annotations

from dataclasses import dataclass

from stages.health.problem import PROBLEMS, Finding, Findings, Problem

# However far apart looks are, one alone begins and ends nothing.
_FEWEST_LOOKS = 2


@dataclass(frozen=True, slots=True)
class Change:
    """A problem has begun or ended.

    Attributes:
        problem: which.
        begins: True for its begin.
        at_s: media time at which it began or ended, before it was certain.
        finding: what the look says that made it certain.
        number: of this occurrence, from 1.
        began_s: media time of its begin.
    """

    problem: Problem
    begins: bool
    at_s: float
    finding: Finding
    number: int
    began_s: float


@dataclass(slots=True)
class _State:
    """What is known of one problem.

    Attributes:
        began_s: since when it has been there; None when it is not.
        turned_s: since when the looks have said the opposite.
        looks: how many did.
        number: occurrences so far.
        total_s: time of those that are over.
        last: what the latest look that could tell said.
    """

    began_s: float | None = None
    turned_s: float | None = None
    looks: int = 0
    number: int = 0
    total_s: float = 0.0
    last: Finding | None = None


class Watch:
    """Follows each problem through the looks of a stream.

    A look that cannot tell changes nothing: a camera that has been moved is still moved in the dark, and what
    was only suspected must be seen anew.

    Args:
        after_s: seconds for which looks must say that a problem is there, before it begins.
        clear_s: seconds for which they must say that it is not, before it ends.
    """

    def __init__(self, after_s: float, clear_s: float) -> None:
        self._after_s = after_s
        self._clear_s = clear_s
        self._states: dict[Problem, _State] = {problem: _State() for problem in PROBLEMS}

    @property
    def active(self) -> tuple[Problem, ...]:
        """The problems that are there, the worst first."""
        return tuple(problem for problem, state in self._states.items() if state.began_s is not None)

    def update(self, time_s: float, findings: Findings) -> list[Change]:
        """Take one look.

        Args:
            time_s: media time, ascending.
            findings: what it says of the problems that are watched.
        """
        changes = []
        for problem, finding in findings.items():
            state = self._states[problem]
            if finding is None or finding.bad == (state.began_s is not None):
                state.turned_s, state.looks = None, 0
                state.last = finding or state.last
                continue
            state.last = finding
            if state.turned_s is None:
                state.turned_s = time_s
            state.looks += 1
            known_s = state.turned_s if finding.since_s is None else min(finding.since_s, state.turned_s)
            wait_s = self._after_s if finding.bad else self._clear_s
            if time_s - known_s >= wait_s - 1e-6 and state.looks >= _FEWEST_LOOKS:
                changes.append(self._turned(problem, state, known_s, finding))
        return changes

    def end(self, time_s: float) -> list[Change]:
        """End whatever is there, because nothing more is seen; forget what is suspected."""
        changes = []
        for problem, state in self._states.items():
            if state.began_s is not None and state.last is not None:
                changes.append(self._turned(problem, state, time_s, state.last))
            state.turned_s, state.looks, state.last = None, 0, None
        return changes

    def summary(self, time_s: float) -> dict[str, dict[str, float]]:
        """Return how often and for how long each problem was there, for those that were."""
        return {
            problem: {
                "times": state.number,
                "seconds": round(
                    state.total_s + (0.0 if state.began_s is None else max(time_s - state.began_s, 0.0)), 3
                ),
            }
            for problem, state in list(self._states.items())
            if state.number
        }

    def _turned(self, problem: Problem, state: _State, at_s: float, finding: Finding) -> Change:
        begins = state.began_s is None
        if state.began_s is None:
            state.number += 1
            state.began_s = began_s = at_s
        else:
            began_s, state.began_s = state.began_s, None
            state.total_s += max(at_s - began_s, 0.0)
        state.turned_s, state.looks = None, 0
        return Change(problem, begins, at_s, finding, state.number, began_s)
