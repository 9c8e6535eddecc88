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
        iou: mean overlap of the right boxes with their objects.
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
    iou: float
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
        # Scores were 32 bit numbers when the detector compared them.
        kept = matches.scores.astype(np.float32) >= np.float32(rules.confidence)
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
            iou=float(matches.iou[matches.right & kept].mean()) if right else float("nan"),
            best_f1=best_f1,
            best_confidence=best_confidence,
        )

    by_class = [scores(slice(number, number + 1), matches) for number, matches in enumerate(each)]
    # A class without truths has no average precision, but its boxes are false ones all the same.
    return scores(slice(None), _Matches.pooled(each)), by_class


@dataclass(frozen=True, eq=False)
class _Matches:
    """Which detections are right at one overlap, those on crowds left out."""

    truths: int
    scores: F64Array
    right: npt.NDArray[np.bool_]
    iou: F64Array
    """Overlap with the object that is matched, 0 without one."""

    @classmethod
    def of(cls, evaluation: Any, number: int, overlap: int) -> _Matches:
        pictures = len(evaluation.params.imgIds)
        begin = number * len(evaluation.params.areaRng) * pictures
        parts = [
            cls._in_picture(evaluation, entry, overlap)
            for entry in evaluation.evalImgs[begin : begin + pictures]
            if entry is not None
        ]
        return cls.pooled(parts)

    @classmethod
    def _in_picture(cls, evaluation: Any, entry: dict[str, Any], overlap: int) -> _Matches:
        counts = ~entry["dtIgnore"][overlap].astype(bool)
        matched = entry["dtMatches"][overlap].astype(int)
        key = (entry["image_id"], entry["category_id"])
        columns = {truth["id"]: column for column, truth in enumerate(evaluation._gts[key])}
        overlaps = evaluation.ious[key]  # rows by falling score, as those of `entry`
        iou = [overlaps[row][columns[id_]] if id_ else 0.0 for row, id_ in enumerate(matched)]
        return cls(
            int(np.count_nonzero(entry["gtIgnore"] == 0)),
            np.asarray(entry["dtScores"], float)[counts],
            matched[counts] > 0,
            np.asarray(iou, float)[counts],
        )

    @classmethod
    def pooled(cls, parts: Sequence[_Matches]) -> _Matches:
        return cls(
            sum(part.truths for part in parts),
            np.concatenate([np.empty(0), *[part.scores for part in parts]]),
            np.concatenate([np.empty(0, bool), *[part.right for part in parts]]),
            np.concatenate([np.empty(0), *[part.iou for part in parts]]),
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
