"""COCO's measures of detections, by pycocotools; only sums over its matches are computed here."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError
from pipeline.objects import Detections

F64Array = npt.NDArray[np.float64]

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas of COCO's size classes, px."""

_ALL = (0.0, 1e10)
_STANDARD = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is in one picture, in px.

    Attributes:
        xyxy: (N, 4) float64.
        number: (N,) int, the class.
        crowd: (N,) bool.
        area: (N,) float64.
    """

    xyxy: F64Array
    number: npt.NDArray[np.intp]
    crowd: npt.NDArray[np.bool_]
    area: F64Array


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as found.

    Attributes:
        iou: overlap from which a box is right, for precision and recall.
        confidence: score from which a box counts, for precision and recall.
        max_detections: per picture and class, the best ones.
    """

    iou: float = 0.5
    confidence: float = 0.25
    max_detections: int = 100


@dataclass(frozen=True, slots=True)
class Scores:
    """The measures of one class, or of all together; rates within 0..1, NaN where there is nothing to find.

    Attributes:
        truths: objects to be found, without crowds.
        ap: average precision, mean over the overlaps 0.5 to 0.95 in steps of 0.05 (of all: and over classes).
        ap50: at overlap 0.5.
        ap75: at overlap 0.75.
        sizes: `ap` of small, medium and large objects.
        ar: average recall, mean over the same overlaps.
        found: right boxes at `Rules.iou` and `Rules.confidence`.
        false: wrong boxes there.
        precision: found / (found + false); of all: over all boxes.
        recall: found / truths.
        best_f1: the largest F1 that any confidence gives at `Rules.iou`.
        best_confidence: which confidence does.
    """

    truths: int
    ap: float
    ap50: float
    ap75: float
    sizes: dict[str, float]
    ar: float
    found: int
    false: int
    precision: float
    recall: float
    best_f1: float
    best_confidence: float


def require_pycocotools() -> None:
    """Raise ConfigError with what to install unless pycocotools is there."""
    if find_spec("pycocotools") is None:
        raise ConfigError('scoring needs pycocotools: pip install "sightline[eval]"')


def score(
    truths: Sequence[Truth],
    found: Sequence[Detections],
    numbers: Sequence[npt.NDArray[np.intp]],
    classes: int,
    rules: Rules = Rules(),
) -> tuple[Scores, list[Scores]]:
    """Compare detections with the truth.

    Args:
        truths: of each picture.
        found: the detections in each picture.
        numbers: (N,) the class of each of its detections, -1 for those of no class of the data set.
        classes: how many classes there are.
        rules: what counts as found.

    Returns:
        The measures of all classes together, and of each.
    """
    evaluation = _evaluate(truths, found, numbers, classes, rules)
    overlaps = evaluation.params.iouThrs
    standard = np.array([np.isclose(overlaps, each).argmax() for each in _STANDARD])
    at = int(np.isclose(overlaps, rules.iou).argmax())
    each = [_Matches.of(evaluation, number, at) for number in range(classes)]
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    areas = ["all", *SIZES]

    def average(values: Any) -> float:
        valid = values[values > -1]
        return float(valid.mean()) if valid.size else float("nan")

    def scores(place: slice, matches: _Matches) -> Scores:
        ap = {
            area: average(precision[standard][:, :, place, number, -1]) for number, area in enumerate(areas)
        }
        kept = matches.scores >= rules.confidence
        right = int(np.count_nonzero(matches.right & kept))
        wrong = int(np.count_nonzero(~matches.right & kept))
        best_f1, best_confidence = matches.best()
        return Scores(
            truths=matches.truths,
            ap=ap["all"],
            ap50=average(precision[standard[0]][:, place, 0, -1]),
            ap75=average(precision[standard[5]][:, place, 0, -1]),
            sizes={size: ap[size] for size in SIZES},
            ar=average(recall[standard][:, place, 0, -1]),
            found=right,
            false=wrong,
            precision=right / (right + wrong) if right + wrong else float("nan"),
            recall=right / matches.truths if matches.truths else float("nan"),
            best_f1=best_f1,
            best_confidence=best_confidence,
        )

    by_class = [scores(slice(number, number + 1), matches) for number, matches in enumerate(each)]
    # Pooled like the means above: a class without truths counts in neither.
    counted = [matches for matches in each if matches.truths]
    return scores(slice(None), _Matches.pooled(counted)), by_class


@dataclass(frozen=True, eq=False)
class _Matches:
    """Which detections are right at one overlap, those on crowds left out."""

    truths: int
    scores: F64Array
    right: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, evaluation: Any, number: int, overlap: int) -> _Matches:
        pictures = len(evaluation.params.imgIds)
        begin = number * len(evaluation.params.areaRng) * pictures
        entries = [entry for entry in evaluation.evalImgs[begin : begin + pictures] if entry is not None]
        counts = [~entry["dtIgnore"][overlap].astype(bool) for entry in entries]
        return cls(
            sum(int(np.count_nonzero(entry["gtIgnore"] == 0)) for entry in entries),
            _joined(
                [np.asarray(e["dtScores"], float)[c] for e, c in zip(entries, counts, strict=True)], float
            ),
            _joined([e["dtMatches"][overlap][c] > 0 for e, c in zip(entries, counts, strict=True)], bool),
        )

    @classmethod
    def pooled(cls, parts: Sequence[_Matches]) -> _Matches:
        return cls(
            sum(part.truths for part in parts),
            _joined([part.scores for part in parts], float),
            _joined([part.right for part in parts], bool),
        )

    def best(self) -> tuple[float, float]:
        """Return the largest F1 of all confidences, and the confidence; NaN where nothing is right."""
        if not self.right.any() or not self.truths:
            return (0.0 if self.truths else float("nan")), float("nan")
        order = np.argsort(-self.scores, kind="stable")
        scores = self.scores[order]
        right = np.cumsum(self.right[order])
        f1 = 2 * right / (np.arange(1, len(right) + 1) + self.truths)
        f1[:-1][scores[:-1] == scores[1:]] = 0  # equal scores are taken all or none
        place = int(f1.argmax())
        return float(f1[place]), float(scores[place])


def _joined(parts: Sequence[Any], kind: type) -> Any:
    return np.concatenate([*parts, np.empty(0, kind)]).astype(kind)


def _evaluate(
    truths: Sequence[Truth],
    found: Sequence[Detections],
    numbers: Sequence[npt.NDArray[np.intp]],
    classes: int,
    rules: Rules,
) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress there
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        images = [{"id": number} for number in range(len(truths))]
        categories = [{"id": number, "name": str(number)} for number in range(classes)]
        tables = []
        for annotations in (_truths(truths), _detections(found, numbers)):
            table = COCO()
            table.dataset = {"images": images, "categories": categories, "annotations": annotations}
            table.createIndex()
            tables.append(table)
        evaluation = COCOeval(*tables, iouType="bbox")
        params = evaluation.params
        params.imgIds = list(range(len(truths)))
        params.catIds = list(range(classes))
        extra = [] if np.isclose(_STANDARD, rules.iou).any() else [rules.iou]
        params.iouThrs = np.array(sorted([*_STANDARD, *extra]))
        params.maxDets = [rules.max_detections]
        params.areaRng = [list(_ALL), *map(list, SIZES.values())]
        params.areaRngLbl = ["all", *SIZES]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _truths(truths: Sequence[Truth]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for image, truth in enumerate(truths):
        for xyxy, number, crowd, area in zip(truth.xyxy, truth.number, truth.crowd, truth.area, strict=True):
            # An id of 0 would stand for "not matched".
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": image,
                    "category_id": int(number),
                    "bbox": _xywh(xyxy),
                    "area": float(area),
                    "iscrowd": int(crowd),
                }
            )
    return rows


def _detections(found: Sequence[Detections], numbers: Sequence[npt.NDArray[np.intp]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for image, (table, classes) in enumerate(zip(found, numbers, strict=True)):
        for xyxy, confidence, number in zip(table.xyxy, table.score, classes, strict=True):
            if number < 0:
                continue
            bbox = _xywh(xyxy)
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": image,
                    "category_id": int(number),
                    "bbox": bbox,
                    "area": bbox[2] * bbox[3],
                    "iscrowd": 0,
                    "score": float(confidence),
                }
            )
    return rows


def _xywh(xyxy: npt.NDArray[Any]) -> list[float]:
    left, top, right, bottom = map(float, xyxy)
    return [left, top, right - left, bottom - top]
