"""What an evaluation says: a table with notes for people, a document for machines."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import SourceError
from stages.track.evaluate import costs
from stages.track.evaluate.detections import DetectionFile, Scale
from stages.track.evaluate.motchallenge import MotSequence
from stages.track.evaluate.run import Evaluation
from stages.track.evaluate.tracking import TrackerRun

SCHEMA = "sightline.evaluation/1"
COMBINED = "COMBINED"

_WIDEST = 500
"""Columns that a table may take: a narrow terminal wraps lines, which is better than cut figures."""

_PACKAGES = ("sightline", "trackeval", "numpy", "scipy", "opencv-python", "av")
_RATES = {"hota": "HOTA", "deta": "DetA", "assa": "AssA", "mota": "MOTA", "idf1": "IDF1"}
_COUNTS = {"idsw": "IDSW", "fp": "FP", "fn": "FN"}
_SCALES = {
    Scale.SIGMOID: "scores outside 0..1 went through 1 / (1 + exp(-2 score))",
    Scale.ALL_EQUAL: "scores all equal were taken as 1",
}


def table(evaluations: Mapping[str, Evaluation], sequences: Sequence[MotSequence]) -> str:
    """Return the scores as a table: by sequence, then of all together; milliseconds where trackers ran.

    It is as wide as it needs to be. On a terminal its headings are bold.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = _time_columns([run for evaluation in evaluations.values() for run in evaluation.runs.values()])
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("sequence", "method"):
        grid.add_column(heading, no_wrap=True)
    for heading in [*_RATES.values(), *_COUNTS.values(), *columns]:
        grid.add_column(heading, justify="right", no_wrap=True)
    names = [sequence.name for sequence in sequences]
    for name in names if len(names) == 1 else [*names, COMBINED]:
        for method, evaluation in evaluations.items():
            chosen = evaluation.combined if name == COMBINED else evaluation.scores[name]
            cells = [f"{getattr(chosen, key):.2f}" for key in _RATES]
            cells += [str(getattr(chosen, key)) for key in _COUNTS]
            cells += [column(_chosen(evaluation.runs, name)) for column in columns.values()]
            grid.add_row(*(Text(cell) for cell in (name, method, *cells)))
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = max(console.width, _WIDEST)
    with console.capture() as captured:
        console.print(grid)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _time_columns(runs: Sequence[TrackerRun]) -> dict[str, Callable[[Sequence[TrackerRun]], str]]:
    """Return what fills the columns of time: only those that any of these runs has something for."""
    columns: dict[str, Callable[[Sequence[TrackerRun]], str]] = {}
    if runs:
        columns["ms"] = lambda these: _cell(costs.update_ms(these), "median")
        columns["ms p99"] = lambda these: _cell(costs.update_ms(these), "p99")
    if any(run.looks is not None for run in runs):
        columns["looked %"] = lambda these: _percent(costs.looked_share(these))
        columns["look ms"] = lambda these: _cell(costs.look_ms(these), "mean")
    if any(run.camera_s is not None for run in runs):
        columns["camera ms"] = lambda these: _cell(costs.camera_ms(these), "mean")
    return columns


def _cell(milliseconds: Mapping[str, float] | None, which: str) -> str:
    return "-" if milliseconds is None else f"{milliseconds[which]:.2f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def notes(
    sequences: Sequence[MotSequence], evaluations: Mapping[str, Evaluation], min_score: float = 0.0
) -> list[str]:
    """Return, line by line, what was done to the input, and what the milliseconds are.

    Args:
        sequences: that were evaluated.
        evaluations: by method.
        min_score: below which detections were left out.
    """
    lines = [_split("rules of {}", {s.name: str(s.benchmark) for s in sequences})]
    runs = [run for evaluation in evaluations.values() for run in evaluation.runs.values()]
    if not runs:
        return lines
    lines += _appearance_notes(evaluations)
    told = [
        name
        for name, found in evaluations.items()
        if any(run.camera_s is not None for run in found.runs.values())
    ]
    if told:
        lines.append(f"camera motion by optical flow: {', '.join(told)}")
    files = {s.name: s.detections for s in sequences if s.detections is not None}
    for scale, what in _SCALES.items():
        names = [name for name, file in files.items() if file.scale is scale]
        if names:
            lines.append(f"{what}: {', '.join(names)}")
    if min_score > 0:
        lines.append(f"detections with scores below {min_score:g} left out")
    small = {name: file.small for name, file in files.items() if file.small}
    if small:
        each = ", ".join(f"{name} {count}" for name, count in small.items())
        lines.append(f"boxes under 1 px left out: {each}")
    lines.append("ms: median a frame of the tracker alone")
    columns = _time_columns(runs)
    if "looked %" in columns:
        lines.append("looked %, look ms: share of the boxes that were described, mean a frame beside ms")
    if "camera ms" in columns:
        lines.append("camera ms: mean a frame beside ms")
    return lines


def _appearance_notes(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """Say what described the boxes, once if it did so for all methods, else for those that it did it for."""
    kinds: dict[str, list[str]] = {}
    for method, evaluation in evaluations.items():
        used = {name: _embedder_of(evaluation, run) for name, run in evaluation.runs.items()}
        kinds.setdefault(_split("{}", used), []).append(method)
    if len(kinds) == 1:
        return [f"appearance: {next(iter(kinds))}"]
    return [f"appearance of {', '.join(methods)}: {kind}" for kind, methods in kinds.items()]


def _embedder_of(evaluation: Evaluation, run: TrackerRun) -> str:
    return "none" if run.looks is None else evaluation.embedder


def _split(template: str, values: Mapping[str, str]) -> str:
    """Say a value once if all sequences have it, else who has which."""
    kinds: dict[str, list[str]] = {}
    for name, value in values.items():
        kinds.setdefault(value, []).append(name)
    if len(kinds) == 1:
        return template.format(next(iter(kinds)))
    return template.format("; ".join(f"{kind} ({', '.join(names)})" for kind, names in kinds.items()))


def document(
    evaluations: Mapping[str, Evaluation],
    sequences: Sequence[MotSequence],
    settings: Mapping[str, Any],
    results: Path | None = None,
    network: Path | None = None,
) -> dict[str, Any]:
    """Return the whole evaluation as plain values, with what is needed to repeat it.

    Rates are in percent. `sequences` has each file with its SHA-256, `methods` has the scores.

    Args:
        evaluations: by method.
        sequences: that were evaluated.
        settings: what was asked for.
        results: the folder of result files that were scored, if no tracker ran.
        network: the file that described boxes, if one did.

    Raises:
        SourceError: if a file that was read has gone.
    """
    return {
        "schema": SCHEMA,
        "versions": _versions(),
        "settings": dict(settings),
        "network": None if network is None else _file(network),
        "sequences": {sequence.name: _sequence(sequence, results) for sequence in sequences},
        "methods": {name: _evaluation(evaluation) for name, evaluation in evaluations.items()},
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": sys.platform, "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _sequence(sequence: MotSequence, results: Path | None) -> dict[str, Any]:
    files = dict(sequence.files)
    if results is not None:
        files["results"] = results / f"{sequence.name}.txt"
    return {
        "frames": sequence.frames,
        "rate_hz": sequence.rate_hz,
        "benchmark": str(sequence.benchmark),
        "truth_boxes": len(sequence.truth),
        "detections": None if sequence.detections is None else _detections(sequence.detections),
        "pictures": None if sequence.pictures is None else sequence.pictures.kind,
        "files": {what: _file(path) for what, path in files.items()},
    }


def _detections(file: DetectionFile) -> dict[str, Any]:
    return {"boxes": len(file), "left_out_under_1_px": file.small, "scores": str(file.scale)}


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "combined": _scores(evaluation, COMBINED),
        "sequences": {name: _scores(evaluation, name) for name in evaluation.scores},
    }


def _scores(evaluation: Evaluation, name: str) -> dict[str, Any]:
    scores = evaluation.combined if name == COMBINED else evaluation.scores[name]
    found: dict[str, Any] = {title: round(getattr(scores, key), 4) for key, title in _RATES.items()}
    found |= {title: getattr(scores, key) for key, title in _COUNTS.items()}
    runs = _chosen(evaluation.runs, name)
    if runs:
        share = costs.looked_share(runs)
        found["update_ms"] = costs.update_ms(runs)
        found["look_ms"] = costs.look_ms(runs)
        found["looked_share"] = None if share is None else round(share, 4)
        found["camera_ms"] = costs.camera_ms(runs)
        if name != COMBINED:
            found["appearance"] = _embedder_of(evaluation, runs[0])
    return found


def _chosen(runs: Mapping[str, TrackerRun], name: str) -> list[TrackerRun]:
    return list(runs.values()) if name == COMBINED else [runs[name]] if name in runs else []


def _file(path: Path) -> dict[str, str]:
    return {"path": str(path), "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
