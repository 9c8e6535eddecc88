"""Tables of numbers as MOTChallenge has them: one object a line, values separated by commas or blanks."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import SourceError
from stages.track.boxes import FloatArray

FRAME, ID, LEFT, TOP, WIDTH, HEIGHT, SCORE, CLASS = range(8)
"""Columns of all MOTChallenge files; frames count from 1, lengths are pixels."""


def read_rows(path: Path, columns: Collection[int]) -> FloatArray:
    """Read a table, (N, C) float64, with one of the allowed numbers of columns; an empty file has no rows.

    Raises:
        SourceError: if the file cannot be read, or a line is malformed, has another number of columns than
            the first one, no whole frame number from 1 on, or a value that is not finite.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), None)
        if first is None:
            return np.empty((0, max(columns)))
        delimiter = "," if "," in first else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = np.loadtxt(path, delimiter=delimiter, ndmin=2, comments=None, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not a text file") from error
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(_first_fault(path, delimiter)) from error
    if rows.shape[1] not in columns:
        wanted = " or ".join(map(str, sorted(columns)))
        line = line_of(path, 0)
        raise SourceError(f"{path}:{line}: {rows.shape[1]} columns, but there must be {wanted}")
    finite = np.asarray(np.isfinite(rows).all(axis=1), np.bool_)
    refuse(path, ~finite, "a value is not a finite number")
    frame = rows[:, FRAME]
    refuse(path, (frame < 1) | (frame % 1 != 0), "the frame number must be a whole number from 1 on", frame)
    return rows


def refuse(
    path: Path, wrong: npt.NDArray[np.bool_], why: str, values: npt.NDArray[np.floating] | None = None
) -> None:
    """Raise a SourceError that names the line of the first wrong row, with its value; return if none is."""
    if wrong.any():
        row = int(np.argmax(wrong))
        found = "" if values is None else f", got {values[row]:g}"
        raise SourceError(f"{path}:{line_of(path, row)}: {why}{found}")


def line_of(path: Path, row: int) -> int:
    """Return the line number, from 1, of a row of the table: empty lines hold none."""
    with path.open(encoding="utf-8-sig") as file:
        numbers = (number for number, line in enumerate(file, 1) if line.strip())
        return next(number for index, number in enumerate(numbers) if index == row)


def _first_fault(path: Path, delimiter: str | None) -> str:
    """Say which line a table could not be read at, and why."""
    width = None
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            values = line.strip().split(delimiter)
            for value in values:
                if not _is_number(value):
                    return f"{path}:{number}: {value.strip()[:40]!r} is not a number"
            if width is not None and len(values) != width:
                return f"{path}:{number}: {len(values)} columns, but the first line has {width}"
            width = len(values)
    return f"{path}: not a table of numbers"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
