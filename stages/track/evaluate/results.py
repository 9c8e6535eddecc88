"""Result files as MOTChallenge has them: `frame, id, left, top, width, height, score, -1, -1, -1`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.errors import SinkError, SourceError
from stages.track.boxes import FloatArray
from stages.track.evaluate.choices import Benchmark
from stages.track.evaluate.motchallenge import MotSequence, check_identities
from stages.track.evaluate.rows import CLASS, SCORE, read_rows, refuse


def write_results(path: Path, rows: FloatArray) -> None:
    """Write (N, 7) rows of frame, id, left, top, width, height, score; folders are made.

    Lengths are written with two decimals, which is as exact as `TrackerRun.rows` are.

    Raises:
        SinkError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            np.savetxt(file, rows, fmt="%d,%d,%.2f,%.2f,%.2f,%.2f,%.4f,-1,-1,-1")
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_results(folder: Path, sequence: MotSequence) -> FloatArray:
    """Read `<folder>/<sequence>.txt` of any tool, (N, 7) as `write_results` takes them.

    Raises:
        SourceError: if the file is missing or malformed, or holds other classes than pedestrians.
    """
    path = folder / f"{sequence.name}.txt"
    if not path.is_file():
        raise SourceError(f"{path}: no results of this sequence; --sequence NAME scores some of them only")
    rows = read_rows(path, range(7, 11))
    check_identities(path, rows, sequence.frames)
    if sequence.benchmark is not Benchmark.MOT15 and rows.shape[1] > CLASS:
        refuse(path, rows[:, CLASS] > 1, "only class 1, pedestrians, can be scored", rows[:, CLASS])
    return rows[:, : SCORE + 1]
