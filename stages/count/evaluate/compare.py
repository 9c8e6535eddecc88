"""From a truth and a run to figures; usable without the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stages.count.evaluate.fit import require_fit
from stages.count.evaluate.mot import MotTruth
from stages.count.evaluate.run_folder import Run
from stages.count.evaluate.scoring import Scores, score
from stages.count.evaluate.truth import Truth
from stages.count.evaluate.truth_file import read_truth


@dataclass(frozen=True, slots=True)
class Comparison:
    """A truth against a run.

    Attributes:
        truth: what it was compared with; crossings derived from trajectories are in it.
        scores: the figures.
        seconds: how long was watched.
        notes: what a person should know, a line each.
    """

    truth: Truth
    scores: Scores
    seconds: float
    notes: tuple[str, ...]


def read_any_truth(path: Path, stream: str | None = None) -> Truth | MotTruth:
    """Read a truth file, or a MOTChallenge sequence: its folder or its gt.txt.

    Args:
        path: of the file or folder.
        stream: see `read_truth`.

    Raises:
        SourceError: if it cannot be read.
    """
    if path.is_dir() or path.name == "gt.txt":
        return MotTruth.read(path)
    return read_truth(path, stream)


def compare(truth: Truth | MotTruth, run: Run, tolerance_s: float = 1.0) -> Comparison:
    """Compare what a run counted with the truth.

    Raises:
        ConfigError: if they have other lines.
        SourceError: if they are not of the same clip.
    """
    if isinstance(truth, MotTruth):
        truth = truth.crossings(run)
    notes = [*truth.notes, *require_fit(truth, run, tolerance_s)]
    events = run.events
    if truth.is_utc:
        events = tuple(replace(event, time_s=at) for event, at in zip(events, run.utc_s, strict=True))
    from_s, to_s = truth.from_s, truth.to_s
    if truth.is_utc:
        # Nobody knows for how long somebody stood there; a count outside of it is none of his.
        times = [event.time_s for event in truth.events]
        if from_s is None and times:
            from_s = times[0] - tolerance_s
        if to_s is None and times:
            to_s = times[-1] + tolerance_s
        if truth.from_s is None or truth.to_s is None:
            notes.append(
                "the truth does not say from when to when it was taken ('from', 'to'): "
                "from its first crossing to its last"
            )
    from_s = 0.0 if from_s is None else from_s
    to_s = (
        max(run.media_seconds, max((event.time_s for event in events), default=0.0)) if to_s is None else to_s
    )
    scores = score(events, truth.events, truth.watched, run.lines, tolerance_s, from_s, to_s)
    return Comparison(truth, scores, to_s - from_s, tuple(notes))


def renamed(run: Run, names: Mapping[str, str]) -> Run:
    """Return the run with its labels called as in the truth.

    Args:
        run: as it was read.
        names: the run's label -> the truth's class.
    """
    if not names:
        return run
    events = tuple(
        replace(event, label=event.label and names.get(event.label, event.label)) for event in run.events
    )
    return replace(run, events=events)
