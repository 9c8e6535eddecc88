"""Against sums done by hand, and against what pycocotools itself prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest

from pipeline.objects import Detections
from stages.detect.evaluate.scoring import Rules, Scores, Truth, score

pytest.importorskip("pycocotools", reason="needs the extra 'eval'")

A, B, C = (10.0, 10.0, 50.0, 50.0), (100.0, 10.0, 140.0, 50.0), (10.0, 100.0, 50.0, 140.0)
FAR = (300.0, 300.0, 340.0, 340.0)
Row = tuple[tuple[float, float, float, float], int, float]


def truth(*rows: tuple[tuple[float, float, float, float], int], crowd: Sequence[int] = ()) -> Truth:
    xyxy = np.array([row[0] for row in rows], float).reshape(-1, 4)
    area = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    crowds = np.isin(np.arange(len(rows)), crowd)
    return Truth(xyxy, np.array([row[1] for row in rows], np.intp), crowds, area)


def scored(
    truths: Sequence[Truth], found: Sequence[Sequence[Row]], **rules: float
) -> tuple[Scores, list[Scores]]:
    tables, numbers = [], []
    for rows in found:
        xyxy = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
        score_ = np.array([row[2] for row in rows], np.float32)
        tables.append(Detections(xyxy, score_, np.array([str(row[1]) for row in rows], np.str_)))
        numbers.append(np.array([row[1] for row in rows], np.intp))
    return score(truths, tables, numbers, 2, Rules(**rules))  # type: ignore[arg-type]


def test_everything_right() -> None:
    overall, (first, second) = scored([truth((A, 0), (B, 1))], [[(A, 0, 0.9), (B, 1, 0.8)]])
    for each in (overall, first, second):
        rates = (each.ap, each.ap50, each.ap75, each.ar, each.precision, each.recall, each.best_f1)
        assert rates == pytest.approx([1] * 7)
    assert (overall.truths, overall.found, overall.false) == (2, 2, 0)
    assert first.best_confidence == pytest.approx(0.9)
    assert first.sizes["medium"] == pytest.approx(1)
    assert math.isnan(first.sizes["small"])


def test_nothing_found_and_nothing_to_find() -> None:
    overall, (first, second) = scored([truth((A, 0))], [[]])
    assert (overall.ap, overall.recall, overall.best_f1) == (0, 0, 0)
    assert math.isnan(overall.precision)
    assert (first.ap, second.truths) == (0, 0)
    assert math.isnan(second.ap)


def test_a_false_box_before_and_behind_the_right_one() -> None:
    before, _ = scored([truth((A, 0))], [[(FAR, 0, 0.9), (A, 0, 0.5)]])
    behind, _ = scored([truth((A, 0))], [[(FAR, 0, 0.5), (A, 0, 0.9)]])
    assert (before.ap50, behind.ap50) == pytest.approx((0.5, 1.0))
    assert before.precision == behind.precision == 0.5
    assert before.best_f1 == pytest.approx(2 / 3)
    assert behind.best_confidence == pytest.approx(0.9)


def test_the_second_box_on_one_object_is_false() -> None:
    overall, _ = scored([truth((A, 0))], [[(A, 0, 0.9), (A, 0, 0.8)]])
    assert (overall.found, overall.false, overall.ap50) == (1, 1, pytest.approx(1))


def test_a_wrong_class_is_a_miss_and_a_false_box() -> None:
    overall, (first, second) = scored([truth((A, 0), (B, 1))], [[(A, 1, 0.9), (B, 1, 0.8)]])
    assert (first.recall, second.precision, second.recall) == (0, 0.5, 1)
    assert overall.ap50 == pytest.approx((0 + 0.5) / 2)
    assert (overall.precision, overall.recall) == (0.5, 0.5)


def test_a_loose_box_counts_up_to_its_overlap() -> None:
    loose = (10.0, 10.0, 50.0, 40.0)  # IoU 0.75 with A
    overall, _ = scored([truth((A, 0))], [[(loose, 0, 0.9)]])
    assert overall.ap == pytest.approx(0.6)  # 0.5, 0.55, ... 0.75: six of ten
    assert (overall.ap50, overall.ap75) == pytest.approx((1, 1))
    assert overall.iou == pytest.approx(0.75)
    strict, _ = scored([truth((A, 0))], [[(loose, 0, 0.9)]], iou=0.8)
    assert (strict.found, strict.false) == (0, 1)
    odd, _ = scored([truth((A, 0))], [[(loose, 0, 0.9)]], iou=0.33)
    assert (odd.found, odd.ap) == (1, pytest.approx(0.6))


def test_half_of_the_objects() -> None:
    overall, _ = scored([truth((A, 0), (B, 0))], [[(A, 0, 0.9)]])
    # Precision 1 at the recalls 0 to 0.5: 51 of 101 points (Lin et al. 2014, section 5 of the COCO API).
    assert overall.ap == pytest.approx(51 / 101)
    assert (overall.precision, overall.recall, overall.ar) == (1, 0.5, 0.5)


def test_boxes_on_crowds_are_neither_right_nor_wrong() -> None:
    overall, _ = scored([truth((A, 0), (C, 0), crowd=[1])], [[(A, 0, 0.9), (C, 0, 0.8), (C, 0, 0.7)]])
    assert (overall.truths, overall.found, overall.false) == (1, 1, 0)
    assert overall.ap == pytest.approx(1)


def test_confidence_and_the_most_boxes_limit() -> None:
    found = [[(A, 0, 0.9), (B, 0, 0.3), (FAR, 0, 0.2)]]
    overall, _ = scored([truth((A, 0), (B, 0))], found, confidence=0.25)
    assert (overall.found, overall.false) == (2, 0)
    overall, _ = scored([truth((A, 0), (B, 0))], found, confidence=0.5)
    assert (overall.found, overall.false, overall.recall) == (1, 0, 0.5)
    assert overall.ap == pytest.approx(1)
    overall, _ = scored([truth((A, 0), (B, 0))], found, max_detections=1)
    assert overall.ap == pytest.approx(51 / 101)


def test_the_overlap_is_that_of_the_right_boxes_with_their_own_objects() -> None:
    loose_a, loose_b = (10.0, 10.0, 50.0, 40.0), (100.0, 10.0, 140.0, 46.0)  # IoU 0.75 and 0.9
    found = [(FAR, 0, 0.9), (loose_b, 0, 0.8), (loose_a, 0, 0.7), (C, 1, 0.6)]
    overall, (first, second) = scored([truth((A, 0), (B, 0), (C, 1)), truth((A, 0))], [found, [(A, 0, 0.1)]])
    assert (first.found, first.iou) == (2, pytest.approx((0.75 + 0.9) / 2))
    assert (second.iou, overall.iou) == (pytest.approx(1), pytest.approx((0.75 + 0.9 + 1) / 3))


def test_false_boxes_of_a_class_without_objects_count_in_all() -> None:
    overall, (_, second) = scored([truth((A, 0))], [[(A, 0, 0.9), (B, 1, 0.9)]], confidence=0.9)
    assert (overall.found, overall.false, overall.precision) == (1, 1, 0.5)
    assert overall.ap == pytest.approx(1)
    assert (second.false, second.precision) == (1, 0)


def test_pictures_without_objects_count() -> None:
    overall, _ = scored([truth((A, 0)), truth()], [[(A, 0, 0.5)], [(A, 0, 0.9)]])
    assert (overall.ap50, overall.precision) == (pytest.approx(0.5), 0.5)


def test_labels_of_no_class_count_nowhere() -> None:
    overall, _ = scored([truth((A, 0))], [[(A, 0, 0.5), (A, -1, 0.9)]])
    assert (overall.found, overall.false) == (1, 0)


def test_random_boxes_score_as_pycocotools_prints_them() -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(4)
    truths, found = [], []
    for _ in range(30):
        corner = rng.uniform(0, 300, (6, 2))
        size = rng.uniform(10, 120, (6, 2))
        boxes = np.hstack([corner, corner + size])
        kinds = rng.integers(0, 2, 6)
        truths.append(truth(*[(tuple(box), int(kind)) for box, kind in zip(boxes, kinds, strict=True)]))
        moved = (boxes + rng.normal(0, 6, boxes.shape)).astype(np.float32)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
        found.append(
            [
                (tuple(map(float, box)), int(k), float(np.float32(rng.random())))
                for box, k in zip(moved, kinds, strict=True)
            ]
        )
    overall, _ = scored(truths, found)
    images = [{"id": number} for number in range(30)]
    categories = [{"id": 0, "name": "0"}, {"id": 1, "name": "1"}]
    annotations = [
        {"id": 100 * i + k + 1, "image_id": i, "category_id": int(t.number[k]), "iscrowd": 0,
         "area": float(t.area[k]), "bbox": [*t.xyxy[k, :2], *(t.xyxy[k, 2:] - t.xyxy[k, :2])]}
        for i, t in enumerate(truths) for k in range(len(t.xyxy))
    ]  # fmt: skip
    results = [
        {"image_id": i, "category_id": k, "score": s, "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]]}
        for i, rows in enumerate(found) for b, k, s in rows
    ]  # fmt: skip
    with redirect_stdout(StringIO()):
        gt = COCO()
        gt.dataset = {"images": images, "categories": categories, "annotations": annotations}
        gt.createIndex()
        oracle = COCOeval(gt, gt.loadRes(results), "bbox")
        oracle.evaluate()
        oracle.accumulate()
        oracle.summarize()
    ours = [overall.ap, overall.ap50, overall.ap75, *overall.sizes.values(), overall.ar]
    assert ours == pytest.approx([*oracle.stats[:6], oracle.stats[8]], abs=1e-12)
    assert 0.1 < overall.ap < 0.9
