"""A detector over labelled pictures, and its scores; usable without the command line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import ConfigError, FrameLost, StageError
from pipeline.objects import Detections
from stages.detect.evaluate.dataset import Dataset, Labelled, read_picture
from stages.detect.evaluate.detector import Choice, Judged
from stages.detect.evaluate.scoring import Rules, Scores, Truth, score

Progress = Callable[[int], None]
"""Told how many pictures are done."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out.

    Attributes:
        overall: the measures of all classes.
        by_class: of each class, by its name.
        rules: what counted as found.
        options: all settings of the detector in the run that was scored.
        model_hash: of its weights, None without.
        milliseconds: of each picture, decoding left out.
        foreign: detections of labels that the data set does not have, by label; they count nowhere.
        unseen: classes that have truths, but no detection at any confidence.
    """

    overall: Scores
    by_class: dict[str, Scores]
    rules: Rules
    options: dict[str, Any]
    model_hash: str | None
    milliseconds: tuple[float, ...]
    foreign: dict[str, int]
    unseen: tuple[str, ...]


def evaluate(
    dataset: Dataset,
    choice: Choice,
    *,
    iou: float = 0.5,
    confidence: float | None = None,
    min_score: float | None = 0.001,
    max_detections: int = 100,
    names: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run a detector over a data set and score it.

    Average precision looks at all confidences, so the detector runs with the low `min_score` in the place of
    its option `confidence` (NMS is greedy, so that the boxes above the configured one are the same).
    Precision and recall count what is above the configured one.

    Args:
        dataset: the labelled pictures.
        choice: the detector.
        iou: overlap from which a box is right, for precision and recall.
        confidence: score from which a box counts for them; the detector's own when None.
        min_score: smallest score that is looked at; None for the detector's own confidence.
        max_detections: per picture and class.
        names: what the detector's labels are called in the data set, where it calls them otherwise.
        progress: told after each picture.

    Raises:
        ConfigError: if a setting is wrong, or the detector finds none of the classes.
        SourceError: if a picture cannot be read.
        StageError: if the detector fails.
    """
    own = choice.options()
    written = getattr(own, "confidence", None)
    if confidence is None:
        confidence = written if isinstance(written, float) else 0.0
    lowered = isinstance(written, float) and min_score is not None and min_score < written
    options = choice.options(confidence=min_score) if lowered else own
    rules = Rules(iou, confidence, max_detections)
    renamed = _renamed(names or {}, dataset)
    numbers_of = {name: number for number, name in enumerate(dataset.classes)}
    truths, tables, numbers, times = [], [], [], []
    foreign: Counter[str] = Counter()
    judged = Judged(choice, options)
    try:
        for done, labelled in enumerate(dataset.pictures, 1):
            picture = read_picture(labelled)
            picture.bgr()
            begin = time.perf_counter()
            try:
                found = judged.find(picture)
            except FrameLost as loss:
                raise StageError(f"{labelled.path}: {loss}") from loss
            times.append((time.perf_counter() - begin) * 1000)
            labels = [renamed.get(str(label), str(label)) for label in found.label]
            number = np.array([numbers_of.get(label, -1) for label in labels], np.intp)
            foreign.update(label for label in labels if label not in numbers_of)
            truths.append(_truth(labelled, picture.width, picture.height))
            tables.append(Detections(found.xyxy, found.score, found.label))
            numbers.append(number)
            if progress:
                progress(done)
    finally:
        judged.close()
    seen = {int(number) for row in numbers for number in row}
    if not seen & set(range(len(dataset.classes))) and foreign:
        raise ConfigError(
            f"the detector finds none of the classes {', '.join(dataset.classes[:10])}, but "
            f"{', '.join(sorted(foreign)[:10])}; say what is what with --name LABEL=CLASS"
        )
    overall, each = score(truths, tables, numbers, len(dataset.classes), rules)
    by_class = dict(zip(dataset.classes, each, strict=True))
    unseen = tuple(
        name for number, name in enumerate(dataset.classes) if by_class[name].truths and number not in seen
    )
    return Evaluation(
        overall,
        by_class,
        rules,
        options.model_dump(mode="json"),
        judged.model_hash,
        tuple(times),
        dict(foreign.most_common()),
        unseen,
    )


def _renamed(names: Mapping[str, str], dataset: Dataset) -> Mapping[str, str]:
    unknown = [name for name in names.values() if name not in dataset.classes]
    if unknown:
        raise ConfigError(
            f"--name: the data set has no class '{unknown[0]}'; it has: {', '.join(dataset.classes)}"
        )
    return names


def _truth(labelled: Labelled, width: int, height: int) -> Truth:
    scale = np.array([width, height, width, height], np.float64) if labelled.relative else 1.0
    xyxy = labelled.xyxy * scale
    boxes = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    area = np.where(np.isnan(labelled.area), boxes, labelled.area)
    return Truth(xyxy, labelled.number, labelled.crowd, area)
