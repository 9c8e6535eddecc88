"""Judging settings by a known truth: HOTA and IDF1 instead of trials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.errors import SourceError, StageError
from stages.track.boxes import FloatArray
from stages.track.evaluate import scoring
from stages.track.evaluate.choices import Benchmark
from stages.track.evaluate.motchallenge import MotSequence, check_identities
from stages.track.evaluate.rows import FRAME, read_rows
from stages.track.evaluate.scoring import Scores
from stages.track.methods import Tracker
from stages.track.tune.recording import Recording

_SECTIONS = 6


@dataclass(frozen=True, eq=False)
class TruthJudged:
    """The scores of one set of settings.

    Attributes:
        scores: of the whole recording.
        leave_one_out: (K,) the figure without each of K sections of the recording.
    """

    scores: Scores
    leave_one_out: FloatArray

    @property
    def total(self) -> float:
        """The one figure: the mean of HOTA and IDF1."""
        return _figure(self.scores)


def read_truth(path: Path, recording: Recording, *, whole: bool) -> MotSequence:
    """Read gt rows of the recording; frame 1 is its first picture.

    Args:
        path: MOTChallenge rows: frame, id, left, top, width, height, considered, then class and visibility
            (9 columns) or x, y, z (10).
        recording: what it is the truth of.
        whole: False if only the beginning was looked at; later truth is then left out.

    Raises:
        ConfigError: if trackeval is missing.
        SourceError: if the file cannot be read, is malformed, or is the truth of something longer.
    """
    scoring.require_trackeval()
    truth = read_rows(path, (9, 10))
    frames = recording.frames
    if not whole:
        truth = truth[truth[:, FRAME] <= frames]
    elif len(truth) and truth[:, FRAME].max() > frames:
        last = truth[:, FRAME].max()
        raise SourceError(
            f"{path}: goes up to picture {last:.0f}, but the clip has {frames}; is it another's?"
        )
    if not len(truth):
        raise SourceError(f"{path}: holds no truth of the {frames} pictures looked at")
    check_identities(path, truth, frames)
    rules = Benchmark.MOT15 if truth.shape[1] == 10 else Benchmark.MOT17
    rate_hz = (frames - 1) / recording.seconds if recording.seconds else 1.0
    return MotSequence("clip", path.parent, rate_hz, frames, rules, truth, None, None)


def judge_by_truth(recording: Recording, truth: MotSequence, tracker: Tracker) -> TruthJudged:
    """Run a fresh tracker over the recording and score what it says."""
    rows = _rows(recording, tracker)
    edges = np.linspace(0, truth.frames, min(_SECTIONS, truth.frames) + 1).astype(int)
    raw = {}
    for number, (first, end) in enumerate(pairwise(edges.tolist())):
        part = replace(truth, name=f"part{number}", frames=end - first, truth=_cut(truth.truth, first, end))
        if len(part.truth):
            raw[part.name] = scoring.score(part, _cut(rows, first, end))
    without = [{name: each for name, each in raw.items() if name != left_out} for left_out in raw]
    figures = [_figure(scoring.summary(scoring.combine(each))) for each in without if each]
    return TruthJudged(scoring.summary(scoring.score(truth, rows)), np.array(figures))


def _rows(recording: Recording, tracker: Tracker) -> FloatArray:
    rows = [np.empty((0, 7))]
    for frame, pts_s in enumerate(recording.pts_s.tolist()):
        try:
            tracks = tracker.update(recording.table(recording.rows_of(frame)), pts_s)
        except ValueError as error:
            raise StageError(f"the tracker refuses the picture at {pts_s:.2f} s: {error}") from error
        xyxy = tracks.xyxy.astype(np.float64)
        columns = [
            np.full(len(tracks), frame + 1.0),
            tracks.id,
            xyxy[:, :2],
            xyxy[:, 2:] - xyxy[:, :2],
            tracks.score,
        ]
        rows.append(np.column_stack(columns))
    return np.concatenate(rows)


def _cut(rows: FloatArray, first: int, end: int) -> FloatArray:
    """Return the rows of frames first + 1 to end, counted from 1."""
    part = rows[(rows[:, FRAME] > first) & (rows[:, FRAME] <= end)].copy()
    part[:, FRAME] -= first
    return part


def _figure(scores: Scores) -> float:
    return (scores.hota + scores.idf1) / 2
