"""HOTA, CLEAR MOT and identity scores by trackeval, with its MOTChallenge preprocessing.

HOTA: Luiten et al. 2020; MOTA: Bernardin and Stiefelhagen 2008; IDF1: Ristani et al. 2016.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from stages.track.boxes import FloatArray
from stages.track.evaluate.motchallenge import MotSequence
from stages.track.evaluate.rows import CLASS, FRAME, ID, SCORE

RawScore = dict[str, dict[str, Any]]
"""What trackeval counted, by metric: what `combine` needs."""


@dataclass(frozen=True)
class Scores:
    """The scores that comparisons are made by; the first five in percent, at most 100."""

    hota: float
    deta: float
    assa: float
    mota: float
    idf1: float
    idsw: int
    fp: int
    fn: int


def score(sequence: MotSequence, rows: FloatArray) -> RawScore:
    """Score the results of one sequence.

    Args:
        sequence: with the truth and whose rules it is read by.
        rows: (N, >= 6) frame, id, left, top, width, height; an id once in a frame.

    Raises:
        ConfigError: if trackeval is not installed.
    """
    with _trackeval() as trackeval, tempfile.TemporaryDirectory(prefix="sightline-") as temp:
        folder = Path(temp)
        # Written anew, as trackeval guesses a file's form from its first line and needs memory for the
        # largest id.
        _write(folder / "truth" / f"{sequence.name}.txt", _truth_rows(sequence))
        _write(folder / "tracker" / f"{sequence.name}.txt", _result_rows(rows))
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": temp,
                "GT_LOC_FORMAT": "{gt_folder}/truth/{seq}.txt",
                "TRACKERS_FOLDER": temp,
                "TRACKERS_TO_EVAL": ["tracker"],
                "TRACKER_SUB_FOLDER": "",
                "SEQ_INFO": {sequence.name: sequence.frames},
                "BENCHMARK": sequence.benchmark.value,
                "SKIP_SPLIT_FOL": True,
                "PRINT_CONFIG": False,
            }
        )
        raw = dataset.get_raw_seq_data("tracker", sequence.name)
        data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
        return {name: metric.eval_sequence(data) for name, metric in _metrics(trackeval).items()}


def combine(raw: Mapping[str, RawScore]) -> RawScore:
    """Pool sequences as the MOTChallenge server does: sums of counts, not means of rates."""
    with _trackeval() as trackeval:
        return {
            name: metric.combine_sequences({sequence: found[name] for sequence, found in raw.items()})
            for name, metric in _metrics(trackeval).items()
        }


def summary(raw: RawScore) -> Scores:
    """Return the scores; HOTA, DetA and AssA as means over the localisation thresholds 0.05 to 0.95."""
    hota, clear, identity = raw["hota"], raw["clear"], raw["identity"]
    return Scores(
        hota=_percent(hota["HOTA"]),
        deta=_percent(hota["DetA"]),
        assa=_percent(hota["AssA"]),
        mota=_percent(clear["MOTA"]),
        idf1=_percent(identity["IDF1"]),
        idsw=int(clear["IDSW"]),
        fp=int(clear["CLR_FP"]),
        fn=int(clear["CLR_FN"]),
    )


def require_trackeval() -> None:
    """Raise a ConfigError if trackeval is not installed: better now than after an hour of tracking."""
    with _trackeval():
        pass


@contextmanager
def _trackeval() -> Iterator[Any]:
    """Import trackeval, and keep what it prints to itself."""
    with redirect_stdout(io.StringIO()):
        try:
            import trackeval
        except ImportError as error:
            raise ConfigError(
                f'scores need trackeval, which cannot be imported ({error}): pip install "sightline[eval]"'
            ) from error
        yield trackeval


def _metrics(trackeval: Any) -> dict[str, Any]:
    quiet = {"PRINT_CONFIG": False}
    metrics = trackeval.metrics
    return {"hota": metrics.HOTA(), "clear": metrics.CLEAR(quiet), "identity": metrics.Identity(quiet)}


def _truth_rows(sequence: MotSequence) -> FloatArray:
    return _dense(sequence.truth[:, : CLASS + 1])


def _result_rows(rows: FloatArray) -> FloatArray:
    """All of class 1; without scores, which no metric here looks at."""
    ones = np.ones((len(rows), 2))
    return _dense(np.concatenate([rows[:, :SCORE], ones], axis=1))


def _dense(rows: FloatArray) -> FloatArray:
    """Return a copy with ids from 1 on without holes, in the order that they had."""
    rows = rows.copy()
    rows[:, ID] = np.unique(rows[:, ID], return_inverse=True)[1] + 1
    return rows


def _write(path: Path, rows: FloatArray) -> None:
    path.parent.mkdir(exist_ok=True)
    formats = ["%.17g"] * rows.shape[1]
    formats[FRAME] = formats[ID] = "%d"
    np.savetxt(path, rows, fmt=",".join(formats))


def _percent(share: Any) -> float:
    return 100 * float(np.mean(share))
