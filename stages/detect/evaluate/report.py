"""What an evaluation says: a table and notes for people, a document for machines."""

from __future__ import annotations

import hashlib
import math
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import SourceError
from stages.detect.evaluate.dataset import Dataset
from stages.detect.evaluate.detector import Choice
from stages.detect.evaluate.run import Evaluation
from stages.detect.evaluate.scoring import Scores

SCHEMA = 1
ALL = "ALL"
_COLUMNS = {
    "mAP50-95": "ap",
    "mAP50": "ap50",
    "mAP75": "ap75",
    "precision": "precision",
    "recall": "recall",
    "IoU": "iou",
}
_PACKAGES = ("sightline", "pycocotools", "numpy", "opencv-python", "onnxruntime", "ultralytics", "torch")
_NMS = ("nms_iou", "agnostic_nms", "confidence", "max_detections", "image_size", "labels")
_WIDEST = 160


def table(evaluation: Evaluation) -> str:
    """Return the scores by class and of all; those without truths have no rates."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("class", no_wrap=True)
    for heading in ("objects", *_COLUMNS, "found", "false", "best F1", "at"):
        grid.add_column(heading, justify="right", no_wrap=True)
    rows = dict(evaluation.by_class)
    for name, scores in [*rows.items(), (ALL, evaluation.overall)] if len(rows) != 1 else rows.items():
        rates = [_rate(getattr(scores, key)) for key in _COLUMNS.values()]
        counts = [str(scores.found), str(scores.false)]
        best = [_rate(scores.best_f1), _rate(scores.best_confidence)]
        grid.add_row(*map(Text, (name, str(scores.truths), *rates, *counts, *best)))
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = max(console.width, _WIDEST)
    with console.capture() as captured:
        console.print(grid)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def notes(evaluation: Evaluation, dataset: Dataset, choice: Choice) -> list[str]:
    """Return, line by line, by which rules that was scored and what a person should know."""
    rules, options = evaluation.rules, evaluation.options
    times = np.array(evaluation.milliseconds)
    settings = ", ".join(f"{key} {_shown(options[key])}" for key in _NMS if key in options)
    lines = [
        f"{len(dataset.pictures)} pictures, {dataset.kind} format",
        f"precision, recall, found, false: overlap (IoU) from {rules.iou:g}, score from "
        f"{rules.confidence:g}; ALL pools the boxes of all classes",
        f"mAP: mean over IoU 0.5 to 0.95 (50: 0.5, 75: 0.75), at most {rules.max_detections} boxes a picture "
        "and class; ALL is the mean over classes with objects",
        "best F1: over all scores, and the score it is reached at",
        f"stage {choice.name} ran with: {settings or 'no such settings'}",
    ]
    sizes = ", ".join(
        f"{size} {_rate(value)}" for size, value in evaluation.overall.sizes.items() if not math.isnan(value)
    )
    if sizes:
        lines.append(f"mAP50-95 by size (small under 32 x 32 px, large from 96 x 96): {sizes}")
    if len(times):
        lines.append(
            f"{np.median(times):.1f} ms a picture (median; 90 % within {np.quantile(times, 0.9):.1f})"
        )
    if evaluation.unseen:
        lines.append(f"never found, at any score: {', '.join(evaluation.unseen)}")
    if evaluation.foreign:
        first = ", ".join(f"{label} {count}" for label, count in list(evaluation.foreign.items())[:8])
        more = " ..." if len(evaluation.foreign) > 8 else ""
        lines.append(f"detections of labels that the data set does not have, not counted: {first}{more}")
    return [*lines, *dataset.notes]


def document(
    evaluation: Evaluation, dataset: Dataset, choice: Choice, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the whole evaluation as plain values, with what is needed to repeat it; rates within 0..1."""
    times = np.array(evaluation.milliseconds)
    return {
        "schema": SCHEMA,
        "versions": _versions(),
        "asked": dict(asked),
        "rules": asdict(evaluation.rules),
        "dataset": {
            "format": dataset.kind,
            "files": {str(path): _sha256(path) for path in dataset.files},
            "pictures": len(dataset.pictures),
            "classes": list(dataset.classes),
            "notes": list(dataset.notes),
        },
        "detector": {
            "stage": choice.name,
            "options": evaluation.options,
            "model_hash": evaluation.model_hash,
            "milliseconds": {
                "median": round(float(np.median(times)), 3) if len(times) else None,
                "p90": round(float(np.quantile(times, 0.9)), 3) if len(times) else None,
            },
        },
        "all": _scores(evaluation.overall),
        "classes": {name: _scores(scores) for name, scores in evaluation.by_class.items()},
        "foreign_labels": evaluation.foreign,
        "never_found": list(evaluation.unseen),
    }


def _scores(scores: Scores) -> dict[str, Any]:
    return {key: _plain(value) for key, value in asdict(scores).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def _rate(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": sys.platform, "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
