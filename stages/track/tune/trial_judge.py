"""Judging settings without a truth: reference objects, and trials that hide them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.track.boxes import FloatArray
from stages.track.tune.judge import Evidence, Figures, judge
from stages.track.tune.knobs import Method
from stages.track.tune.recording import Recording
from stages.track.tune.reference import References, find_references
from stages.track.tune.sweep import Changes
from stages.track.tune.trials import Trials, draw_trials

LEAST_OBJECTS = 5
LEAST_ABSENCES = 12

# About so many pictures are tracked for each kind of trial, in two to six rounds: short clips need more.
_PICTURES = 1000


@dataclass(frozen=True, eq=False)
class TrialJudged:
    """What trials showed of one set of settings."""

    evidence: Evidence

    @cached_property
    def figures(self) -> Figures:
        """The figures of all groups."""
        return self.evidence.figures()

    @property
    def total(self) -> float:
        """The one figure, 0 to 100."""
        return self.figures.total

    @cached_property
    def leave_one_out(self) -> FloatArray:
        """(K,) the figure without each group."""
        return np.array([self.evidence.figures(k).total for k in range(self.evidence.groups)])


class TrialJudge:
    """Judges settings of one method on one recording; equal seeds give equal judgements."""

    def __init__(self, recording: Recording, lengths_s: tuple[float, ...], seed: int) -> None:
        self.recording = recording
        self.references: References = find_references(recording)
        rounds = 2 * min(max(round(_PICTURES / max(recording.frames, 1) / 2), 1), 3)
        self.trials, self._fresh = (
            draw_trials(recording, self.references, lengths_s, rounds, each)
            for each in (2 * seed, 2 * seed + 1)
        )

    @property
    def absences(self) -> int:
        """How often an object is hidden."""
        return sum(map(len, self.trials.absences))

    @property
    def enough(self) -> bool:
        """Whether there is enough to judge by."""
        return len(self.references) >= LEAST_OBJECTS and self.absences >= LEAST_ABSENCES

    def notes(self) -> list[str]:
        """Return what could not be judged, and what would help."""
        notes = []
        if not self.enough:
            notes.append(
                f"too little to judge by: at least {LEAST_OBJECTS} objects and {LEAST_ABSENCES} absences are "
                "needed. A longer clip helps (--minutes), with objects that are seen apart from each other "
                "for 2 s and more, or a detector that loses them less often"
            )
            return notes
        hidden = np.concatenate([each.length for each in self.trials.absences])
        never = [length for kind, length in enumerate(self.trials.lengths_s) if not (hidden == kind).any()]
        if never:
            which = " or ".join(f"{length:g} s" for length in never)
            notes.append(
                f"no object is followed for long enough to hide it for {which}, so how long to remember "
                "cannot be judged beyond that; a longer clip helps"
            )
        return notes

    def judge(self, method: Method, changes: Changes) -> TrialJudged:
        """Judge by the trials that all settings are compared by."""
        return self._by(self.trials, method, changes)

    def again(self, method: Method, changes: Changes) -> TrialJudged:
        """Judge by fresh draws."""
        return self._by(self._fresh, method, changes)

    def _by(self, trials: Trials, method: Method, changes: Changes) -> TrialJudged:
        return TrialJudged(judge(self.recording, self.references, trials, lambda: method.make(changes)))
